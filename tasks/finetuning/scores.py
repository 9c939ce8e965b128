"""Scores of segmentation and classification: pure functions on counts, masks and probabilities.

Each has one definition, written where it is computed; all lie in [0, 1] and higher is better.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eden_bench.case_statistics import dice, iou
from eden_bench.statistics.ranking import auc, average_precision


def count_pixels(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count overlap, predicted and true pixels of masks, whose pixels are packed to bits first.

    Args:
        predicted: (..., H, W) bool.
        true: (..., H, W) bool, as many.

    Returns:
        Three arrays (...) int64.
    """
    p, t = _packed(predicted), _packed(true)
    return _ones(p & t), _ones(p), _ones(t)


def segmentation_scores(overlap: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Summarise a test set.

    Args:
        overlap: (N, S) int64, pixels of N images and S structures that are predicted and true.
        predicted: (N, S) int64, pixels that are predicted.
        true: (N, S) int64, pixels that are true.

    Returns:
        "dice" and "iou", means over images and structures, 1 where both masks are empty; "dice_nonempty", the mean
        over those whose true mask is not empty, and "dice_empty" over the others (the share of them left empty), each
        only where there are such; "dice_pooled" and "iou_pooled", from the pixel counts summed over all of them
        (the released code's "Dice" and "IoU", whose "Mean Dice" is "dice" here).
    """
    sums = (overlap.sum(), predicted.sum(), true.sum())
    each, empty = dice(overlap, predicted, true), true == 0
    parts = {"dice_nonempty": each[~empty], "dice_empty": each[empty]}
    return {
        "dice": float(each.mean()),
        **{name: float(part.mean()) for name, part in parts.items() if len(part)},
        "dice_pooled": float(dice(*sums)),
        "iou": float(iou(overlap, predicted, true).mean()),
        "iou_pooled": float(iou(*sums)),
    }


def label_scores(probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Return "auc" and "auprc", means over labels that have both values, and "auc_<label>" … for each of those.

    Args:
        probabilities: (N, L).
        targets: (N, L) 0 or 1.
        labels: L names.
    """
    without = labels_without_auc(targets, labels)
    columns = {label: column for column, label in enumerate(labels) if label not in without}
    values: dict[str, float] = {}
    for name, score in (("auc", auc), ("auprc", average_precision)):
        each = {f"{name}_{label}": score(probabilities[:, c], targets[:, c]) for label, c in columns.items()}
        values |= {name: float(np.mean(list(each.values()))), **each}
    return values


def f1_thresholds(probabilities: np.ndarray, targets: np.ndarray, labels: Sequence[str]) -> dict[str, float]:
    """Choose for each label the probability from which "positive" has the highest F1; labels of one value have none.

    Of equal ones it is the highest. To be chosen on validation images, and used on others.

    Args:
        probabilities: (N, L) of the validation images.
        targets: (N, L) 0 or 1.
        labels: L names.

    >>> f1_thresholds(np.array([[0.1], [0.6], [0.4], [0.9]]), np.array([[0], [0], [1], [1]]), ["Mass"])
    {'Mass': 0.4}
    """
    without = labels_without_auc(targets, labels)
    return {
        label: _best_threshold(probabilities[:, column], targets[:, column] == 1)
        for column, label in enumerate(labels)
        if label not in without
    }


def _best_threshold(probability: np.ndarray, positive: np.ndarray) -> float:
    """Return the highest of the thresholds with the highest F1 = 2 TP / (predicted + true)."""
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    found, called = np.cumsum(positive[order])[last], np.flatnonzero(last) + 1
    return float(ranked[last][np.argmax(2 * found / (called + positive.sum()))])


def labels_without_auc(targets: np.ndarray, labels: Sequence[str]) -> list[str]:
    """Return the labels that have one value only in the (N, L) targets; they are left out of the mean."""
    return [label for column, label in enumerate(labels) if len(np.unique(targets[:, column])) < 2]


def _packed(masks: np.ndarray) -> np.ndarray:
    """Pack (..., H, W) bool to (..., n) uint64, the pixels' bits and zeros."""
    pixels = masks.reshape(*masks.shape[:-2], -1)
    if missing := -pixels.shape[-1] % 64:
        pixels = np.pad(pixels, [(0, 0)] * (pixels.ndim - 1) + [(0, missing)])
    return np.packbits(pixels).view(np.uint64).reshape(*pixels.shape[:-1], -1)


def _ones(words: np.ndarray) -> np.ndarray:
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)
