"""Wholes and their parts: squares drawn on a film, each with a square of its size beside it, cut into equal parts.

A box is (left, top, right, bottom) in whole pixels of a square film; it may leave the film, whose border is then
replicated. Every draw is a function of (seed, group): the films of a group share their places, so that each film's
whole has a twin at the same place in another patient.
"""

from __future__ import annotations

import math

import numpy as np

from eden_bench import seeds

LAYOUTS = {"1x2": (1, 2), "2x1": (2, 1), "3x1": (3, 1), "2x2": (2, 2)}
"""Name to rows and columns of the parts that a whole is cut into."""
LEAST_SIDE, MOST_SIDE = 0.4, 0.8
"""Of a whole, as shares of the film's side."""
_DIVISOR = 6
"""A whole's side is a multiple of it, so that halves and thirds are whole pixels and all parts are equal."""


def draw_pairs(seed: int, group: int, places: int, size_px: int) -> np.ndarray:
    """Draw pairs of equal squares whose centres differ along one axis by half a side or more.

    The sides of place p fall in the p-th of as many equal bands of [0.4, 0.8] of the film. Both squares lie in the film
    where they can, up to a side of two thirds; above that one is flush with the border that the other crosses least.

    Args:
        seed: of the task.
        group: of films.
        places: pairs drawn, a size band each.
        size_px: side of the films.

    Returns:
        (places, 2, 4) int64 boxes.
    """
    random = seeds.generator(seed, "wholes", group)
    draws = random.random((places, 6))
    return np.stack([_pair(place, places, size_px, draw) for place, draw in enumerate(draws)])


def _pair(place: int, places: int, size_px: int, draw: np.ndarray) -> np.ndarray:
    """Return (2, 4) boxes; draws: side, shift, start along it, start across it, axis, which of the two is first."""
    share = LEAST_SIDE + (MOST_SIDE - LEAST_SIDE) * (place + draw[0]) / places
    side = _DIVISOR * round(share * size_px / _DIVISOR)
    half = math.ceil(side / 2)
    shift = half + int(draw[1] * max(1, size_px - side - half + 1))
    first = _start(draw[2], size_px - side - shift)
    along, across = np.array([first, first + shift]), np.full(2, _start(draw[3], size_px - side))
    corners = np.stack([along, across] if draw[4] < 0.5 else [across, along], axis=1)
    return np.concatenate([corners, corners + side], axis=1)[:: 1 if draw[5] < 0.5 else -1]


def _start(draw: float, room: int) -> int:
    """Return a start in [0, room]; where there is no room, one end or the other of what must leave the film."""
    return int(draw * (room + 1)) if room >= 0 else (0 if draw < 0.5 else room)


def parts_of(boxes: np.ndarray, layout: str) -> np.ndarray:
    """Cut boxes into equal parts, row by row.

    Args:
        boxes: (..., 4) int, sides divisible by the layout's rows and columns.
        layout: one of ``LAYOUTS``.

    Returns:
        (..., P, 4) int.
    """
    rows, columns = LAYOUTS[layout]
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    width, height = (right - left) // columns, (bottom - top) // rows
    made = [
        np.stack([left + c * width, top + r * height, left + (c + 1) * width, top + (r + 1) * height], axis=-1)
        for r in range(rows)
        for c in range(columns)
    ]
    return np.stack(made, axis=-2)


def groups_of(films: int) -> list[np.ndarray]:
    """Part films into twos, in order, the last of an odd number joining the group before it.

    Raises:
        ValueError: there are fewer than two films, so that none has another patient's.
    """
    if films < 2:
        raise ValueError(
            f"{films} films of different patients, expected at least 2: a whole is compared with another's"
        )
    parts = np.split(np.arange(films), range(2, films, 2))
    return [*parts[:-2], np.concatenate(parts[-2:])] if len(parts[-1]) == 1 else parts
