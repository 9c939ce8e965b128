"""The difference of two methods over pretrainings, fine-tuning seeds and patients: its variance, interval and p.

A method's scores are an array Y (pretrainings, seeds, patients) whose mean is its score. What is random depends on what
is asked. Of **these checkpoints** the pretrainings are fixed, seeds and patients random. Of **the methods** the
pretrainings are random too. Both methods meet the same patients; they share seeds where they have the same ones; they
never share a pretraining.

The variance of the difference of means is estimated by components (crossed random effects, Searle et al. 1992): with
V(A) the variance that the axes A explain together, from the mean square of their interaction, it is the sum of V(A)
over single axes minus that over pairs plus that of all three; of two axes that is (MS_rows + MS_columns -
MS_residual) / (rows × columns). It is never less than one axis alone gives. An axis that the methods share is taken of
their difference, one that they do not of each.

Degrees of freedom are Satterthwaite's (1946), the quantiles Student's, so that with one axis it is exactly the paired
t-test (shared) or Welch's (not shared). With several axes of which one has few degrees of freedom k, his rule gives too
many: a variance that happens to be estimated small is also weighed as small. So each axis weighs (k + 4) / k times as
much in it, which in simulations (``python -m benchmarks.calibration``) brings intervals of two seeds from 88 to 93 %
and moves those of ten by 0.1 %. **In the far tail**, where a family of a hundred tests is decided, that is not enough:
there p is the level at which Student's quantiles of the axes, averaged with those weights, reach t (Cochran,
Biometrics 1964), ``family_p``; the same as p with one axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from math import prod
from typing import NamedTuple

import numpy as np

from eden_bench.statistics.t_tests import CONFIDENCE

PRETRAININGS, SEEDS, PATIENTS = -3, -2, -1
"""Axes of a method's scores."""
ENOUGH_PRETRAININGS = 3
"""Fewer of either method, and nothing is said of the methods: with two, one degree of freedom is left."""
CAUTION = 4.0
"""Degrees of freedom by which an axis with few weighs more than its estimated variance."""
_AXES = (PRETRAININGS, SEEDS, PATIENTS)
_ROUNDING = 1e-12
"""A standard error below this share of the scores' size is rounding, not variance."""
_LARGEST_QUANTILE, _LARGEST_LOG = 1e150, 700.0
"""Beyond which a square and an exponential overflow; far beyond any t that is told apart from infinity."""
_LEAST_P = 1e-300
_STEPS = 8
"""Of the search for a family's p, which is then exact to rounding."""


class Difference(NamedTuple):
    """Differences of means with their standard errors and degrees of freedom, arrays of one shape."""

    value: np.ndarray
    error: np.ndarray
    """Standard error; 0 where nothing varies, beyond rounding."""
    df: np.ndarray
    """NaN where nothing varies."""
    weights: np.ndarray
    """(..., 3) of pretrainings, seeds and patients in the variance, few degrees of freedom weighing more; sum 1."""
    axis_df: np.ndarray
    """(..., 3) their degrees of freedom; 1 for an axis that is not there."""

    @property
    def half_width(self) -> np.ndarray:
        """Half the 95 % interval; 0 where nothing varies."""
        from scipy.special import stdtrit

        df = np.where(self.error > 0, self.df, 1.0)
        return np.asarray(stdtrit(df, (1 + CONFIDENCE) / 2) * self.error)

    @property
    def p(self) -> np.ndarray:
        """Two-sided p of no difference; NaN where nothing varies."""
        from scipy.special import stdtr

        return np.asarray(2 * stdtr(self.df, -np.abs(self._t(0.0))))

    @property
    def family_p(self) -> np.ndarray:
        """The same for a family of tests, right in the far tail too."""
        return _cochran(np.abs(self._t(0.0)), self)

    def equivalence_p(self, margin: float) -> np.ndarray:
        """Larger p of the two one-sided tests against ±margin (TOST).

        Where nothing varies it is 0 if the two are identical, and NaN if they differ by a constant.
        """
        from scipy.special import stdtr

        return self._unless_still(np.asarray(stdtr(self.df, -self._nearest(margin))))

    def family_equivalence_p(self, margin: float) -> np.ndarray:
        """The same for a family of tests."""
        nearest = self._nearest(margin)
        half = _cochran(np.abs(nearest), self) / 2
        return self._unless_still(np.where(nearest > 0, half, 1 - half))

    def _t(self, at: float) -> np.ndarray:
        return (self.value - at) / np.where(self.error > 0, self.error, np.nan)

    def _nearest(self, margin: float) -> np.ndarray:
        """Return how many standard errors the difference lies within the nearer end of ±margin."""
        return np.minimum(self._t(-margin), -self._t(margin))

    def _unless_still(self, p: np.ndarray) -> np.ndarray:
        return np.where(self.error > 0, p, np.where(self.value == 0, 0.0, np.nan))


