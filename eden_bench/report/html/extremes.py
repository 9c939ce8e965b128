"""Example predictions of a classification: of each label the images of the highest and of the lowest probability."""

from __future__ import annotations

from typing import Any

import numpy as np

from eden_bench.errors import EdenError
from eden_bench.printable import printable_line
from eden_bench.records import Record
from eden_bench.report.cases.wanted import labels_of
from eden_bench.report.tables import Row, Table

COLUMNS = ("label", "highest probability", "of those without it", "lowest probability", "of those with it")


def extremes(table: Table) -> dict[str, Any] | None:
    """Return a row a label, of one stated cell; None where no record of the table has probabilities."""
    record = _first(table)
    labels = labels_of(record) if record else []
    if record is None or not labels:
        return None
    try:
        cases = record.cases(
            only=("case", *(f"{kind}_{label}" for label in labels for kind in ("probability", "target")))
        )
    except EdenError:
        return None
    names = cases["case"].tolist()
    rows = [
        [
            printable_line(label),
            *_row(names, *(cases[f"{kind}_{label}"].to_numpy() for kind in ("probability", "target"))),
        ]
        for label in labels
    ]
    chosen = f"{record.label}, seed {record.cell.seed} (cell {record.id[:12]})"
    return {"columns": COLUMNS, "rows": rows, "of": printable_line(chosen)}


def _first(table: Table) -> Record | None:
    """Return the record of the row that is tested, else of the first by name: of its first checkpoint and seed."""
    rows: list[Row] = sorted(table.rows, key=lambda row: (not row.headline, row.control, row.label))
    return next((record for row in rows for record in row.cells.values()), None)


def _row(names: list[str], probabilities: np.ndarray, targets: np.ndarray) -> list[str]:
    """Return the images of the highest and the lowest probability, of all and of those where that is an error."""
    has = targets > 0.5
    places = (
        _extreme(probabilities, np.ones_like(has)),
        _extreme(probabilities, ~has),
        _extreme(-probabilities, np.ones_like(has)),
        _extreme(-probabilities, has),
    )
    return ["–" if k is None else printable_line(f"{names[k]}: {probabilities[k]:.3f}") for k in places]


def _extreme(values: np.ndarray, among: np.ndarray) -> int | None:
    """Return where the highest of some values stands, the first of equal ones; None where there are none."""
    few = np.flatnonzero(among & ~np.isnan(values))
    return int(few[values[few].argmax()]) if len(few) else None
