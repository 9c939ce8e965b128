"""The difference of two methods over pretrainings, fine-tuning seeds and patients: its variance, interval and p.

A method's scores are an array Y (pretrainings, seeds, patients) whose mean is its score. What is random depends on what
is asked. Of **these checkpoints** the pretrainings are fixed, seeds and patients random. Of **the methods** the
pretrainings are random too. Both methods meet the same patients; they share seeds where they have the same ones; they
never share a pretraining.

The variance of the difference of means is estimated by components (crossed random effects, Searle et al. 1992): with
V(A) the variance that the axes A explain together, from the mean square of their interaction, it is the sum of V(A)
over single axes minus that over pairs plus that of all three; of two axes that is (MS_rows + MS_columns -
MS_residual) / (rows × columns). It is never less than one axis alone gives. An axis that the methods share is taken of
their difference, one that they do not of each. Degrees of freedom are Satterthwaite's (1946), the quantiles Student's,
so that with one axis it is exactly the paired t-test (shared) or Welch's (not shared).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np

from eden_bench.statistics.t_tests import CONFIDENCE

PRETRAININGS, SEEDS, PATIENTS = -3, -2, -1
"""Axes of a method's scores."""
ENOUGH_PRETRAININGS = 3
"""Fewer of either method, and nothing is said of the methods: with two, one degree of freedom is left."""
_ROUNDING = 1e-12
"""A standard error below this share of the scores' size is rounding, not variance."""


class Difference(NamedTuple):
    """Differences of means with their standard errors and degrees of freedom, arrays of one shape."""

    value: np.ndarray
    error: np.ndarray
    """Standard error; 0 where nothing varies, beyond rounding."""
    df: np.ndarray
    """NaN where nothing varies."""

    @property
    def half_width(self) -> np.ndarray:
        """Half the 95 % interval; 0 where nothing varies."""
        from scipy.special import stdtrit

        df = np.where(self.error > 0, self.df, 1.0)
        return np.asarray(stdtrit(df, (1 + CONFIDENCE) / 2) * self.error)

    @property
    def p(self) -> np.ndarray:
        """Two-sided p of no difference; NaN where nothing varies."""
        return 2 * self.tail(np.zeros(()), -np.sign(self.value))

    def equivalence_p(self, margin: float | np.ndarray) -> np.ndarray:
        """Larger p of the two one-sided tests against ±margin (TOST).

        Where nothing varies it is 0 if the two are identical, and NaN if they differ by a constant.
        """
        lower, upper = self.tail(np.asarray(-margin), -1), self.tail(np.asarray(margin), 1)
        return np.where(self.error > 0, np.maximum(lower, upper), np.where(self.value == 0, 0.0, np.nan))

    def tail(self, at: np.ndarray, side: int | np.ndarray) -> np.ndarray:
        """Chance of a difference as far above (side -1) or below (side 1) as seen, if the true one lay at a value."""
        from scipy.special import stdtr

        error = np.where(self.error > 0, self.error, np.nan)
        return np.asarray(stdtr(self.df, side * (self.value - at) / error))


class _Term(NamedTuple):
    axes: tuple[int, ...]
    variance: np.ndarray
    df: int


def difference(
    first: np.ndarray, second: np.ndarray, *, of_methods: bool, shared_seeds: bool, shared_patients: bool = True
) -> Difference:
    """Compare the means of two methods, or of many pairs of methods at once.

    Args:
        first: (..., pretrainings, seeds, patients).
        second: the same, its pretrainings and seeds of another number perhaps.
        of_methods: pretrainings are random; else fixed, and what is said holds for these checkpoints.
        shared_seeds: the two have the same seeds, in the same order.
        shared_patients: the two have the same patients, in the same order.

    Returns:
        First minus second, each of shape (...); a difference below rounding is 0.

    Raises:
        ValueError: one score each, so that nothing can vary.
    """
    fixed = () if of_methods else (PRETRAININGS,)
    both = [np.mean(each, axis=fixed, keepdims=True) for each in (first, second)]
    shared = {SEEDS: shared_seeds, PATIENTS: shared_patients, PRETRAININGS: False}
    terms = list(_terms(both, shared))
    if not terms:
        raise ValueError("one score each has no variance: two seeds, or cases of two patients, are needed")
    value = both[0].mean(axis=(-3, -2, -1)) - both[1].mean(axis=(-3, -2, -1))
    scale = np.maximum(*(np.abs(each).max(axis=(-3, -2, -1)) for each in both))
    return _combined(value, terms, _ROUNDING * scale)


def _terms(both: Sequence[np.ndarray], shared: dict[int, bool]) -> Iterator[_Term]:
    """Yield what each set of axes explains, of the difference where all of them are shared, else of each method."""
    for count in (1, 2, 3):
        for axes in combinations((PRETRAININGS, SEEDS, PATIENTS), count):
            rest = tuple({PRETRAININGS, SEEDS, PATIENTS} - set(axes))
            margins = [each.mean(axis=rest, keepdims=True) for each in both]
            for margin in [margins[0] - margins[1]] if all(shared[axis] for axis in axes) else margins:
                if all(margin.shape[axis] > 1 for axis in axes):
                    yield _term(margin, axes)


def _term(margin: np.ndarray, axes: tuple[int, ...]) -> _Term:
    """Compute the mean square of the axes' interaction, over the number of scores in the mean."""
    for axis in axes:
        margin = margin - margin.mean(axis=axis, keepdims=True)
    sizes = [margin.shape[axis] for axis in axes]
    df = prod(size - 1 for size in sizes)
    return _Term(axes, np.square(margin).sum(axis=(-3, -2, -1)) / (df * prod(sizes)), df)


def _combined(value: np.ndarray, terms: Sequence[_Term], rounding: np.ndarray) -> Difference:
    """Add up the terms, single axes and triples positive, pairs negative; never less than one axis alone."""
    none = np.zeros_like(value)
    total = sum((-((-1) ** len(term.axes)) * term.variance for term in terms), none)
    for axis in (PRETRAININGS, SEEDS, PATIENTS):
        total = np.maximum(total, sum((term.variance for term in terms if term.axes == (axis,)), none))
    weights = sum((term.variance**2 / term.df for term in terms), none)
    varies = np.sqrt(total) > rounding
    df = np.divide(total**2, weights, out=np.full_like(total, np.nan), where=varies)
    return Difference(np.where(np.abs(value) > rounding, value, 0.0), np.where(varies, np.sqrt(total), 0.0), df)
