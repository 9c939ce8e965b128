"""Scores beside the primary one, per class or by another definition: mean over a row's cells."""

from __future__ import annotations

import math

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.tables import Row, Table


def means(row: Row) -> dict[str, float]:
    """Return the mean over a row's cells of each score beside the primary one that all of them have."""
    records = list(row.cells.values())
    scores = [record.scores for record in records]
    names = [name for name in (scores[0] if scores else {}) if name != records[0].score.name]
    return {
        name: math.fsum(each[name] for each in scores) / len(scores)
        for name in names
        if all(name in each for each in scores)
    }


def definitions(table: Table) -> dict[str, ScoreDefinition]:
    """Return the scores beside the primary one that any row of a table has, by name, with their definitions."""
    names = dict.fromkeys(name for row in table.rows for name in means(row))
    return {name: table.score.of(name) for name in names}
