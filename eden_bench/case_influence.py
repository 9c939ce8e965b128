"""Influence of each case on a statistic of the test set: what the statistic would gain if the case weighed more.

With w the weights of the N cases and T(w) the statistic, a case's influence is N dT/dw at equal weights (the
infinitesimal jackknife; Efron 1982): the influences sum to 0, T plus the mean influence of resampled cases approximates
T of that resample, and their variance over N is that of T under other cases. Of a mean they are the deviations from it,
of an AUC the placement values (DeLong et al., Biometrics 1988). A statistic without a closed form here is done by
leaving out one patient after another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from eden_bench.case_statistics import (
    Columns,
    Counted,
    Statistic,
    counted_of,
    iou_inputs,
    labels_of,
    of_label,
    order_of,
    statistic_of,
)
from eden_bench.contracts import ScoreDefinition

Influence = Callable[[Columns, str], np.ndarray]
"""Called with the columns and the score's name; returns (N,), sum 0."""
F = TypeVar("F", bound=Influence)

MOST_LEFT_OUT = 100_000_000
"""Cases looked at in all when patients are left out one after another: more take minutes."""
_CHUNK = 4_000_000
_KNOWN: dict[str, Influence] = {}


def register_influence(name: str) -> Callable[[F], F]:
    """Register the closed form of the influence of cases on a statistic (``register_statistic``)."""

    def register(function: F) -> F:
        _KNOWN[name] = function
        return function

    return register


def patient_values(
    columns: Columns, score: ScoreDefinition, of_patient: np.ndarray, value: float | None = None
) -> np.ndarray:
    """Return one value a patient, whose mean is the score and whose variance is the score's over patients, times P.

    Args:
        columns: of N cases.
        score: whose statistic is known.
        of_patient: (N,) index of each case's patient, 0 to P - 1.
        value: the score of all cases, where it is known.

    Returns:
        (P,) score plus the influence of all cases of the patient.

    Raises:
        ValueError: the statistic is not known here, or leaving out each patient takes too long.
    """
    statistic, closed = statistic_of(score), _KNOWN.get(score.statistic)
    if statistic is None:
        raise ValueError(f"no function of cases that is known here gives {score.name}")
    patients = int(of_patient.max()) + 1
    if closed is None:
        return left_out(columns, score.name, of_patient, statistic, counted_of(score))
    found = closed(columns, score.name)
    whole = statistic(columns, score.name) if value is None else value
    return whole + np.bincount(of_patient, found, patients) * (patients / len(found))


def influence(columns: Columns, score: ScoreDefinition) -> np.ndarray:
    """Return the influence of each case on a score, (N,), sum 0; as if each were a patient's only one."""
    cases = np.arange(len(next(iter(columns.values()))))
    values = patient_values(columns, score, cases)
    return values - values.mean()


