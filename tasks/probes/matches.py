"""Matches of places between two films: the best-fitting place, whether it leads back, and how far off it is.

Films are searched at the places of one grid. Places that tie count alike, so that an encoder that cannot tell them
apart gets the share of the grid that would be right. Pure functions of arrays.
"""

from __future__ import annotations

import numpy as np


def best_places(similarity: np.ndarray) -> np.ndarray:
    """Return each query's best places as weights that sum to 1.

    Args:
        similarity: (Q, G) of each query to each place of the grid.

    Returns:
        (Q, G), equal among places that tie.

    >>> best_places(np.array([[0.2, 0.7, 0.7]])).tolist()
    [[0.0, 0.5, 0.5]]
    """
    best = similarity == similarity.max(axis=1, keepdims=True)
    return best / best.sum(axis=1, keepdims=True)


def only_places(weights: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the one best place of each query, (Q, 2); NaN where several tie.

    >>> only_places(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[3.0, 4.0], [nan, nan]]
    """
    single = weights.max(axis=1, keepdims=True) == 1
    return np.asarray(np.where(single, centres[weights.argmax(axis=1)], np.nan))


def far(centres: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the distance of each place of a grid (G, 2) from each true place (Q, 2), (Q, G)."""
    return np.asarray(np.linalg.norm(centres[None] - truth[:, None], axis=2))


def led_back(there: np.ndarray, back: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return each query's chance to be led back near where it came from.

    Args:
        there: (Q, G) weights of the places found for a query on the other film.
        back: (G, G) weights of the places that each of those finds on the query's own film.
        near: (Q, G) bool: the place of the own film is near the query's.

    Returns:
        (Q,) in [0, 1].
    """
    return np.asarray((there * (near @ back.T)).sum(axis=1))


def off(weights: np.ndarray, distance: np.ndarray, limits: dict[str, float]) -> dict[str, np.ndarray]:
    """Return the expected error of each query, and its chance to be within each limit.

    Args:
        weights: (Q, G) of the places found, of sum 1.
        distance: (Q, G) of each place from the true one.
        limits: name to the distance that is near enough, in the unit of distance.

    Returns:
        "radial_error" and the limits' names, (Q,) each.
    """
    hits = {name: (weights * (distance <= limit)).sum(axis=1) for name, limit in limits.items()}
    return {**hits, "radial_error": (weights * distance).sum(axis=1)}
