"""Read the cases of cells, each cell's once for all that a report asks of it: intervals, verdicts and diagnostics."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eden_bench.case_statistics import SortedColumns
from eden_bench.contracts import ScoreDefinition
from eden_bench.records import Record
from eden_bench.report.cases.resampling import Groups, Scored
from eden_bench.report.cases.wanted import wanted

MOST_HELD = 400_000_000
"""Bytes of numbers that are held: a report looks at one row after another, and most rows fit."""


class CellCases(NamedTuple):
    """The cases of one cell."""

    columns: SortedColumns
    patients: np.ndarray
    """(N,) text: whose each case is; names of cases where none are told."""
    groups: Groups
    unit: str
    """"patients", or "cases" where none are told."""
    scored: dict[str, Scored]
    """What was made of them, by name of the score or the column."""


class CaseReader:
    """Reads cells and holds the last ones, so that each is read once where a row is looked at at a time.

    Attributes:
        diagnosed: probabilities will be asked for, of cells that have some.
    """

    def __init__(self, *, diagnosed: bool = False) -> None:
        self.diagnosed = diagnosed
        self._held: dict[str, CellCases] = {}
        self._bytes = 0
        self._last: tuple[np.ndarray, Groups] | None = None

    def read(self, record: Record, score: ScoreDefinition) -> CellCases:
        """Return a cell's cases: the columns of a score that is a mean, else all.

        Raises:
            RecordDamaged: the file is not the one that was written.
        """
        if record.id not in self._held:
            found = self._read(record, score)
            size = sum(values.nbytes for values in found.columns.values())
            if self._bytes + size > MOST_HELD:
                self.forget()
            self._held[record.id], self._bytes = found, self._bytes + size
        return self._held[record.id]

    def forget(self) -> None:
        """Let go of the cells that were read."""
        self._held, self._bytes = {}, 0

    def _read(self, record: Record, score: ScoreDefinition) -> CellCases:
        columns = record.columns(wanted(record, score, diagnosed=self.diagnosed))
        unit = "patients" if "patient" in columns else "cases"
        return CellCases(SortedColumns(columns), *self._grouped(columns[unit.removesuffix("s")]), unit, {})

    def _grouped(self, patients: np.ndarray) -> tuple[np.ndarray, Groups]:
        """Group cases by patient, once for cells of the same patients, which then share the names too."""
        if self._last is None or not (patients is self._last[0] or np.array_equal(patients, self._last[0])):
            self._last = patients, Groups.of(patients)
        return self._last
