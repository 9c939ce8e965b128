"""Sign-flip tests: how often chance signs make paired differences sum to as much as they do.

If two methods are alike, the difference at a seed is as likely to be d as -d (Fisher, 1935, section 21). Of the 2ⁿ
equally likely choices of signs, p is the share whose sum is at least as far from 0 as the sum observed. It assumes no
normal distribution, and cannot be less than 2/2ⁿ: with five seeds it never reaches 0.05.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eden_bench.seeds import generator
from eden_bench.statistics.samples import sample, samples

EXACT_AT_MOST = 20
"""Differences up to which every choice of signs is looked at: 2¹⁹ sums, the other half mirrors them."""
DRAWS = 99_999
"""Choices of signs that are drawn above that. The choice observed counts as one more (Phipson & Smyth, 2010)."""
TIE = 1e-10
"""Sums this close, relative to the sum of absolute differences, are equal but for rounding."""
BLOCK = 1 << 22
"""Sums held at once: 32 MiB."""


def sign_flip(differences: ArrayLike, *, seed: int = 0) -> float:
    """Return the two-sided p-value of paired differences (n,) under random signs; see ``sign_flips``.

    >>> sign_flip([1, 2, 3, 4])  # 2 of 16: all plus, all minus
    0.125
    """
    return float(sign_flips(sample(differences)[None], seed=seed)[0])


def sign_flips(differences: ArrayLike, *, seed: int = 0) -> np.ndarray:
    """Return the two-sided p-values of many pairs' differences, each tested by itself.

    Args:
        differences: (pairs, n), first minus second at each shared seed.
        seed: of the drawn signs, where n is above ``EXACT_AT_MOST``; they are the same for every pair.

    Returns:
        (pairs,), exact up to n = 20; above that (b + 1) / (m + 1) for b of m drawn sums as large.

    Raises:
        ValueError: a difference is not finite, or there are none.

    >>> sign_flips([[1, 1, 1], [1, -1, 0]]).tolist()
    [0.25, 1.0]
    """
    table = samples(differences)
    if table.shape[1] > EXACT_AT_MOST:
        return _drawn(table, seed)
    rows = max(1, BLOCK >> (table.shape[1] - 1))
    return np.concatenate([_exact(table[start : start + rows]) for start in range(0, len(table), rows)])


def least_p(n: int) -> float:
    """Return the smallest p that an exact sign-flip test of n differences can have.

    >>> least_p(5), least_p(10)
    (0.0625, 0.001953125)
    """
    return 2.0 ** (1 - n) if n > 0 else 1.0


def _exact(table: np.ndarray) -> np.ndarray:
    """Count over all sums of a front and a back half; the first sign stays plus, as turning all keeps a sum's size."""
    middle = (table.shape[1] + 1) // 2
    front = _signed(table[:, :1], table[:, 1:middle])
    back = _signed(np.zeros((len(table), 1)), table[:, middle:])
    sums = (front[:, :, None] + back[:, None, :]).reshape(len(table), -1)
    return _as_large(sums, table) / sums.shape[1]


def _signed(sums: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Add each column (pairs,) to the sums (pairs, choices) with either sign: (pairs, choices x 2^columns)."""
    for column in columns.T[:, :, None]:
        sums = np.concatenate([sums + column, sums - column], axis=1)
    return sums


def _drawn(table: np.ndarray, seed: int) -> np.ndarray:
    random = generator(seed, "sign-flip", table.shape[1])
    found, step = np.zeros(len(table)), max(1, BLOCK // max(table.shape))
    for start in range(0, DRAWS, step):
        bits = random.integers(0, 2, (min(step, DRAWS - start), table.shape[1]), dtype=np.int8)
        found += _as_large(table @ (2.0 * bits.T - 1), table)
    return (found + 1) / (DRAWS + 1)


def _as_large(sums: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Count a pair's sums (pairs, choices) that are at least as far from 0 as its own, ties included."""
    least = np.abs(table.sum(axis=1)) - TIE * np.abs(table).sum(axis=1)
    return np.count_nonzero(np.abs(sums, out=sums) >= least[:, None], axis=1)
