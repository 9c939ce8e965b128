"""Codes of patches that no network made: an oracle's, and what a box tells of itself.

The oracle's is an area mean over a patch's own pixels, taken before any resizing, so that a whole is exactly the sum of
its parts.
"""

from __future__ import annotations

import numpy as np

GREYS = 16
"""Bins of equal width that the oracle sorts pixels into."""
_OCTAVES = 3


def content(film: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Encode patches by the shares of their pixels in each grey bin, and the mean of their x and of their y.

    Beyond the border the film is replicated. Exactly additive: the code of a whole is the mean of its parts' codes by
    area.

    Args:
        film: (H, W) uint8.
        boxes: (..., 4) int, left, top, right, bottom in pixels.

    Returns:
        (..., GREYS + 2) float64, x and y in shares of the film.
    """
    binned = (film // (256 // GREYS)).astype(np.int64)
    codes = [_content(binned, box) for box in boxes.reshape(-1, 4)]
    return np.stack(codes).reshape(*boxes.shape[:-1], GREYS + 2)


def _content(binned: np.ndarray, box: np.ndarray) -> np.ndarray:
    (height, width), (left, top, right, bottom) = binned.shape, box
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    greys = np.bincount(binned[rows[:, None], columns].ravel(), minlength=GREYS) / (len(rows) * len(columns))
    return np.concatenate([greys, [(left + right) / (2 * width), (top + bottom) / (2 * height)]])


def box(boxes: np.ndarray, size_px: int) -> np.ndarray:
    """Encode squares by Fourier features of their centre and side: all that their coordinates tell, and no pixel.

    Args:
        boxes: (..., 4) left, top, right, bottom in pixels of a square film.
        size_px: side of the film.

    Returns:
        (..., 18) float64 in [-1, 1]: sine and cosine of π, 2π and 4π times x, y and side in film sides.
    """
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    places = np.concatenate([centre, boxes[..., 2:3] - boxes[..., :1]], axis=-1) / size_px
    angles = (np.pi * 2.0 ** np.arange(_OCTAVES) * places[..., None]).reshape(*boxes.shape[:-1], -1)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
