"""What a run ends with: the table of its cells, how many ended how, and the folder's whole report."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from eden_bench import records
from eden_bench.cli import shown_again
from eden_bench.cli.dry_run import cells_text
from eden_bench.cli.output import print_json
from eden_bench.cli.report import show
from eden_bench.cli.report_files import of_folder, rendered, write
from eden_bench.cli.streams import print_text
from eden_bench.execution.backbones import STATES
from eden_bench.report import build
from eden_bench.report.missing import with_absent
from eden_bench.report.outputs import text

if TYPE_CHECKING:
    from eden_bench.api import Result
    from eden_bench.report.tables import Report

MOST_SHOWN = 10_000
"""Cells up to which a run ends with the whole report of its folder, and with its own table."""


def show_result(done: Result, out: Path, as_json: bool) -> None:
    """Print the table of this plan's cells, the failures and how to retry them; write the folder's whole report."""
    if as_json:
        print_json(_as_json(done))
    stored = len(records.folders(out / "records"))
    if stored > MOST_SHOWN:
        _show_of_many(done, stored, as_json)
        return
    state = shown_again.state_of(out, (slot.record.id if slot.record else str(slot) for slot in done.slots))
    if not as_json and (before := shown_again.kept(out, state, len(done.slots))) is not None:
        print_text(before)
        for line in (*_closing(done), f"the whole report, as it was: {out / 'report' / 'report.html'}"):
            typer.echo(line, err=True)
        return
    whole = of_folder(out, warn=lambda line: None) if done.records else None
    shown = _of_plan(done, whole) if whole else None
    if shown is not None and not as_json:
        show(shown)
    for line in _closing(done):
        typer.echo(line, err=True)
    if whole is not None and shown is not None:
        write(out, rendered(out, whole, probes=False))
        shown_again.keep(out, state, text.render(shown))


def _show_of_many(done: Result, stored: int, as_json: bool) -> None:
    """Print what a run did in a folder of so many cells that its whole report takes longer than a run may."""
    if done.records and len(done.records) <= MOST_SHOWN and not as_json:
        show(_with_absent(build.build(done.records), done))
    told = f"{stored:,} cells are stored there: 'eden-bench report' writes the whole report, which takes about a minute"
    for line in (*_closing(done), told):
        typer.echo(line, err=True)


def _of_plan(done: Result, whole: Report) -> Report:
    """Return the report of a plan's cells alone; where the folder holds no others, the whole one."""
    stored = {record.id: record for table in whole.tables for row in table.rows for record in row.cells.values()}
    own = {record.id for record in done.records}
    if stored.keys() == own:
        return replace(whole, failures=())
    return _with_absent(build.build([stored.get(record.id, record) for record in done.records]), done)


def _with_absent(built: Report, done: Result) -> Report:
    excused = [(slot.backbone.label, slot.task) for slot in done.slots if slot.state == "excused"]
    return replace(built, tables=tuple(with_absent(built.tables, excused)))


def _as_json(done: Result) -> dict[str, Any]:
    plan = done.plan
    return {
        "protocol": plan.protocol.name,
        "phantom": plan.phantom,
        "counts": dict(Counter(slot.state for slot in plan.slots)),
        "cells": [
            {
                "id": slot.record.id if slot.record else None,
                "method": slot.backbone.label,
                "task": slot.task,
                "shots": slot.shots,
                "seed": slot.seed,
                "pretrain_seed": slot.backbone.seed if slot.backbone.dataset else None,
                "state": slot.state,
                "scores": slot.record.scores if slot.record else None,
                "problem": slot.problem.text if slot.problem else None,
            }
            for slot in plan.slots
        ],
        "exit_code": done.exit_code,
    }


def _closing(done: Result) -> list[str]:
    """Count cells by final state, with each reason once."""
    counts = Counter(slot.state for slot in done.slots)
    lines = [", ".join(f"{number} {STATES[state]}" for state, number in counts.items())]
    reasons = Counter((slot.state, slot.backbone.label, slot.problem.text) for slot in done.slots if slot.problem)
    lines += [
        f"{STATES[state]}: {method}, {cells_text(number)}: {text}" for (state, method, text), number in reasons.items()
    ]
    if counts["failed"]:
        lines.append(
            "the tracebacks are in failures/ of the output folder; mend the cause, then issue the same command again "
            "or add --only-failed"
        )
    return lines
