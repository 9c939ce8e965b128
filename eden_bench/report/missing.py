"""Notes on cells without a score: failures, and methods whose weights are missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace

from eden_bench.printable import printable_line
from eden_bench.records import FailureContent
from eden_bench.report.tables import Table

_SHORT = 8


def excused(failures: Mapping[str, FailureContent]) -> list[tuple[str, str]]:
    """Return method and task of the cells whose weights are missing."""
    held = [failure for failure in failures.values() if failure.kind == "excused"]
    return [(str(failure.method), str(task)) for failure in held for task in failure.tasks or ()]


def with_absent(tables: Iterable[Table], excused: Iterable[tuple[str, str]]) -> list[Table]:
    """Add to each table the methods whose weights are missing and that have no row.

    Args:
        tables: from ``report.build``.
        excused: methods and tasks.
    """
    pairs = sorted(set(excused))
    return [replace(table, absent=tuple(_absent(table, pairs))) for table in tables]


def failure_notes(failures: Mapping[str, FailureContent]) -> list[str]:
    """Describe each stored failure in one sentence."""
    return [printable_line(_note(name, failure)) for name, failure in sorted(failures.items())]


def _absent(table: Table, excused: Iterable[tuple[str, str]]) -> list[str]:
    there = {row.backbone.method for row in table.rows}
    return [method for method, task in excused if task == table.task and method not in there]


def _note(name: str, failure: FailureContent) -> str:
    what, error = failure.what or name[:_SHORT], (failure.error or "").partition("\n")[0]
    if failure.kind == "excused":
        return f"weights missing: {error}"
    command = failure.command or ""
    foreign = f" Its file failures/{name}.json holds a command that is not one of ours." if command else ""
    return f"failed: {what}: {error}." + (f" Redo: {command}" if is_ours(command) else foreign)


def is_ours(command: str) -> bool:
    """Return whether a stored command is an eden-bench command line and nothing more to a shell."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    return words[:1] == ["eden-bench"] and shlex.join(words) == command
