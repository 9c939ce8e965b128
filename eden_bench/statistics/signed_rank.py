"""Bayesian signed-rank test: how probably one method is practically better, equal or worse than another.

Benavoli, Corani, Demšar & Zaffalon, "Time for a change" (JMLR 18, 2017), section 4.2.1. The differences z₁ … zₙ, and a
pseudo-observation z₀ = 0 of strength ½, have weights w ~ Dirichlet(½, 1, …, 1), the posterior of a Dirichlet process.
A draw of w puts the mass Σᵢⱼ wᵢwⱼ·[zᵢ + zⱼ > 2r] on "higher", the same below -2r on "lower", and the rest within
the region of practical equivalence [-r, r] (ROPE). The probability of each is the share of draws in which its mass
is the largest. Unlike a p-value it says how likely "no practical difference" is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eden_bench.seeds import generator
from eden_bench.statistics.samples import samples

PRIOR = 0.5
"""Strength of the pseudo-observation at 0, which lies within the ROPE; a difference observed counts 1."""
DRAWS = 100_000
"""Of the weights: a probability has a standard error of at most 0.0016."""
ROUNDING = 1e-9
"""Sums this close to the end of the ROPE, relative to it, lie on it: within."""
BLOCK = 1 << 22
"""Products of weights held at once: 16 MiB."""


class Posterior(NamedTuple):
    """Probabilities of the three outcomes; they sum to 1."""

    higher: float
    """The difference is practically above 0."""
    within: float
    """It is within the ROPE."""
    lower: float


def signed_rank(differences: ArrayLike, rope: ArrayLike, *, seed: int = 0) -> list[Posterior]:
    """Return the posterior probabilities of many pairs at once, over the same draws of weights.

    Args:
        differences: (pairs, n), first minus second, at each shared seed or on each task.
        rope: half the width of the ROPE, in the units of the differences; one for all, or (pairs,).
        seed: of the draws.

    Raises:
        ValueError: a difference is not finite, there are none, or a ROPE is not above 0.

    >>> found = signed_rank([[0.1, 0.2, 0.1, 0.2]], rope=0.01)[0]
    >>> round(found.higher, 1), round(found.within, 1), found.lower
    (1.0, 0.0, 0.0)
    """
    scaled = samples(differences) / _column(rope)
    counts = np.zeros((2, len(scaled)))
    above = _indicators(scaled)
    for products in _products(scaled.shape[1], seed):
        higher, lower = np.split(above @ products, 2)
        within = 1 - higher - lower
        counts[0] += np.count_nonzero(higher > np.maximum(within, lower), axis=1)
        counts[1] += np.count_nonzero((lower > within) & (lower >= higher), axis=1)
    return [Posterior(h / DRAWS, (DRAWS - h - low) / DRAWS, low / DRAWS) for h, low in counts.T.tolist()]


def _column(rope: ArrayLike) -> np.ndarray:
    column = np.asarray(rope, dtype=np.float64).reshape(-1, 1)
    if not (column > 0).all() or not np.isfinite(column).all():
        raise ValueError(f"the ROPE must be above 0, not {column.ravel().tolist()}: without it no two rows are equal")
    return column


def _indicators(scaled: np.ndarray) -> np.ndarray:
    """Return which sums of two are above the ROPE, then which are below, (2 x pairs, sums); i < j counts twice."""
    z = np.hstack([np.zeros((len(scaled), 1)), scaled])
    i, j = np.triu_indices(z.shape[1])
    sums, times, edge = z[:, i] + z[:, j], np.where(i == j, 1, 2), 2 * (1 + ROUNDING)
    return (times * np.vstack([sums > edge, sums < -edge])).astype(np.float32)


def _products(n: int, seed: int) -> Iterator[np.ndarray]:
    """Draw weights of z₀ … zₙ and yield their products (sums, draws) block by block."""
    random = generator(seed, "signed-rank", n)
    i, j = np.triu_indices(n + 1)
    step = max(1, BLOCK // len(i))
    for start in range(0, DRAWS, step):
        size = min(step, DRAWS - start)
        weights = np.vstack([random.standard_gamma(PRIOR, size), random.standard_exponential((n, size))])
        weights = (weights / weights.sum(axis=0)).astype(np.float32)
        yield weights[i] * weights[j]
