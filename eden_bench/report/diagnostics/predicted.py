"""Read the stored probabilities of a row's records, and draw patients of their test set."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eden_bench.case_statistics import SortedColumns
from eden_bench.errors import EdenError
from eden_bench.records import Record
from eden_bench.report.cases.reader import CaseReader
from eden_bench.report.cases.resampling import RESAMPLES, interval, patient_counts
from eden_bench.report.cases.wanted import P, T, labels_of
from eden_bench.statistics.ranking import stable_order

ABOUT = ("sex", "age", "view")
"""Columns of cases of which groups are formed."""


class Unusable(EdenError):
    """Records have no usable probabilities; the message gives the reason."""


@dataclass(frozen=True)
class Predicted:
    """What K records of one row predicted of the same N test images."""

    cells: tuple[str, ...]
    labels: tuple[str, ...]
    patients: np.ndarray
    """(N,) text: whose each case is."""
    targets: np.ndarray
    """(N, L) bool."""
    probabilities: np.ndarray
    """(K, N, L) in [0, 1]."""
    about: Mapping[str, np.ndarray]
    """"sex", "age" and "view" of each case, where the cases tell them."""
    columns: tuple[SortedColumns, ...] = ()
    """Of each cell, which keep the order of its probabilities; () where these are not what the cell stored."""

    def order(self, cell: int, label: int) -> np.ndarray:
        """Return the ``stable_order`` of a cell's probabilities of a label, (N,)."""
        if self.columns:
            return self.columns[cell].order(P + self.labels[label])
        return stable_order(self.probabilities[cell, :, label])

    @cached_property
    def of_patient(self) -> np.ndarray:
        """(N,) number of each case's patient, from 0."""
        return np.unique(self.patients, return_inverse=True)[1]

    @property
    def count(self) -> int:
        """Number of patients."""
        return int(self.of_patient.max()) + 1

    def patients_in(self, rows: np.ndarray) -> int:
        """Count the patients among some cases, given as (N,) bool."""
        return len(np.unique(self.of_patient[rows]))

    def per_patient(self, values: np.ndarray) -> np.ndarray:
        """Sum values (N,) of the cases over each patient's, (P,)."""
        return np.bincount(self.of_patient, values, self.count)

    def drawn(self, sums: np.ndarray) -> np.ndarray:
        """Return the sums (P, G) of patients in every bootstrap resample of the patients, (R, G)."""
        return np.concatenate([part.astype(float) @ sums for part in _parts(self.count)])


def read(records: Sequence[Record], cases: CaseReader) -> Predicted:
    """Read the probabilities of records of the same test images.

    Raises:
        Unusable: they are of other images, a probability is none, or a target is neither 0 nor 1.
        RecordDamaged: a file of cases is not the one that was written.
    """
    labels = labels_of(records[0])
    first = _numbers(records[0], [*(P + label for label in labels), *(T + label for label in labels), "age"], cases)
    several = [first]
    for record in records[1:]:
        if labels_of(record) != labels:
            raise Unusable("its records are not of the same labels")
        other = _numbers(record, [P + label for label in labels], cases)
        if not np.array_equal(other["case"], first["case"]):
            raise Unusable("its records are not of the same test images")
        several.append(other)
    targets = np.stack([first[T + label] for label in labels], axis=1)
    by_label = np.stack([np.stack([each[P + label] for label in labels]) for each in several])
    probabilities = by_label.transpose(0, 2, 1)  # so that a label's lie side by side
    _check(probabilities, targets)
    return Predicted(
        cells=tuple(record.id for record in records),
        labels=tuple(labels),
        patients=first["patient"] if "patient" in first else first["case"],
        targets=targets == 1,
        probabilities=probabilities,
        about={name: first[name] for name in ABOUT if name in first},
        columns=tuple(several),
    )


def ends(draws: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of resampled values; None where too many have none."""
    found = interval(draws)
    return (None, None) if found is None else (found.low, found.high)


@functools.lru_cache(maxsize=2)
def _parts(patients: int) -> tuple[np.ndarray, ...]:
    """Draw the resamples of so many patients once: every row of a task meets the same."""
    return tuple(counts.astype(np.uint16) for counts in patient_counts(patients, RESAMPLES))


def _numbers(record: Record, names: Sequence[str], cases: CaseReader) -> SortedColumns:
    """Read a record's columns, of which some, where they are there, must be numbers."""
    found = cases.read(record, record.score).columns
    if any(name in found and found[name].dtype == object for name in names):
        raise Unusable("its cases hold text where a probability, a target or an age is expected")
    return found


def _check(probabilities: np.ndarray, targets: np.ndarray) -> None:
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise Unusable("its cases hold a probability that is not in [0, 1]")
    if not np.isin(targets, (0, 1)).all():
        raise Unusable("its cases hold a target that is neither 0 nor 1")
