"""Read the records of a folder for a command that shows them, and tell those that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from eden_bench import records
from eden_bench.errors import DataMissing
from eden_bench.records import Record, Warn
from eden_bench.report.build import need
from eden_bench.report.cases.wanted import wanted_ahead


class Stored(NamedTuple):
    """The records of a folder."""

    records: list[Record]
    left_out: list[str]
    """A sentence for each that cannot be used, without the folder's name."""


def stored_in(out: Path, warn: Warn = records.warn_stderr) -> Stored:
    """Read all records of a folder.

    Args:
        out: the folder.
        warn: called with one line for each record that cannot be used.

    Raises:
        UsageError: there are no records.
        DataMissing: all records are damaged.
    """
    left_out: list[str] = []

    def told(line: str) -> None:
        left_out.append(f"left out: {line.replace(f'{out}/', '')}")
        warn(line)

    found = records.load(out, told, ahead=wanted_ahead)
    if left_out and not found:
        raise DataMissing(
            f"{out} holds no record that can be used: all {len(left_out)} are damaged, as the warnings say; issue the "
            "same 'eden-bench run' again"
        )
    need(found, out)
    return Stored(found, left_out)