class _Term(NamedTuple):
    axes: tuple[int, ...]
    variance: np.ndarray
    df: int


class Scores:
    """Scores of one method, or of many, of which what a comparison asks is computed once, whatever they meet."""

    def __init__(self, values: np.ndarray, *, of_methods: bool) -> None:
        """Take scores.

        Args:
            values: (..., pretrainings, seeds, patients).
            of_methods: pretrainings are random; else fixed, and what is said holds for these checkpoints.
        """
        fixed = () if of_methods else (PRETRAININGS,)
        self.values = np.mean(values, axis=fixed, keepdims=True)
        self._margins: dict[tuple[int, ...], np.ndarray] = {}
        self._terms: dict[tuple[int, ...], _Term] = {}

    def margin(self, axes: tuple[int, ...]) -> np.ndarray:
        """Return the mean over all other axes, which are kept with a length of 1."""
        if axes not in self._margins:
            rest = tuple(set(_AXES) - set(axes))
            self._margins[axes] = self.values.mean(axis=rest, keepdims=True)
        return self._margins[axes]

    def term(self, axes: tuple[int, ...]) -> _Term:
        """Return what the axes explain of the mean."""
        if axes not in self._terms:
            self._terms[axes] = _term(self.margin(axes), axes)
        return self._terms[axes]

    @cached_property
    def mean(self) -> np.ndarray:
        """(...) over all axes."""
        return np.asarray(self.values.mean(axis=_AXES))

    @cached_property
    def largest(self) -> np.ndarray:
        """(...) absolute score."""
        return np.asarray(np.abs(self.values).max(axis=_AXES))


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
    both = [Scores(each, of_methods=of_methods) for each in (first, second)]
    return compared([(both[0], both[1])], shared_seeds=shared_seeds, shared_patients=shared_patients)


def compared(pairs: Sequence[tuple[Scores, Scores]], *, shared_seeds: bool, shared_patients: bool = True) -> Difference:
    """Compare as ``difference`` does, scores that meet others too.

    Args:
        pairs: whose first scores are of one shape, and whose second are of one; what is said of them stands one after
            another along the first axis.
        shared_seeds: as of ``difference``.
        shared_patients: as of ``difference``.
    """
    shared = {SEEDS: shared_seeds, PATIENTS: shared_patients, PRETRAININGS: False}
    terms = [_one_after_another(same) for same in zip(*(_terms(both, shared) for both in pairs), strict=True)]
    if not terms:
        raise ValueError("one score each has no variance: two seeds, or cases of two patients, are needed")
    value = _joined([first.mean - second.mean for first, second in pairs])
    largest = _joined([np.maximum(first.largest, second.largest) for first, second in pairs])
    return _combined(value, terms, _ROUNDING * largest)


def _one_after_another(terms: Sequence[_Term]) -> _Term:
    """Return one term of all pairs."""
    return terms[0]._replace(variance=_joined([term.variance for term in terms]))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def explained(first: Scores, second: Scores, *, shared_seeds: bool) -> dict[tuple[int, ...], np.ndarray]:
    """Return the variance of the difference of means that each set of axes explains; see ``difference``."""
    found: dict[tuple[int, ...], np.ndarray] = {}
    for term in _terms((first, second), {SEEDS: shared_seeds, PATIENTS: True, PRETRAININGS: False}):
        found[term.axes] = found.get(term.axes, 0) + term.variance
    return found


