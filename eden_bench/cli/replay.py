"""``eden-bench run --replay ID``: replays a record's cell and compares the scores bit for bit."""

from __future__ import annotations

from dataclasses import replace

import typer

from eden_bench import records
from eden_bench.api import open_inputs
from eden_bench.cli.output import print_json, print_table
from eden_bench.cli.streams import print_text
from eden_bench.contracts import DETERMINISTIC
from eden_bench.errors import CellsFailed
from eden_bench.execution.replay import Replayed, replay
from eden_bench.settings import Settings


def replay_and_show(prefix: str, settings: Settings, *, as_json: bool) -> None:
    """Replay the record whose id begins with prefix. Exit code 3 if the scores differ.

    Raises:
        UsageError: there is no such record.
    """
    record = records.find(settings.out, prefix)
    if record.cell.threads:
        settings = replace(settings, device="cpu", threads=record.cell.threads)
    if record.cell.protocol.get(DETERMINISTIC):
        settings = replace(settings, deterministic=True)
    replayed = replay(record, open_inputs(settings))
    if as_json:
        print_json(_as_json(replayed))
    else:
        _show(replayed)
    if not replayed.identical:
        raise typer.Exit(CellsFailed.exit_code)


def _as_json(replayed: Replayed) -> dict[str, object]:
    return {
        "id": replayed.record.id,
        "identical": replayed.identical,
        "stored": replayed.record.scores,
        "replayed": replayed.scores,
        "same_cases": replayed.same_cases,
    }


def _show(replayed: Replayed) -> None:
    record = replayed.record
    if replayed.identical:
        scores, rows = len(record.scores), record.facts.cases.rows
        found = f"{scores} score{'s' * (scores != 1)} and {rows} case{'s' * (rows != 1)}"
        print_text(f"{record.id[:12]} identical: {found}{', and the arrays' * bool(record.arrays_bytes())}")
        return
    names = sorted({*record.scores, *replayed.scores})
    columns = ("score", "stored", "replayed")
    table = [(name, repr(record.scores.get(name)), repr(replayed.scores.get(name))) for name in names]
    what = "cases or arrays" if record.arrays_bytes() else "cases"
    same = "the cases agree" if replayed.same_cases else f"the {what} differ"
    print_table(columns, table, f"{record.id[:12]} differs ({same})")
