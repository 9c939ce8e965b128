"""Scores of segmentation and classification: pure functions on counts, masks and probabilities.

Each has one definition, written where it is computed; all lie in [0, 1] and higher is better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THRESHOLDS = tuple(0.5 + 0.05 * step for step in range(10))
"""Thresholds of the released code's "Mean IoU": 0.5, 0.55 … 0.95."""


def dice(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Dice 2|P∩T| / (|P| + |T|) from pixel counts of any equal shape; 1 where both are empty."""
    total = predicted + true
    return np.where(total == 0, 1.0, 2 * overlap / np.maximum(total, 1))


def iou(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Intersection over union |P∩T| / |P∪T| from pixel counts of any equal shape; 1 where both are empty."""
    union = predicted + true - overlap
    return np.where(union == 0, 1.0, overlap / np.maximum(union, 1))


def segmentation_scores(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Summarise a test set.

    Args:
        overlap: (N, S) int64, pixels of N images and S structures that are predicted and true.
        predicted: (N, S) int64, pixels that are predicted.
        true: (N, S) int64, pixels that are true.

    Returns:
        "dice" and "iou", means over images and structures; "dice_pooled" and "iou_pooled", from the pixel counts
        summed over all of them (the released code's "Dice" and "IoU", whose "Mean Dice" is "dice" here).
    """
    sums = (overlap.sum(), predicted.sum(), true.sum())
    return {
        "dice": float(dice(overlap, predicted, true).mean()),
        "dice_pooled": float(dice(*sums)),
        "iou": float(iou(overlap, predicted, true).mean()),
        "iou_pooled": float(iou(*sums)),
    }


def iou_thresholds(overlap: np.ndarray, predicted: np.ndarray, true: int, pixels: int) -> float:
    """Return the released code's "Mean IoU": foreground and background IoU averaged, then over ``THRESHOLDS``.

    Args:
        overlap: (10,) int64, pooled pixels that are true and predicted, per threshold.
        predicted: (10,) int64, pooled pixels that are predicted, per threshold.
        true: pooled pixels that are true.
        pixels: pooled pixels in all.
    """
    foreground = iou(overlap, predicted, np.full_like(predicted, true))
    outside = pixels - predicted - true + overlap
    background = iou(outside, pixels - predicted, np.full_like(predicted, pixels - true))
    return float((foreground + background).mean() / 2)


def auc(probability: np.ndarray, target: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a positive outranks a negative, a tie counting half.

    Args:
        probability: (N,) any score that rises with belief.
        target: (N,) 0 or 1; both must occur.

    Raises:
        ValueError: only one of the two classes occurs, so that there is no AUC.
    """
    positive = target == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError(f"no AUC: {positives} positive and {negatives} negative cases, expected at least 1 of each")
    rank_sum = _mean_ranks(probability)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def auc_scores(probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Return "auc", the mean over labels that have both values, and "auc_<label>" for each of those.

    Args:
        probabilities: (N, L).
        targets: (N, L) 0 or 1.
        labels: L names.
    """
    per_label = {
        f"auc_{label}": auc(probabilities[:, column], targets[:, column])
        for column, label in enumerate(labels)
        if label not in labels_without_auc(targets, labels)
    }
    return {"auc": float(np.mean(list(per_label.values()))), **per_label}


def labels_without_auc(targets: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Return the labels that have one value only in the (N, L) targets; they are left out of the mean."""
    return [label for column, label in enumerate(labels) if len(np.unique(targets[:, column])) < 2]


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