def _terms(both: tuple[Scores, Scores], shared: dict[int, bool]) -> Iterator[_Term]:
    """Yield what each set of axes explains, of the difference where all of them are shared, else of each method."""
    first, second = both
    for axes in (axes for count in (1, 2, 3) for axes in combinations(_AXES, count)):
        if all(shared[axis] for axis in axes):
            margin = first.margin(axes) - second.margin(axes)
            yield from [_term(margin, axes)] if all(margin.shape[axis] > 1 for axis in axes) else []
        else:
            yield from (each.term(axes) for each in both if all(each.values.shape[axis] > 1 for axis in axes))


def _term(margin: np.ndarray, axes: tuple[int, ...]) -> _Term:
    """Compute the mean square of the axes' interaction, over the number of scores in the mean."""
    for axis in axes:
        margin = margin - margin.mean(axis=axis, keepdims=True)
    sizes = [margin.shape[axis] for axis in axes]
    df = prod(size - 1 for size in sizes)
    return _Term(axes, np.square(margin).sum(axis=(-3, -2, -1)) / (df * prod(sizes)), df)


def _combined(value: np.ndarray, terms: Sequence[_Term], rounding: np.ndarray) -> Difference:
    """Add up the terms, single axes and triples positive, pairs negative; never less than one axis alone."""
    none = np.zeros_like(value, dtype=float)
    alone = {axis: [term for term in terms if term.axes == (axis,)] for axis in _AXES}
    total = sum((-((-1) ** len(term.axes)) * term.variance for term in terms), none)
    total = np.max([total, *(sum((term.variance for term in own), none) for own in alone.values())], axis=0)
    varies = np.sqrt(total) > rounding
    caution = {axis: 1 + CAUTION / max(1, sum(term.df for term in own)) for axis, own in alone.items()}
    factors = [caution[term.axes[0]] if len(term.axes) == 1 else 1.0 for term in terms]
    weighed = [factor * term.variance for factor, term in zip(factors, terms, strict=True)]
    more = sum(((factor - 1) * term.variance for factor, term in zip(factors, terms, strict=True)), total)
    squares = sum((each**2 / term.df for each, term in zip(weighed, terms, strict=True)), none)
    weights = np.stack([caution[axis] * sum((term.variance for term in own), none) for axis, own in alone.items()], -1)
    return Difference(
        value=np.where(np.abs(value) > rounding, value, 0.0),
        error=np.where(varies, np.sqrt(total), 0.0),
        df=np.divide(more**2, squares, out=np.full_like(none, np.nan), where=varies),
        weights=weights / np.where(varies, weights.sum(axis=-1), 1.0)[..., None],
        axis_df=np.stack([_welch(own, none) for own in alone.values()], axis=-1),
    )


def _welch(terms: Sequence[_Term], none: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom of a sum of variances of one axis; 1 where there is none."""
    total, squares = (sum((t.variance**power / t.df ** (power - 1) for t in terms), none) for power in (1, 2))
    return np.divide(total**2, squares, out=np.ones_like(none), where=squares > 0)


def _cochran(t: np.ndarray, found: Difference) -> np.ndarray:
    """Return the two-sided level p at which the axes' quantiles of Student's t, averaged by weight, reach t.

    Newton's method on log p, from the largest p at which one axis' weighted quantile alone reaches t.
    """
    from scipy.special import gammaln, stdtr, stdtrit

    df, weights = found.axis_df, found.weights
    scale = np.exp(gammaln((df + 1) / 2) - gammaln(df / 2)) / np.sqrt(df * np.pi)
    alone = np.divide(t[..., None], weights, out=np.full_like(weights, np.inf), where=weights > 0)
    least = np.log(np.maximum(2 * stdtr(df, -alone), _LEAST_P).max(axis=-1))
    level = least
    for _ in range(_STEPS):
        half = np.exp(level[..., None]) / 2
        quantiles = np.minimum(-stdtrit(df, half), _LARGEST_QUANTILE)
        slopes = np.exp(np.minimum(np.log(half / scale) + (df + 1) / 2 * np.log1p(quantiles**2 / df), _LARGEST_LOG))
        step = ((weights * quantiles).sum(axis=-1) - t) / (weights * slopes).sum(axis=-1)
        level = np.clip(level + step, least, 0.0)
    return np.where(np.isnan(t), np.nan, np.exp(level))
