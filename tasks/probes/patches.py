"""Patches: boxes of a film, cut and resized as a probe's encoder sees them.

A box is (left, top, right, bottom) in whole pixels of a square film. It may leave the film, whose border pixels are
then repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

_PART = 512
"""Patches cut at once: 25 MB at 224 px."""


def around(points: np.ndarray, share: float, size_px: int) -> np.ndarray:
    """Return square boxes about points.

    Args:
        points: (..., 2) x and y in pixels of a square film.
        share: side of a box as a share of the film's side.
        size_px: side of the film.

    Returns:
        (..., 4) int64.
    """
    side = max(1, round(share * size_px))
    corner = np.floor(np.asarray(points) - side / 2 + 0.5).astype(np.int64)
    return np.concatenate([corner, corner + side], axis=-1)


def grid_centres(grid: int, size_px: int) -> np.ndarray:
    """Return the centres of grid × grid equal cells of a square film, row by row, (grid², 2) x and y in pixels."""
    steps = (np.arange(grid) + 0.5) / grid * size_px
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)


def leaves_film(boxes: np.ndarray, size_px: int) -> np.ndarray:
    """Return which boxes (..., 4) leave a square film of a side, (...) bool."""
    return np.asarray((boxes[..., :2] < 0).any(axis=-1) | (boxes[..., 2:] > size_px).any(axis=-1))


def cut(films: np.ndarray, rows: np.ndarray, boxes: np.ndarray, size_px: int) -> np.ndarray:
    """Cut boxes out of films and resize each to a square: by area along an axis that shrinks, else bilinearly.

    Args:
        films: (N, H, W) uint8.
        rows: (M,) which film each box is of.
        boxes: (M, 4) int.
        size_px: side of the patches.

    Returns:
        (M, size, size) uint8.
    """
    import cv2

    patches = np.empty((len(boxes), size_px, size_px), np.uint8)
    for number, (row, box) in enumerate(zip(rows, boxes, strict=True)):
        patch = _inside(films[row], box)
        height, width = (min(side, size_px) for side in patch.shape)
        shrunk = cv2.resize(patch, (width, height), interpolation=cv2.INTER_AREA)
        patches[number] = cv2.resize(shrunk, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    return patches


def cut_ahead(
    films: np.ndarray, rows: np.ndarray, boxes: np.ndarray, size_px: int, threads: int
) -> Iterator[np.ndarray]:
    """Yield what ``cut`` returns, 512 patches at a time; threads cut as many parts ahead while one is worked on.

    Args:
        films: (N, H, W) uint8.
        rows: (M,) which film each box is of.
        boxes: (M, 4) int.
        size_px: side of the patches.
        threads: 0 cuts each part when it is asked for.
    """
    parts = [slice(start, start + _PART) for start in range(0, len(boxes), _PART)]
    if not threads:
        yield from (cut(films, rows[part], boxes[part], size_px) for part in parts)
        return
    with ThreadPoolExecutor(threads, "patches") as pool:
        waiting: deque[Future[np.ndarray]] = deque()
        for part in parts:
            waiting.append(pool.submit(cut, films, rows[part], boxes[part], size_px))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        yield from (each.result() for each in waiting)


def _inside(film: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the pixels of a box, the film's border repeated beyond it."""
    (height, width), (left, top, right, bottom) = film.shape, (int(edge) for edge in box)
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return np.ascontiguousarray(film[top:bottom, left:right])
    rows = np.clip(np.arange(top, bottom), 0, height - 1)
    columns = np.clip(np.arange(left, right), 0, width - 1)
    return film[rows[:, None], columns]
