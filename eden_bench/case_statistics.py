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
from eden_bench.statistics.ranking import auc, auc_of_counts, average_precision, stable_order

Columns = Mapping[str, np.ndarray]
"""Column name to (N,) values, one a case."""


class SortedColumns(dict[str, np.ndarray]):
    """Columns that keep the order of each that was asked for, since a report asks several times."""

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._orders: dict[str, np.ndarray] = {}

    def order(self, name: str) -> np.ndarray:
        """Return the ``stable_order`` of a column, (N,)."""
        if name not in self._orders:
            self._orders[name] = stable_order(self[name])
        return self._orders[name]


Statistic = Callable[[Columns, str], float]
"""Called with the columns and the score's name."""
Pixels = int | np.ndarray
S = TypeVar("S", bound=Statistic)
Counted = Callable[[Columns, str, np.ndarray], np.ndarray]
"""Called with the columns, the score's name and how often each case was drawn, (R, N) float; returns (R,) values."""
C = TypeVar("C", bound=Counted)

THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
"""Thresholds of the released code's "Mean IoU": 0.5, 0.55 … 0.95."""
WORST = "_worst5"
"""Ending of the names of means over the worst 5 % of the cases."""
_ENDINGS = ("", *(f"_{100 * level:.0f}" for level in THRESHOLDS[1:]))
_KNOWN: dict[str, Statistic] = {}
_COUNTED: dict[str, Counted] = {}


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


def register_counted(name: str) -> Callable[[C], C]:
    """Register the fast form of a statistic: all bootstrap resamples at once, from how often each drew each case.

    A statistic without one is called once a resample, with the drawn cases.
    """

    def register(function: C) -> C:
        _COUNTED[name] = function
        return function

    return register


def counted_of(score: ScoreDefinition) -> Counted | None:
    """Return the fast form of a score's statistic; None if it has none."""
    return _COUNTED.get(score.statistic)


def names() -> list[str]:
    """Return the names that are registered, sorted."""
    return sorted(_KNOWN)


def statistic_of(score: ScoreDefinition) -> Statistic | None:
    """Return the function that computes a score from its cases; None if it has none or its plugin is not loaded."""
    return _KNOWN.get(score.statistic)


@register_statistic("mean")
def mean(columns: Columns, name: str) -> float:
    """Average the column of the score's name; cases without a value (NaN) are skipped.

    >>> mean({"dice": np.array([0.5, 1.0, np.nan])}, "dice")
    0.75
    """
    values = np.asarray(columns[name], dtype=float)
    return float(values[~np.isnan(values)].mean())


