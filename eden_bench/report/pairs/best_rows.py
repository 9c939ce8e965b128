"""Compare each row of a table with the best of all others, whichever that is, over fine-tuning seeds and patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from eden_bench.report.cases.patient_scores import PatientScores
from eden_bench.report.findings import Best
from eden_bench.report.tables import Table, ranges
from eden_bench.statistics.best import with_the_best
from eden_bench.statistics.hierarchy import compared

_SCOPE = "these checkpoints, other fine-tuning seeds"


def best_rows(table: Table, scores: Mapping[str, PatientScores], tables: int = 1) -> dict[str, Best]:
    """Return each row's comparison with the best of the others; rows whose seeds are others than most have none.

    The intervals hold for all rows of so many tables together, so that a report names no best one by chance.
    The errors of the rows' means and what they share are those of the pairs' differences (``statistics.hierarchy``).
    """
    seeds, _ = Counter(each.seeds for each in scores.values()).most_common(1)[0]
    alike = {label: each for label, each in scores.items() if each.seeds == seeds and seeds}
    found = {
        label: _none(f"its seeds are {ranges(each.seeds)}, most rows' {ranges(seeds)}")
        for label, each in scores.items()
        if label not in alike
    }
    labels, several = list(alike), _over_equal_patients(list(alike.values()))
    over = f"{_SCOPE} and other {several[0].unit}" if len(several[0].patients) else _SCOPE
    if len(labels) < 2 or (len(seeds) < 2 and not len(several[0].patients)):
        return found | {label: _none("too few rows, seeds or patients to compare") for label in labels}
    means = [next(row for row in table.rows if row.label == label).summary.mean for label in labels]
    covariance, df = _covariance(several)
    compared = with_the_best(means, covariance, df, higher_is_better=table.score.higher_is_better, tables=tables)
    return found | {
        label: Best(low=low, high=high, verdict=verdict, note=note or over)
        for label, (low, high, verdict, note) in zip(labels, compared, strict=True)
    }


def _none(note: str) -> Best:
    return Best(low=None, high=None, verdict="no claim", note=note)


def _over_equal_patients(several: Sequence[PatientScores]) -> list[PatientScores]:
    """Return the scores over patients where all have the same, else over seeds alone."""
    first = several[0].patients
    same = len(first) and all(np.array_equal(each.patients, first) for each in several)
    return list(several) if same else [each.without_patients for each in several]


def _covariance(several: Sequence[PatientScores]) -> tuple[np.ndarray, float]:
    """Return the covariance of the means relative to the first row's, and the smallest degrees of freedom.

    Of differences V to the first row, C(k, l) = (V(k, 1) + V(l, 1) - V(k, l)) / 2, made free of negative variances.
    """
    squares, df = np.zeros((len(several), len(several))), np.inf
    pairs: dict[tuple[tuple[int, ...], ...], list[tuple[int, int]]] = {}
    for other, k in combinations(range(len(several)), 2):
        shapes = tuple(several[each].of_checkpoints.values.shape for each in (k, other))
        pairs.setdefault(shapes, []).append((k, other))
    for places in pairs.values():
        both = [(several[k].of_checkpoints, several[other].of_checkpoints) for k, other in places]
        found = compared(both, shared_seeds=True)
        first, second = np.transpose(places)
        squares[first, second] = squares[second, first] = found.error**2
        df = min(df, float(np.nan_to_num(found.df, nan=np.inf).min()))
    values, vectors = np.linalg.eigh((squares[:, :1] + squares[:1] - squares) / 2)
    return (vectors * values.clip(0)) @ vectors.T, df
