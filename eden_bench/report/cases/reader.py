"""Read the cases of cells, each cell's once for all that a report asks of it: intervals, verdicts and diagnostics."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from eden_bench.case_statistics import SortedColumns
from eden_bench.contracts import ScoreDefinition
from eden_bench.records import Record
from eden_bench.report.cases.resampling import Groups, Scored

MOST_HELD = 400_000_000
"""Bytes of numbers that are held: a report looks at one row after another, and most rows fit."""
P, T = "probability_", "target_"


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
        columns = record.columns(self._wanted(record, score))
        unit = "patients" if "patient" in columns else "cases"
        return CellCases(SortedColumns(columns), *self._grouped(columns[unit.removesuffix("s")]), unit, {})

    def _wanted(self, record: Record, score: ScoreDefinition) -> Collection[str]:
        if score.statistic != "mean" or (self.diagnosed and labels_of(record)):
            return ()
        controls = [column for name in record.controls for column in columns_of(name, score)]
        return {"case", "patient", score.name, *controls}

    def _grouped(self, patients: np.ndarray) -> tuple[np.ndarray, Groups]:
        """Group cases by patient, once for cells of the same patients, which then share the names too."""
        if self._last is None or not np.array_equal(patients, self._last[0]):
            self._last = patients, Groups.of(patients)
        return self._last


def columns_of(control: str, score: ScoreDefinition) -> tuple[str, str]:
    """Return the columns that may hold a control's cases: its name, or "<score>_of_<its_name>"."""
    return control, f"{score.name}_of_{control.replace(' ', '_')}"


def labels_of(record: Record) -> list[str]:
    """Return the labels of which a record's cases have a probability and a target; [] where there are none."""
    columns = record.facts.cases.columns
    return [name.removeprefix(P) for name in columns if name.startswith(P) and T + name.removeprefix(P) in columns]
