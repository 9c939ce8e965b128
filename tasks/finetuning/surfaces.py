"""Surface distances of masks: the 95th percentile Hausdorff distance, and normalised surface distance at a tolerance.

Conventions, since tools differ in each of them: the **surface** of a mask is its pixels that lack one of their four
neighbours, those at the image's border included; a **distance** is Euclidean, between pixel centres, in pixels of the
scored size; **HD95** is the larger of the two directed 95th percentiles, interpolated linearly, of each image and
structure by itself, never of distances pooled over images; **NSD** is the share of both surfaces together that lies
within the tolerance of the other, a distance of just the tolerance included (Nikolov et al., arXiv:1809.04430). Two
empty masks are 0 px apart and agree wholly, as Dice has it; where one alone is empty NSD is 0 and HD95 the image's
diagonal, between the centres of its corner pixels, so that no missed structure drops out of a mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from eden_bench.case_statistics import highest_5_percent, lowest_5_percent

_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_PERCENT = 95


class Surfaces(NamedTuple):
    """Surface scores of N images and S structures, each (N, S) float64."""

    hd95: np.ndarray
    """In pixels of the scored size, or in mm after ``scaled``; 0 and more."""
    nsd: np.ndarray
    """In [0, 1]."""

    @classmethod
    def of(cls, predicted: np.ndarray, true: np.ndarray, tolerance_px: float) -> Surfaces:
        """Compare the surfaces of a batch of masks, both (B, S, H, W) bool."""
        shape = predicted.shape[:2]
        each = [
            surface_scores(predicted[place], true[place], tolerance_px)
            for place in np.ndindex(*shape)  # one image and structure at a time: each has a box of its own
        ]
        hd95, nsd = np.array(each, dtype=float).reshape(*shape, 2).transpose(2, 0, 1)
        return cls(hd95, nsd)

    @classmethod
    def joined(cls, parts: Sequence[Surfaces]) -> Surfaces:
        """Concatenate the scores of batches."""
        return cls(*map(np.concatenate, zip(*parts, strict=True)))

    def scaled(self, mm_per_px: float) -> Surfaces:
        """Return the distances in mm."""
        return self._replace(hd95=self.hd95 * mm_per_px)

    def scores(self, structures: Sequence[str]) -> dict[str, float]:
        """Average over structures, then over images; of each structure; and of the worst 5 % of images."""
        hd95, nsd = self.hd95.mean(axis=1), self.nsd.mean(axis=1)
        columns = {"hd95": hd95, "nsd": nsd}
        values = {"hd95": hd95.mean(), "nsd": nsd.mean()}
        values |= {f"{name}_{part}": column.mean() for name, part, column in self._each(structures)}
        values["hd95_worst5"] = highest_5_percent(columns, "hd95_worst5")
        values["nsd_worst5"] = lowest_5_percent(columns, "nsd_worst5")
        return {name: float(value) for name, value in values.items()}

    def cases(self, structures: Sequence[str]) -> dict[str, list[float]]:
        """Return the columns of the cases, one row an image: mean over structures, and each of several."""
        columns = {"hd95": self.hd95.mean(axis=1), "nsd": self.nsd.mean(axis=1)}
        columns |= {f"{name}_{part}": column for name, part, column in self._each(structures)}
        return {name: values.tolist() for name, values in columns.items()}

    def _each(self, structures: Sequence[str]) -> list[tuple[str, str, np.ndarray]]:
        several = structures if len(structures) > 1 else ()
        return [
            (name, part, values[:, column])
            for name, values in self._asdict().items()
            for column, part in enumerate(several)
        ]


def surface_scores(predicted: np.ndarray, true: np.ndarray, tolerance_px: float) -> tuple[float, float]:
    """Return HD95 in pixels and NSD of two masks (H, W) bool.

    >>> mask = np.zeros((5, 9), bool)
    >>> moved = mask.copy()
    >>> mask[2, 1:4], moved[2, 4:7] = True, True
    >>> surface_scores(mask, moved, tolerance_px=1)
    (2.9, 0.3333333333333333)
    """
    if not (predicted.any() and true.any()):
        both_empty = not (predicted.any() or true.any())
        return (0.0, 1.0) if both_empty else (float(np.hypot(*np.subtract(true.shape, 1))), 0.0)
    there, back = surface_distances(predicted, true)
    near = np.count_nonzero(there <= tolerance_px) + np.count_nonzero(back <= tolerance_px)
    return max(_percentile(there), _percentile(back)), float(near / (len(there) + len(back)))


def surface_distances(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances in pixels from each surface pixel of one mask (H, W) bool to the other's, and back.

    Both must hold a pixel. They are exact: squares are whole numbers, so what the distance transform rounds is undone.
    """
    p, t = _in_their_box(predicted, true)
    p, t = _surface(p), _surface(t)
    return _to_nearest(t, p > 0), _to_nearest(p, t > 0)


def _in_their_box(predicted: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop both masks to the box around them, as uint8; nothing outside it is nearer than what is inside."""
    p, t = predicted.view(np.uint8), true.view(np.uint8)
    left, top, width, height = cv2.boundingRect(p | t)
    return p[top : top + height, left : left + width], t[top : top + height, left : left + width]


def _surface(mask: np.ndarray) -> np.ndarray:
    """Return the pixels of a mask that lack a neighbour; what lies beyond the box or the image is background."""
    inner = cv2.erode(mask, _CROSS, borderType=cv2.BORDER_CONSTANT, borderValue=(0,))
    return cv2.subtract(mask, inner)


def _to_nearest(surface: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel in ``of`` (h, w) to the nearest pixel of a surface, (n,) float64."""
    found = cv2.distanceTransform(1 - surface, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[of].astype(float)
    exact: np.ndarray = np.sqrt(np.rint(found * found))
    return exact


def _percentile(distances: np.ndarray) -> float:
    """Return the 95th percentile of distances, between the two nearest of them in proportion."""
    place = (len(distances) - 1) * _PERCENT / 100
    low = int(place)
    parted = np.partition(distances, (low, min(low + 1, len(distances) - 1)))
    above = parted[min(low + 1, len(distances) - 1)]
    return float(parted[low] + (place - low) * (above - parted[low]))
