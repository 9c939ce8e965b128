"""Centred unit vectors, and ranks among cosines in which equals share theirs."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-8
"""A centred vector that is shorter says nothing: its cosine to everything is 0."""
_DECIMALS = 12
"""Cosines that agree to so many are equal: a matrix product rounds equal rows differently."""


def unit(features: np.ndarray, mean: np.ndarray | float) -> np.ndarray:
    """Subtract the mean from (..., D) and divide by the length; what is shorter than 1e-8 becomes 0."""
    centred = features - mean
    length = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.where(length < _ROUNDING, 0.0, centred / np.maximum(length, _ROUNDING))


def top1(cosines: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the chance that the true candidate stands first, over all orders of equals.

    Args:
        cosines: (Q, C) of Q queries to C candidates.
        truth: (Q,) int, the true one of each.

    Returns:
        (Q,) in [0, 1]; 1/C where all are equal.
    """
    above, equal = _above_and_equal(cosines, truth)
    return np.where(above == 0, 1 / equal, 0.0)


def reciprocal_rank(cosines: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return 1 / rank of the true candidate, mean over all orders of equals, (Q,); arguments as of `top1`."""
    above, equal = _above_and_equal(cosines, truth)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, cosines.shape[1] + 1))])
    return (harmonic[above + equal] - harmonic[above]) / equal


def _above_and_equal(cosines: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how many candidates are more alike than the true one, and how many as much, itself included."""
    rounded = cosines.round(_DECIMALS)
    own = np.take_along_axis(rounded, truth[:, None], axis=1)
    return (rounded > own).sum(axis=1), (rounded == own).sum(axis=1)
