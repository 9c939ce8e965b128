"""Validate and draw masks that are stored as polygons or run lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tasks.reading.files import Damaged

if TYPE_CHECKING:
    import numpy as np

_FARTHEST_PX = 100_000
"""No annotator drew beyond this; OpenCV counts pixels in 32 bits."""
_MOST_POINTS = 100_000


def polygon_of(points: object) -> tuple[float, ...]:
    """Validate and flatten one polygon of a JSON file.

    Args:
        points: a list of [x, y], at least three.

    Returns:
        (x0, y0, x1, y1, …) in pixels.

    Raises:
        Damaged: it is anything else; says what was found and what was expected.
    """
    if not isinstance(points, list) or not 3 <= len(points) <= _MOST_POINTS:
        found = f"{len(points):,} points" if isinstance(points, list) else repr(points)[:40]
        raise Damaged(f"is a polygon of {found}", f"3 to {_MOST_POINTS:,} points [x, y]")
    flat: list[float] = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2 or not all(map(is_coordinate, point)):
            raise Damaged(f"has the point {repr(point)[:40]}", f"two numbers within ±{_FARTHEST_PX:,}")
        flat += point
    return tuple(flat)


def is_coordinate(value: object) -> bool:
    """Return whether a JSON value is a finite number of pixels; booleans are not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_FARTHEST_PX <= value <= _FARTHEST_PX


def polygons_mask(polygons: Iterable[Sequence[float]], size_px: tuple[int, int]) -> np.ndarray:
    """Draw the union of polygons, (H, W) bool; what lies outside the image is cut off.

    One after the other: drawn together, two that overlap would cancel out. Border pixels belong to a polygon.

    Args:
        polygons: each (x0, y0, x1, y1, …), as `polygon_of` returns it.
        size_px: height and width.
    """
    import cv2
    import numpy as np

    mask = np.zeros(size_px, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(mask, [np.rint(polygon).astype(np.int32).reshape(-1, 1, 2)], 1)
    return mask > 0


def overhang_px(polygon: Sequence[float], size_px: tuple[int, int]) -> float:
    """Return by how many pixels a polygon exceeds the image, 0 if it does not."""
    x, y = polygon[::2], polygon[1::2]
    height, width = size_px
    return float(max(0, -min(x), -min(y), max(x) - (width - 1), max(y) - (height - 1)))


def polygon_area_px(polygon: Sequence[float]) -> float:
    """Return the area of a polygon (x0, y0, x1, y1, …) that does not cross itself, by the shoelace formula."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    around = zip(corners, corners[1:] + corners[:1], strict=True)
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in around)) / 2


def runs_of(text: str, pixels: int) -> tuple[int, ...]:
    """Parse and validate one run-length field of a csv file.

    Args:
        text: "gap length gap length …", each gap counted from the end of the run before; "-1" is an empty mask.
        pixels: of the image; no run may end beyond them.

    Returns:
        (gap, length, gap, length, …), () for an empty mask.

    Raises:
        Damaged: it is anything else; says what was found and what was expected.
    """
    if text.strip() == "-1":
        return ()
    fields = text.split()
    if not fields or len(fields) % 2:
        raise Damaged(f"has {len(fields)} run lengths", "pairs of gap and length, or -1")
    for field in fields:
        if not (field.isascii() and field.isdigit() and len(field) < 10):
            raise Damaged(f"has the run length {field[:20]!r}", "a whole number from 0")
    runs = tuple(map(int, fields))
    if sum(runs) > pixels:
        raise Damaged(f"has runs up to pixel {sum(runs):,}", f"at most {pixels:,}")
    return runs


def runs_mask(masks: Iterable[Sequence[int]], size_px: tuple[int, int]) -> np.ndarray:
    """Draw the union of run lengths, (H, W) bool.

    Args:
        masks: each (gap, length, …) as `runs_of` returns it: counted from 0, down the columns, then across.
        size_px: height and width.

    Raises:
        Damaged: runs go beyond the image.
    """
    import numpy as np

    height, width = size_px
    union = np.zeros(height * width, bool)
    for runs in masks:
        filled = np.repeat(np.arange(len(runs)) % 2 == 1, np.asarray(runs, np.int64))
        if len(filled) > len(union):
            raise Damaged(f"has runs up to pixel {len(filled):,}", f"at most {len(union):,}")
        union[: len(filled)] |= filled
    return union.reshape(width, height).T
