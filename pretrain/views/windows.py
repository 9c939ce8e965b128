"""Cut the pixel window that a view is resampled from, at the level that fits its crop, with its antialiasing.

Released code resizes crops of the original with PIL, whose bilinear filter grows wider as a crop shrinks: a triangle
that reaches as far as the distance of two view pixels. Here a crop is cut from the coarsest level at which it still has
the view's pixels, so that its shorter side shrinks by less than 2, and a few taps before plain bilinear resampling give
it the variance of that triangle (`docs/decisions/007-crops-from-the-original.md`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from eden_bench.contracts import Anchor
from pretrain.views.pixels import whole_weights

_NEGLIGIBLE = 1 / 16
"""A variance in square pixels: what a crop that is 1.17 times the view asks for."""


class Window(NamedTuple):
    """Pixels that one view is rendered from."""

    pixels: np.ndarray
    """(h, w) or (h, w, 3) uint8; no more than the crop touches."""
    crop: tuple[float, float, float, float]
    """Top, left, height and width in these pixels."""
    averaged: float
    """How many pixels of the anchor's finest level one of these stands for, along a side."""


def cut(anchor: Anchor, crop: Sequence[float], size_px: int) -> Window:
    """Cut a crop out of the coarsest level that has at least the view's pixels; average it further where it has twice.

    Args:
        anchor: where from.
        crop: top, left, height and width in the anchor's pixels (``Anchor.px``).
        size_px: side of the view.
    """
    box = _in_finest(anchor, crop)
    finest = len(anchor.levels[0])
    larger = min(box[2:]) / size_px
    level = next((level for level in reversed(anchor.levels) if larger * len(level) >= finest), anchor.levels[0])
    by = 1 << max(0, int(larger * len(level) / finest).bit_length() - 1)
    top, left, height, width = (value * len(level) / (finest * by) for value in box)
    rows, columns = (
        slice(math.floor(start), min(math.ceil(start + length), side // by))
        for start, length, side in ((top, height, level.shape[0]), (left, width, level.shape[1]))
    )
    pixels = level[rows.start * by : rows.stop * by, columns.start * by : columns.stop * by]
    if by > 1:
        size = (columns.stop - columns.start, rows.stop - rows.start)
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return Window(pixels, (top - rows.start, left - columns.start, height, width), finest / len(level) * by)


def antialiasing(windows: Sequence[Window], size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the taps along y and along x, (B, K) each, that make bilinear resampling of windows as smooth as PIL's.

    PIL's triangle has the variance s²/6 for a crop s > 1 times the view. Pixels that were averaged from f along a side
    bring (1 - 1/f²)/12 of their own square, and interpolation between two brings t (1 - t), t being the second one's
    share; the taps bring the rest, where it is enough to be worth their time.
    """
    averaged = np.tile([float(window.averaged) for window in windows], 2)
    crops = np.array([window.crop for window in windows]).T
    step, start = np.concatenate([crops[2], crops[3]]) / size_px, np.concatenate([crops[0], crops[1]])
    share = ((np.arange(size_px) + 0.5) * step[:, None] + start[:, None] - 0.5) % 1
    missing = step**2 / 6 - (share * (1 - share)).mean(axis=1) - (1 - averaged**-2) / 12
    smoothed = (step * averaged > 1) & (missing >= _NEGLIGIBLE)
    along_y, along_x = triangles(np.where(smoothed, missing, 0)).reshape(2, len(windows), -1)
    return along_y, along_x


def triangles(variance: np.ndarray) -> np.ndarray:
    """Return taps of given variances, in whole 256ths: discrete triangles, mixed of the two nearest whole half-widths.

    The triangle of half-width m sampled by ``max(0, m - |k|) / m²`` makes of linear interpolation one that is m times
    wider, exactly; its variance is (m² - 1) / 6.

    Args:
        variance: (B,); nothing is smoothed where it is not positive.

    Returns:
        (B, K) float32, K odd.
    """
    square = 6 * np.maximum(variance, 0)[:, None] + 1
    width = np.floor(np.sqrt(square))
    offsets = np.arange(-int(width.max()), int(width.max()) + 1)
    narrow, wide = (np.maximum(0, w - np.abs(offsets)) / w**2 for w in (width, width + 1))
    share = (square - width**2) / (2 * width + 1)
    return whole_weights((1 - share) * narrow + share * wide)


def _in_finest(anchor: Anchor, crop: Sequence[float]) -> tuple[float, float, float, float]:
    top, left, height, width = anchor.box
    along_y, along_x = height / anchor.px[0], width / anchor.px[1]
    return top + crop[0] * along_y, left + crop[1] * along_x, crop[2] * along_y, crop[3] * along_x
