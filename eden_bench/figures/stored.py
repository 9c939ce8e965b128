"""What records store for figures: the arrays of one record a row."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

import numpy as np

from eden_bench.figures import style
from eden_bench.records import Record
from eden_bench.report.tables import Report, Row, Table


class Stored(NamedTuple):
    """A row's first record and the arrays that it stores."""

    row: Row
    record: Record
    arrays: dict[str, np.ndarray]


def stored(report: Report, names: Collection[str]) -> Iterator[tuple[Table, list[Stored]]]:
    """Yield the tables whose records store arrays of some names, with one record a row: its first checkpoint and seed.

    Rows come in the order of their looks. Raises RecordDamaged.
    """
    for table in report.tables:
        if table.kind == "segmentation":  # its arrays are masks that were kept, 64 MB a record
            continue
        found = []
        for row in style.ordered(table.rows):
            record = next((each for each in row.cells.values() if each.facts.arrays is not None), None)
            if record is not None and set(names) <= set(arrays := record.arrays()):
                found.append(Stored(row, record, arrays))
        if found:
            yield table, found


def films_of(found: Collection[Stored]) -> str:
    """Return how many patches of how many films the features are of, in words."""
    patches = sorted({len(each.arrays["film"]) for each in found})
    films = sorted({len(np.unique(each.arrays["film"])) for each in found})
    return f"n = {' or '.join(map(str, patches))} patches of {' or '.join(map(str, films))} films"
