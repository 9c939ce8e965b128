"""Name the columns of a cell's cases that a report asks for."""

from __future__ import annotations

import functools
from collections.abc import Collection

from eden_bench.contracts import ScoreDefinition
from eden_bench.records import Record

P, T = "probability_", "target_"
_MOST_AHEAD = 20_000
"""Entries up to which they are parsed while records are read, and held until they are asked for."""


def wanted(record: Record, score: ScoreDefinition, *, diagnosed: bool) -> Collection[str]:
    """Return the columns that are asked for: those of a score that is a mean, else () for all.

    Args:
        record: of the cell.
        score: of its table.
        diagnosed: probabilities will be asked for, of cells that have some.
    """
    if score.statistic != "mean" or (diagnosed and labels_of(record)):
        return ()
    controls = [column for name in record.controls for column in columns_of(name, score)]
    return {"patient" if "patient" in record.facts.cases.columns else "case", score.name, *controls}


def wanted_ahead(record: Record) -> Collection[str]:
    """Return the columns that a report will ask for of a record by itself; () where they are all, or large."""
    names = wanted(record, record.score, diagnosed=True)
    return names if len(names) * record.facts.cases.rows <= _MOST_AHEAD else ()


def columns_of(control: str, score: ScoreDefinition) -> tuple[str, str]:
    """Return the columns that may hold a control's cases: its name, or "<score>_of_<its_name>"."""
    return control, f"{score.name}_of_{control.replace(' ', '_')}"


def labels_of(record: Record) -> tuple[str, ...]:
    """Return the labels of which a record's cases have a probability and a target; () where there are none."""
    return _labels(record.facts.cases.columns)


@functools.cache
def _labels(columns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.removeprefix(P) for name in columns if name.startswith(P) and T + name.removeprefix(P) in columns)
