"""Detect the field of view of a fundus photograph and crop to it."""

from __future__ import annotations

import cv2
import numpy as np

_LOOK_PX = 512
"""Side that a photograph is shrunk to before its field is looked for."""


def cropped_to_field(image: np.ndarray, level: float) -> np.ndarray:
    """Crop a photograph to the box around its field of view.

    Args:
        image: (H, W, 3) uint8.
        level: share of the 98th percentile of the brightest channel above which a pixel belongs to the field; the
            largest connected part counts, so that text and dust in the border do not.

    Returns:
        (h, w, 3) uint8, a view; empty where the image is black all over.
    """
    top, bottom, left, right = field_box(image, level)
    return image[top:bottom, left:right]


def field_box(image: np.ndarray, level: float) -> tuple[int, int, int, int]:
    """Detect the field of view: top, bottom, left, right, all 0 if there is none; see ``cropped_to_field``."""
    height, width = image.shape[:2]
    shrink = max(1.0, max(height, width) / _LOOK_PX)
    size = [max(1, round(side / shrink)) for side in (width, height)]
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA)).max(axis=2)
    field = (small > level * np.percentile(small, 98)).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(field, connectivity=4)
    if count < 2:
        return 0, 0, 0, 0
    x, y, across, down, _ = stats[1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))].tolist()
    rows, columns = height / size[1], width / size[0]
    return round(y * rows), round((y + down) * rows), round(x * columns), round((x + across) * columns)
