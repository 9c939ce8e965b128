"""Augmented views of films, with the map that says where each place went."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tasks.probes.matching_protocol import MatchingProtocol
    from tasks.probes.novelty_protocol import NoveltyProtocol


def view_map(degrees: float, scale: float, size_px: int) -> np.ndarray:
    """Return a rotation and scaling about the middle of a square film.

    Args:
        degrees: of the rotation, from x towards y.
        scale: above 1, what is shown grows.
        size_px: side of the film.

    Returns:
        (2, 3) that takes (x, y, 1) to x and y in the view; the first pixel's centre is at (0.5, 0.5).
    """
    cosine, sine = (scale * f(math.radians(degrees)) for f in (math.cos, math.sin))
    turn = np.array([[cosine, -sine], [sine, cosine]])
    middle = np.full(2, size_px / 2)
    return np.c_[turn, middle - turn @ middle]


def taken(degrees: float, shares: np.ndarray, protocol: MatchingProtocol | NoveltyProtocol) -> tuple[np.ndarray, float]:
    """Return the map and gamma of a view: its scale even, its gamma in its logarithm, between a protocol's ends.

    Args:
        degrees: of the rotation.
        shares: (2,) in [0, 1], of scale and of gamma, the way from the lower end to the upper.
        protocol: names the ends.
    """
    scale = 1 + protocol.scale_change * (2 * shares[0] - 1)
    return view_map(degrees, scale, protocol.film_px), float(protocol.gamma ** (2 * shares[1] - 1))


def moved(points: np.ndarray, mapping: np.ndarray) -> np.ndarray:
    """Return where a map takes points (..., 2)."""
    return np.asarray(points @ mapping[:, :2].T + mapping[:, 2])


def view(film: np.ndarray, mapping: np.ndarray, gamma: float) -> np.ndarray:
    """Return a film as a map and a gamma show it, its border repeated where the view looks beyond it.

    Args:
        film: (S, S) uint8.
        mapping: (2, 3), see ``view_map``.
        gamma: exponent of grey levels in [0, 1].

    Returns:
        (S, S) uint8.
    """
    import cv2

    levels = np.round(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    # OpenCV's first pixel has its centre at (0, 0)
    shifted = np.c_[mapping[:, :2], moved(np.full(2, 0.5), mapping) - 0.5]
    warped = cv2.warpAffine(
        np.ascontiguousarray(film), shifted, film.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(levels[warped])
