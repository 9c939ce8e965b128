"""Statistics of a test set, each a function of the columns of its cases.

A score names the one it is (``ScoreDefinition.statistic``), so whoever has a record can compute it anew, of all its
cases or of patients drawn with replacement. Ours and a plugin's (``register_statistic``) come through one door.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from eden_bench.contracts import ScoreDefinition
from eden_bench.errors import PluginError

Columns = Mapping[str, np.ndarray]
"""Column name to (N,) values, one a case."""
Statistic = Callable[[Columns, str], float]
"""Called with the columns and the score's name."""
S = TypeVar("S", bound=Statistic)

THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
"""Thresholds of the released code's "Mean IoU": 0.5, 0.55 … 0.95."""
_KNOWN: dict[str, Statistic] = {}


def register_statistic(name: str) -> Callable[[S], S]:
    """Register a function of (columns, score name) under the name that a ``ScoreDefinition.statistic`` gives.

    Raises:
        PluginError: another function has the name.
    """

    def register(function: S) -> S:
        taken = _KNOWN.setdefault(name, function)
        if (taken.__module__, taken.__qualname__) != (function.__module__, function.__qualname__):
            raise PluginError(f"statistic {name!r} is defined twice, in {taken.__module__} and {function.__module__}")
        return function

    return register


def names() -> list[str]:
    """Return the names that are registered, sorted."""
    return sorted(_KNOWN)


def statistic_of(score: ScoreDefinition) -> Statistic | None:
    """Return the function that a score is of its cases; None where it is none, or its plugin is not loaded."""
    return _KNOWN.get(score.statistic)


@register_statistic("mean")
def mean(columns: Columns, name: str) -> float:
    """Average the column of the score's name; a case that has no value (NaN) is left out.

    >>> mean({"dice": np.array([0.5, 1.0, np.nan])}, "dice")
    0.75
    """
    values = np.asarray(columns[name], dtype=float)
    return float(values[~np.isnan(values)].mean())


@register_statistic("auc")
def mean_auc(columns: Columns, name: str) -> float:
    """Average ``auc`` over the labels (columns "probability_<label>", "target_<label>") that have both values."""
    labels = [column.removeprefix("target_") for column in columns if column.startswith("target_")]
    found = [
        auc(columns[f"probability_{label}"], columns[f"target_{label}"])
        for label in labels
        if len(np.unique(columns[f"target_{label}"])) > 1
    ]
    return float(np.mean(found)) if found else np.nan


@register_statistic("iou_thresholds")
def pooled_iou_thresholds(columns: Columns, name: str) -> float:
    """Compute ``iou_thresholds`` from the pixel counts of all cases summed."""
    endings = ["", *(f"_{100 * level:.0f}" for level in THRESHOLDS[1:])]
    overlap, predicted = (
        np.array([columns[f"{kind}_px{ending}"].sum() for ending in endings]) for kind in ("overlap", "predicted")
    )
    return float(iou_thresholds(overlap, predicted, columns["true_px"].sum(), columns["pixels"].sum()))


def dice(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Dice 2|P∩T| / (|P| + |T|) from pixel counts of any equal shape; 1 where both are empty.

    >>> float(dice(np.array(2), np.array(4), np.array(4)))
    0.5
    """
    total = predicted + true
    return np.where(total == 0, 1.0, 2 * overlap / np.maximum(total, 1))


def iou(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Intersection over union |P∩T| / |P∪T| from pixel counts of any equal shape; 1 where both are empty."""
    union = predicted + true - overlap
    return np.where(union == 0, 1.0, overlap / np.maximum(union, 1))


def iou_thresholds(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray, pixels: int) -> np.ndarray:
    """Return the released code's "Mean IoU": foreground and background IoU averaged, then over ``THRESHOLDS``.

    Either IoU is 1 where both masks are empty.

    Args:
        overlap: (..., 10) int64, pixels that are true and predicted, per threshold.
        predicted: (..., 10) int64, pixels that are predicted, per threshold.
        true: (...) int64, pixels that are true.
        pixels: pixels in all.

    Returns:
        (...) in [0, 1].
    """
    true = true[..., None]
    foreground = iou(overlap, predicted, true)
    background = iou(pixels - predicted - true + overlap, pixels - predicted, pixels - true)
    return (foreground + background).mean(axis=-1) / 2


def auc(probability: np.ndarray, target: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, a tie counting half.

    Args:
        probability: (N,) any score that rises with belief.
        target: (N,) 0 or 1; both must occur.

    Raises:
        ValueError: only one of the two classes occurs, so that there is no AUC.

    >>> auc(np.array([0.1, 0.8, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    0.875
    """
    positive = target == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError(f"no AUC: {positives} positive and {negatives} negative cases, expected at least 1 of each")
    rank_sum = mean_ranks(probability)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def mean_ranks(values: np.ndarray) -> np.ndarray:
    """Rank values from 1, equal ones sharing the mean of theirs.

    >>> mean_ranks(np.array([5, 3, 5]))
    array([2.5, 1. , 2.5])
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
