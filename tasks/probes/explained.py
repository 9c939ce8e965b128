"""Shares of spread that a prediction explains, 0 by definition where there is no spread."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-8
"""Vectors shorter than it are rounding, as among the centred features."""


def squared_lengths(vectors: np.ndarray) -> np.ndarray:
    """Return the squared lengths of (..., D), (...); those of vectors that are mere rounding are 0."""
    squares = (vectors**2).sum(axis=-1)
    return np.where(squares < _ROUNDING**2, 0.0, squares)


def r_squared(error: float, total: float) -> float:
    """Return 1 - error / total; 0 where the total is 0.

    >>> r_squared(1.0, 4.0), r_squared(0.0, 0.0)
    (0.75, 0.0)
    """
    return 1 - error / total if total > 0 else 0.0