@register_statistic("lowest_5_percent")
def lowest_5_percent(columns: Columns, name: str) -> float:
    """Average the lowest 5 % (rounded up) of the column that a name such as "dice_worst5" is of; NaN are skipped."""
    values = np.sort(np.asarray(columns[name.removesuffix(WORST)], dtype=float))
    values = values[~np.isnan(values)]
    return float(values[: -(-len(values) // 20)].mean())


@register_statistic("highest_5_percent")
def highest_5_percent(columns: Columns, name: str) -> float:
    """Average the highest 5 %, of a score that is the worse the higher it is; as ``lowest_5_percent``."""
    column = name.removesuffix(WORST)
    return -lowest_5_percent({column: -np.asarray(columns[column], dtype=float)}, name)


@register_statistic("mean_over_labels")
def mean_over_labels(columns: Columns, name: str) -> float:
    """Average the column of the score's name within each value of column "label", then over those that have a value.

    >>> mean_over_labels({"label": np.array(["a", "a", "b"]), "iou": np.array([0.0, 1.0, 1.0])}, "iou")
    0.75
    """
    values, labels = np.asarray(columns[name], dtype=float), np.asarray(columns["label"])
    there = ~np.isnan(values)
    return float(np.mean([values[there & (labels == label)].mean() for label in np.unique(labels[there])]))


@register_counted("mean_over_labels")
def counted_mean_over_labels(columns: Columns, name: str, counts: np.ndarray) -> np.ndarray:
    """Compute ``mean_over_labels`` of R resamples; NaN where one drew no case with a value."""
    values, labels = np.asarray(columns[name], dtype=float), np.asarray(columns["label"])
    there = ~np.isnan(values)
    of_label = (np.unique(labels[there])[:, None] == labels).T & there[:, None]
    drawn = counts @ of_label
    totals = counts @ np.where(of_label, np.where(there, values, 0)[:, None], 0)
    known = drawn > 0
    means = np.divide(totals, drawn, out=np.zeros_like(totals), where=known)
    several = known.sum(axis=1)
    return np.divide(means.sum(axis=1), several, out=np.full(len(counts), np.nan), where=several > 0)


@register_statistic("auc")
def mean_auc(columns: Columns, name: str) -> float:
    """Average ``auc`` over the labels (columns "probability_<label>", "target_<label>") that have both values."""
    found = [auc(*of_label(columns, label), order_of(columns, f"probability_{label}")) for label in labels_of(columns)]
    return float(np.mean(found)) if found else np.nan


def of_label(columns: Columns, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities and targets of a label."""
    return columns[f"probability_{label}"], columns[f"target_{label}"]


def order_of(columns: Columns, name: str) -> np.ndarray | None:
    """Return the order of a column where the columns keep it; None where whoever ranks it has to sort."""
    return columns.order(name) if isinstance(columns, SortedColumns) else None


def labels_of(columns: Columns) -> list[str]:
    """Return the labels (columns "target_<label>") that have both values, of which alone there is an AUC."""
    labels = [column.removeprefix("target_") for column in columns if column.startswith("target_")]
    return [label for label in labels if (columns[f"target_{label}"] != columns[f"target_{label}"][0]).any()]


@register_statistic("auprc")
def mean_auprc(columns: Columns, name: str) -> float:
    """Average ``average_precision`` over the labels that have both values."""
    found = [average_precision(*of_label(columns, label)) for label in labels_of(columns)]
    return float(np.mean(found)) if found else np.nan


@register_counted("auc")
def counted_auc(columns: Columns, name: str, counts: np.ndarray) -> np.ndarray:
    """Compute ``mean_auc`` of R resamples; NaN where a resample has no label with both values."""
    total, known = np.zeros(len(counts)), np.zeros(len(counts))
    for label in labels_of(columns):
        found = auc_of_counts(*of_label(columns, label), counts, order_of(columns, f"probability_{label}"))
        there = ~np.isnan(found)
        total[there] += found[there]
        known += there
    return np.divide(total, known, out=np.full(len(counts), np.nan), where=known > 0)


@register_statistic("auc_of_column")
def auc_of_column(columns: Columns, name: str) -> float:
    """Compute ``auc`` of the column of the score's name for column "target"; NaN where only one class occurs.

    >>> auc_of_column({"target": np.array([0, 1]), "novelty": np.array([0.1, 0.3])}, "novelty")
    1.0
    """
    target = np.asarray(columns["target"])
    return auc(np.asarray(columns[name]), target, order_of(columns, name)) if len(np.unique(target)) > 1 else np.nan


@register_counted("auc_of_column")
def counted_auc_of_column(columns: Columns, name: str, counts: np.ndarray) -> np.ndarray:
    """Compute ``auc_of_column`` of R resamples; NaN where one has only one of the two classes."""
    return auc_of_counts(np.asarray(columns[name]), np.asarray(columns["target"]), counts, order_of(columns, name))


@register_statistic("iou_thresholds")
def pooled_iou_thresholds(columns: Columns, name: str) -> float:
    """Compute ``iou_thresholds`` from the pixel counts of all cases summed."""
    overlap, predicted, true, pixels = (counts.sum(axis=0) for counts in iou_inputs(columns))
    return float(iou_thresholds(overlap, predicted, true, pixels))


def iou_inputs(columns: Columns) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pixel counts of cases, overlap and predicted (N, 10) per threshold, true and all (N,)."""
    overlap, predicted = (
        np.stack([np.asarray(columns[f"{kind}_px{ending}"], float) for ending in _ENDINGS], axis=-1)
        for kind in ("overlap", "predicted")
    )
    return overlap, predicted, np.asarray(columns["true_px"], float), np.asarray(columns["pixels"], float)


@register_counted("iou_thresholds")
def counted_iou_thresholds(columns: Columns, name: str, counts: np.ndarray) -> np.ndarray:
    """Compute ``pooled_iou_thresholds`` of R resamples."""
    overlap, predicted, true, pixels = (counts @ each for each in iou_inputs(columns))
    return iou_thresholds(overlap, predicted, true, pixels[:, None])


def dice(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Compute Dice 2|P∩T| / (|P| + |T|) from pixel counts of any equal shape; 1 if both are empty.

    >>> float(dice(np.array(2), np.array(4), np.array(4)))
    0.5
    """
    total = predicted + true
    return np.where(total == 0, 1.0, 2 * overlap / np.maximum(total, 1))


def iou(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Compute intersection over union |P∩T| / |P∪T| from pixel counts of any equal shape; 1 if both are empty."""
    union = predicted + true - overlap
    return np.where(union == 0, 1.0, overlap / np.maximum(union, 1))


def iou_thresholds(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray, pixels: Pixels) -> np.ndarray:
    """Return the released code's "Mean IoU": foreground and background IoU averaged, then over ``THRESHOLDS``.

    Either IoU is 1 where both masks are empty.

    Args:
        overlap: (..., 10) int64, pixels that are true and predicted, per threshold.
        predicted: (..., 10) int64, pixels that are predicted, per threshold.
        true: (...) int64, pixels that are true.
        pixels: pixels in all; (..., 1) where they differ.

    Returns:
        (...) in [0, 1].
    """
    true = true[..., None]
    foreground = iou(overlap, predicted, true)
    background = iou(pixels - predicted - true + overlap, pixels - predicted, pixels - true)
    return (foreground + background).mean(axis=-1) / 2
