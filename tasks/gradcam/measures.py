"""How well maps hit boxes: pointing, energy, IoU over thresholds, and regions by IoBB."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

THRESHOLDS = np.arange(1, 100) / 100
"""θ tried: 0.01, 0.02 … 0.99."""
EVAX_THRESHOLDS = 60
"""EVA-X tries the first of them, to 0.60."""
IOU_LEVELS = (0.1, 0.25, 0.5)
IOBB_LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
_CUTS = (60 / 255, 180 / 255)
_TIE = 1e-6
"""Pixels within this of the peak, relative to it, are its equals: interpolation rounds them apart."""


def pointing(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return whether each peak lies in its mask, (N,) in [0, 1]: the share of its pixels where it is a tie.

    Args:
        maps: (N, H, W), not negative.
        masks: (N, H, W) bool.
    """
    peaks = [one >= one.max() * (1 - _TIE) for one in maps]
    return np.array([mask[peak].mean() for peak, mask in zip(peaks, masks, strict=True)])


def energy(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return the share of each map's sum that lies in its mask, (N,) in [0, 1]; 0 for a map of zeros."""
    inside = np.array([one[mask].sum(dtype=np.float64) for one, mask in zip(maps, masks, strict=True)])
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    return np.minimum(np.divide(inside, total, out=np.zeros(len(maps)), where=total > 0), 1.0)


def curves(maps: np.ndarray, masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return IoU of {map > θ} with the mask, and pixels of it over the mask's, at every θ: (N, 99) each."""
    above, both = (np.zeros((len(maps), len(THRESHOLDS))) for _ in range(2))
    for row, (one, mask) in enumerate(zip(maps, masks, strict=True)):
        passed = np.searchsorted(THRESHOLDS.astype(one.dtype), one, side="left")
        above[row], both[row] = _at_least(passed), _at_least(passed[mask])
    true = masks.sum(axis=(1, 2))[:, None]
    return both / np.maximum(above + true - both, 1), above / np.maximum(true, 1)


def _at_least(passed: np.ndarray) -> np.ndarray:
    """Return how many pixels passed each θ, given how many θ each passed."""
    counts = np.bincount(passed.ravel(), minlength=len(THRESHOLDS) + 1)
    return counts[::-1].cumsum()[::-1][1:]


def thresholds_by_fold(ious: np.ndarray, labels: Sequence[str], folds: np.ndarray) -> np.ndarray:
    """Return for each row the position of the θ whose IoU, averaged by label, is best on the rows of other folds.

    Args:
        ious: (N, T).
        labels: (N,).
        folds: (N,), at least two.
    """
    names, chosen = np.array(labels), np.zeros(len(folds), dtype=np.int64)
    for fold in np.unique(folds):
        others = folds != fold
        each = [ious[others & (names == label)].mean(axis=0) for label in sorted(set(names[others].tolist()))]
        chosen[folds == fold] = int(np.mean(each, axis=0).argmax())
    return chosen


def evax_threshold(ious: np.ndarray) -> int:
    """Return the position of the θ, to 0.60, at which most IoUs are above 0.25 and 0.5, on these very rows."""
    tried = ious[:, :EVAX_THRESHOLDS]
    return int(((tried > 0.25).mean(axis=0) + (tried > 0.5).mean(axis=0)).argmax())


def regions(maps: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """Return "iobb_10" … (whether a region has an IoBB above T) and "afp_10" … (how many have not), (N,) each."""
    found = [_iobbs(one, mask) for one, mask in zip(maps, masks, strict=True)]
    columns: dict[str, np.ndarray] = {}
    for level in IOBB_LEVELS:
        columns[f"iobb_{100 * level:.0f}"] = np.array([float((each > level).any()) for each in found])
        columns[f"afp_{100 * level:.0f}"] = np.array([float((each <= level).sum()) for each in found])
    return columns


def _iobbs(one: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the IoBB of each region of a map."""
    each = []
    for cut in _CUTS:
        _, _, stats, _ = cv2.connectedComponentsWithStats((one > cut).astype(np.uint8), connectivity=8)
        each += [mask[y : y + high, x : x + wide].mean() for x, y, wide, high, _ in stats[1:].tolist()]
    return np.array(each)
