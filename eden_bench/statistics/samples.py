"""Read scores as arrays, and refuse what no statistic is defined for."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def sample(scores: ArrayLike) -> np.ndarray:
    """Return scores as a float64 array (n,).

    Raises:
        ValueError: they are not one row of at least one finite number.

    >>> sample([1, 2]).tolist()
    [1.0, 2.0]
    """
    return _checked(np.asarray(scores, dtype=np.float64), 1, "(n,)")


def samples(scores: ArrayLike) -> np.ndarray:
    """Return scores of several rows as a float64 array (rows, n).

    Raises:
        ValueError: they are not a table of finite numbers with at least one row and one column.

    >>> samples([[1, 2], [3, 4]]).shape
    (2, 2)
    """
    return _checked(np.asarray(scores, dtype=np.float64), 2, "(rows, n)")


def _checked(array: np.ndarray, axes: int, shape: str) -> np.ndarray:
    if array.ndim != axes or array.size == 0:
        raise ValueError(f"scores must be an array {shape} with at least one number, not of shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"scores must be finite numbers, and {int((~np.isfinite(array)).sum())} of them are not")
    return array
