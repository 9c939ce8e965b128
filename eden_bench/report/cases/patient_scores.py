"""Read a row's records as an array of scores: pretrainings × fine-tuning seeds × patients.

A patient's value is the record's score plus the influence of the patient's cases on it (``case_influence``), so the
mean over patients is the score, of whatever statistic it is, and their variance is that of the score over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from eden_bench.case_influence import patient_values
from eden_bench.contracts import ScoreDefinition
from eden_bench.errors import EdenError
from eden_bench.records import Record
from eden_bench.report.cases.patients import Unusable, read_scored
from eden_bench.report.cases.reader import CaseReader
from eden_bench.report.tables import Row
from eden_bench.statistics.hierarchy import Scores


@dataclass(frozen=True)
class PatientScores:
    """Scores of one row."""

    values: np.ndarray
    """(pretrainings, seeds, patients), or (…, 1) where the cases cannot be used."""
    seeds: tuple[int, ...]
    """Of the fine-tunings, those that every pretraining has."""
    patients: np.ndarray
    """(P,) names; empty where the cases cannot be used."""
    drawn: bool
    """The weights are drawn from the seed, so that each seed is a pretraining."""
    unit: str = "patients"
    """"cases" where the records name no patients."""
    note: str = ""
    """Why the cases cannot be used."""

    @property
    def by_pretraining(self) -> np.ndarray:
        """Values with each pretraining on the first axis, weights drawn from a seed too."""
        return np.swapaxes(self.values, 0, 1) if self.drawn else self.values

    @cached_property
    def of_checkpoints(self) -> Scores:
        """As they are compared over seeds and patients, the pretrainings as they are; a leading axis of 1."""
        return Scores(self.values[None], of_methods=False)

    @cached_property
    def of_methods(self) -> Scores:
        """As they are compared over pretrainings too; a leading axis of 1."""
        return Scores(self.by_pretraining[None], of_methods=True)

    @cached_property
    def without_patients(self) -> PatientScores:
        """The scores alone."""
        return replace(self, values=self.values.mean(axis=-1, keepdims=True), patients=np.empty(0, object))


def patient_scores(row: Row, score: ScoreDefinition, cases: CaseReader) -> PatientScores:
    """Read a row's scores by patient; by seed alone, and why, where its cases cannot be used."""
    seeds = tuple(sorted(row.seeds))
    records = [[row.cells[each.checkpoint, seed] for seed in seeds] for each in row.pretrainings]
    try:
        return _with_cases(records, seeds, row.drawn, score, cases)
    except EdenError as error:
        reason = str(error)
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:  # of a statistic, on cases it cannot use
        reason = f"its cases give no {score.name} ({type(error).__name__}: {error})"
    values = np.array([[[record.value] for record in several] for several in records])
    return PatientScores(values, seeds, np.empty(0, object), row.drawn, note=reason)


def _with_cases(
    records: Sequence[Sequence[Record]],
    seeds: tuple[int, ...],
    drawn: bool,
    score: ScoreDefinition,
    cases: CaseReader,
) -> PatientScores:
    found = [[_read(record, score, cases) for record in several] for several in records]
    _, patients, unit = found[0][0]
    if any(not (names is patients or np.array_equal(names, patients)) for several in found for _, names, _ in several):
        raise Unusable("its records are not of the same patients")
    return PatientScores(np.array([[values for values, _, _ in each] for each in found]), seeds, patients, drawn, unit)


def _read(record: Record, score: ScoreDefinition, cases: CaseReader) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a record's value of each patient, their names, and "patients" or "cases"."""
    scored, unit = read_scored(record, score, cases)
    whole = scored.whole if scored.statistic else None
    values = patient_values(scored.columns, score, scored.of_patient, whole)
    return values + (record.value - values.mean()), scored.names, unit
