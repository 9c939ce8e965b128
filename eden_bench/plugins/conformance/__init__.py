"""Conformance tests: validate any method, task or dataset, installed plugins included, against its contract.

Behind ``eden-bench plugins --check NAME``; all of it takes about a minute on a CPU.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from eden_bench.contracts import Progress, no_progress
from eden_bench.errors import EdenError
from eden_bench.plugins.conformance.findings import Broken
from eden_bench.plugins.conformance.methods import checks_of_method
from eden_bench.plugins.conformance.tasks import checks_of_dataset, checks_of_task

_CHECKS = {"method": checks_of_method, "task": checks_of_task, "dataset": checks_of_dataset}


class Check(NamedTuple):
    """Result of one check."""

    name: str
    """A sentence that holds where the check passes."""
    problem: str
    """Empty where it passes."""


def check(kind: str, name: str, progress: Progress = no_progress) -> list[Check]:
    """Run every check of a kind on one plugin; a check that raises has failed.

    Args:
        kind: "method", "task" or "dataset".
        name: as registered.
        progress: told of each check.

    Raises:
        UsageError: no plugin has this name.
    """
    found: list[Check] = []
    with tempfile.TemporaryDirectory(prefix="eden-bench-check-") as folder:
        for title, run in _CHECKS[kind](name, Path(folder)):
            progress(f"checking {name}: {title}", len(found), len(found) + 1)
            found.append(Check(title, _problem(run)))
    return found


def _problem(run: Callable[[], None]) -> str:
    try:
        run()
    except (Broken, EdenError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: a stranger's code may raise anything
        return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return ""
