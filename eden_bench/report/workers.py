"""Count the processes that work on a large report together: on its tables, its figures and its files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from eden_bench.forking import processes

if TYPE_CHECKING:
    from eden_bench.report.tables import Table

FEW = 500
"""Cells up to which one process is as fast."""


def workers(tables: Iterable[Table]) -> int:
    """Return how many processes a report with these tables is worth, as ``forking.each_of`` takes it."""
    return processes() if sum(len(row.cells) for table in tables for row in table.rows) > FEW else 0
