"""Read the stored probabilities of a row's records, and draw patients of their test set."""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from eden_bench.errors import EdenError
from eden_bench.records import Record
from eden_bench.report.resampling import RESAMPLES, interval, patient_counts

_P, _T = "probability_", "target_"
ABOUT = ("sex", "age", "view")
"""Columns of cases of which groups are formed."""


class Unusable(EdenError):
    """Records have no usable probabilities; the message gives the reason."""


def labels_of(record: Record) -> list[str]:
    """Return the labels of which a record's cases have a probability and a target; [] where there are none."""
    columns = record.facts.cases.columns
    return [name.removeprefix(_P) for name in columns if name.startswith(_P) and _T + name.removeprefix(_P) in columns]


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


def read(records: Sequence[Record]) -> Predicted:
    """Read the probabilities of records of the same test images.

    Raises:
        Unusable: they are of other images, a probability is none, or a target is neither 0 nor 1.
        RecordDamaged: a file of cases is not the one that was written.
    """
    labels = labels_of(records[0])
    first = _columns(records[0], labels, whole=True)
    told = {name: first[name] for name in ABOUT if name in first}
    each = [np.stack([first[_P + label] for label in labels], axis=1)]
    for record in records[1:]:
        if labels_of(record) != labels:
            raise Unusable("its records are not of the same labels")
        other = _columns(record, labels, whole=False)
        if not np.array_equal(other["case"], first["case"]):
            raise Unusable("its records are not of the same test images")
        each.append(np.stack([other[_P + label] for label in labels], axis=1))
    targets = np.stack([first[_T + label] for label in labels], axis=1)
    probabilities = np.stack(each)
    _check(probabilities, targets)
    patients = first["patient"] if "patient" in first else first["case"]
    cells = tuple(record.id for record in records)
    return Predicted(cells, tuple(labels), patients, targets == 1, probabilities, told)


def ends(draws: np.ndarray) -> tuple[float | None, float | None]:
    """Return the 95 % interval of resampled values; None where too many have none."""
    found = interval(draws)
    return (None, None) if found is None else (found.low, found.high)


@functools.lru_cache(maxsize=2)
def _parts(patients: int) -> tuple[np.ndarray, ...]:
    """Draw the resamples of so many patients once: every row of a task meets the same."""
    return tuple(counts.astype(np.uint16) for counts in patient_counts(patients, RESAMPLES))


def _columns(record: Record, labels: Sequence[str], *, whole: bool) -> dict[str, np.ndarray]:
    """Read the columns that are used; of the records after a row's first only the probabilities and the cases."""
    import pandas as pd

    types: dict[str, type] = {"case": str, **{_P + label: float for label in labels}}
    if whole:
        types |= {"patient": str, "sex": str, "view": str, "age": float, **{_T + label: float for label in labels}}
    there = {name: kind for name, kind in types.items() if name in record.facts.cases.columns}
    missing = {name: [""] for name, kind in there.items() if kind is float}
    try:
        frame = pd.read_csv(
            io.BytesIO(record.cases_bytes()),
            usecols=list(there),
            dtype=there,
            keep_default_na=False,
            na_values=missing,
            index_col=False,
        )
    except ValueError as error:
        raise Unusable("its cases hold text where a probability, a target or an age is expected") from error
    return {name: frame[name].to_numpy() for name in there}


def _check(probabilities: np.ndarray, targets: np.ndarray) -> None:
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise Unusable("its cases hold a probability that is not in [0, 1]")
    if not np.isin(targets, (0, 1)).all():
        raise Unusable("its cases hold a target that is neither 0 nor 1")