def left_out(
    columns: Columns, name: str, of_patient: np.ndarray, statistic: Statistic, counted: Counted | None
) -> np.ndarray:
    """Return the jackknife's pseudo-values of patients around the score: T + (P - 1)(mean of T₋ₚ - T₋ₚ), (P,).

    Raises:
        ValueError: a patient's cases cannot be spared, or there are too many.
    """
    patients, cases = int(of_patient.max()) + 1, len(of_patient)
    if patients * cases > MOST_LEFT_OUT:
        raise ValueError(f"leaving out each of {patients:,} patients in turn looks at too many cases ({cases:,} each)")
    without = np.empty(patients)
    step = max(1, _CHUNK // cases)
    for start in range(0, patients, step):
        kept = of_patient != np.arange(start, min(patients, start + step))[:, None]
        without[start : start + step] = (
            counted(columns, name, kept.astype(float))
            if counted
            else [statistic({key: np.asarray(value)[each] for key, value in columns.items()}, name) for each in kept]
        )
    if np.isnan(without).any():
        raise ValueError(f"{name} has no value without some of the patients")
    return statistic(columns, name) + (patients - 1) * (without.mean() - without)


@register_influence("mean")
def of_mean(columns: Columns, name: str) -> np.ndarray:
    """Return deviations from the mean; 0 for cases without a value, which the mean skips.

    >>> of_mean({"dice": np.array([0.5, 1.0, np.nan])}, "dice").tolist()
    [-0.375, 0.375, 0.0]
    """
    values = np.asarray(columns[name], dtype=float)
    there = ~np.isnan(values)
    if there.all():
        return values - values.mean()
    return np.where(there, values - values[there].mean(), 0.0) * (len(values) / there.sum())


@register_influence("mean_over_labels")
def of_mean_over_labels(columns: Columns, name: str) -> np.ndarray:
    """Return deviations from the mean of the case's label, each label weighing the same."""
    values, labels = np.asarray(columns[name], dtype=float), np.asarray(columns["label"])
    there = ~np.isnan(values)
    _, group = np.unique(labels[there], return_inverse=True)
    counts = np.bincount(group)
    means = np.bincount(group, values[there]) / counts
    found = np.zeros(len(values))
    found[there] = (values[there] - means[group]) * len(values) / (counts[group] * len(counts))
    return found


@register_influence("auc")
def of_mean_auc(columns: Columns, name: str) -> np.ndarray:
    """Average the influence on the AUC over the labels that have both values."""
    found = [of_auc(*of_label(columns, each), order_of(columns, f"probability_{each}")) for each in labels_of(columns)]
    return np.mean(found, axis=0)


@register_influence("auc_of_column")
def of_auc_of_column(columns: Columns, name: str) -> np.ndarray:
    """Return the influence on the AUC of the column of the score's name for column "target"."""
    return of_auc(columns[name], columns["target"], order_of(columns, name))


def of_auc(probability: np.ndarray, target: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Return the influence on an AUC A: N (V - A) / n, with V the share of the n' other class that a case beats.

    V of a positive is the share of negatives below it, of a negative the share of positives above it, ties half; n is
    the size of the case's own class.

    >>> of_auc(np.array([0.1, 0.8, 0.8, 0.9]), np.array([0, 0, 1, 1])).tolist()
    [0.25, -0.25, -0.25, 0.25]
    """
    positive = np.asarray(target) == 1
    below = _share_below(np.asarray(probability), positive, order)
    sizes = np.where(positive, positive.sum(), (~positive).sum())
    return (below - below[positive].mean()) * len(positive) / sizes


def _share_below(probability: np.ndarray, positive: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Return the share of negatives below each positive, and of positives above each negative, ties half, (N,)."""
    order = np.argsort(probability) if order is None else order
    ranked, signs = probability[order], positive[order]
    new = np.concatenate([[True], ranked[1:] != ranked[:-1]])
    starts = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    ends = np.append(starts[1:], len(ranked))
    positives = np.concatenate([[0], np.cumsum(signs)])
    negatives = np.arange(len(ranked) + 1) - positives
    lower = (negatives[starts] + negatives[ends]) / (2 * negatives[-1])
    upper = 1 - (positives[starts] + positives[ends]) / (2 * positives[-1])
    found = np.empty(len(ranked))
    found[order] = np.where(signs, lower[group], upper[group])
    return found


@register_influence("iou_thresholds")
def of_pooled_iou(columns: Columns, name: str) -> np.ndarray:
    """Return the derivative of the released code's "Mean IoU", a mean of ratios of summed pixel counts."""
    overlap, predicted, true, pixels = iou_inputs(columns)
    true, pixels = true[:, None], pixels[:, None]
    background = pixels - predicted - true + overlap
    both = _of_ratio(overlap, predicted + true - overlap) + _of_ratio(background, pixels - overlap)
    return len(true) * both.mean(axis=1) / 2


def _of_ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Return the derivative of Σ part / Σ whole for each case, (N, ...); 0 where the whole is empty."""
    parts, wholes = part.sum(axis=0), whole.sum(axis=0)
    safe = np.maximum(wholes, 1)
    return np.where(wholes == 0, 0.0, (part - whole * (parts / safe)) / safe)
