"""Statistics of seeds' scores: mean, s.d., confidence interval, and the t-tests: the paper's, Welch's and the paired.

Pure functions of sequences of numbers; each agrees with SciPy to 1e-10. Where a quantity is undefined (one
score has no s.d., two groups that do not vary have no t) it is None and ``note`` says why: never NaN, never 0.
Scores that differ by rounding alone do not vary: a t of them would be the computer's, not the methods'.
An interval or a test over seeds covers the randomness that the seed drives (head, order, augmentation,
few-shot subset); not another pretraining, other patients or another test set.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
LEVEL = 0.05
"""Significance level: a smaller p is called a difference."""
ROUNDING = 8 * sys.float_info.epsilon
"""Scores this close, relative to the largest, are equal but for rounding."""


@dataclass(frozen=True)
class Summary:
    """Mean of n scores with s.d. and 95 % interval."""

    n: int
    mean: float
    sd: float | None
    """Sample standard deviation, ddof = 1; None where n is 1."""
    low: float | None
    """Lower end of the 95 % t-interval of the mean; None where n is 1. May lie outside [0, 1]."""
    high: float | None


@dataclass(frozen=True)
class TTest:
    """A two-sided t-test of the difference of two means."""

    difference: float
    """Mean of the first minus mean of the second."""
    t: float | None
    df: float | None
    p: float | None
    note: str = ""
    """Why t is undefined; empty where it is not."""
    standard_error: float | None = None
    """Of the difference; None where t is undefined."""


def summarise(scores: Sequence[float]) -> Summary:
    """Summarise scores by mean, s.d. and the 95 % interval of the mean (Student's t, n - 1 degrees of freedom).

    Raises:
        ValueError: there are no scores.

    >>> found = summarise([1, 2, 3])
    >>> found.n, found.mean, found.sd, round(found.high - found.mean, 3)  # 4.303 / √3
    (3, 2.0, 1.0, 2.484)
    """
    mean = _mean(scores)
    n = len(scores)
    if n < 2:
        return Summary(n, mean, None, None, None)
    sd = math.sqrt(variance(scores))
    half = t_quantile((1 + CONFIDENCE) / 2, n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


def two_sample_t(first: Sequence[float], second: Sequence[float]) -> TTest:
    """Compare two means by the independent two-sample t-test with pooled variance: the paper's test.

    It takes the scores as independent and the groups' variances as equal; sizes may differ. Seeds shared by
    two methods are paired, so it is not the sharpest test here, but the one the paper's claims rest on.

    Raises:
        ValueError: a group is empty.

    >>> found = two_sample_t([1, 2, 3], [2, 3, 4])
    >>> found.difference, round(found.t, 3), found.df, round(found.p, 3)
    (-1.0, -1.225, 4.0, 0.288)
    """
    a, b = len(first), len(second)
    if undefined := _undefined(first, second):
        return undefined
    pooled = ((a - 1) * variance(first) + (b - 1) * variance(second)) / (a + b - 2)
    return _t_test(_mean(first) - _mean(second), pooled * (1 / a + 1 / b), a + b - 2)


def welch_t(first: Sequence[float], second: Sequence[float]) -> TTest:
    """Compare two means by the independent t-test that takes the groups' variances as they are (Welch, 1947).

    t = (m₁ - m₂) / √(s₁²/n₁ + s₂²/n₂), with (s₁²/n₁ + s₂²/n₂)² / ((s₁²/n₁)²/(n₁-1) + (s₂²/n₂)²/(n₂-1)) degrees
    of freedom (Satterthwaite, 1946).

    Raises:
        ValueError: a group is empty, or a score is not finite.

    >>> found = welch_t([1, 2, 3], [2, 4, 6])  # t = -2 / √(1/3 + 4/3), df = (5/3)² / (1/18 + 16/18)
    >>> found.difference, round(found.t, 3), round(found.df, 3), round(found.p, 3)
    (-2.0, -1.549, 2.941, 0.221)
    """
    if undefined := _undefined(first, second):
        return undefined
    a, b = variance(first) / len(first), variance(second) / len(second)
    share = a / (a + b)
    df = 1 / (share**2 / (len(first) - 1) + (1 - share) ** 2 / (len(second) - 1))
    return _t_test(_mean(first) - _mean(second), a + b, df)


def paired_t(first: Sequence[float], second: Sequence[float]) -> TTest:
    """Compare two means by the t-test of the differences, place by place (Student, 1908); n - 1 degrees of freedom.

    Right where scores at one place share something: the seed's head, order and subset. Seeds whose scores do not
    correlate gain nothing by it.

    Raises:
        ValueError: the groups differ in size or are empty, or a score is not finite.

    >>> found = paired_t([1, 2, 3], [2, 4, 6])  # differences -1, -2, -3
    >>> found.difference, round(found.t, 3), found.df, round(found.p, 3)
    (-2.0, -3.464, 2.0, 0.074)
    """
    if len(first) != len(second):
        raise ValueError(f"paired scores need one of each at every place, not {len(first)} and {len(second)}")
    n, difference = len(first), _mean(first) - _mean(second)
    if n < 2:
        return TTest(difference, None, None, None, "undefined: paired scores need at least 2 pairs")
    differences = [a - b for a, b in zip(first, second, strict=True)]
    if _equal(differences, of=[*first, *second]):
        return TTest(difference, None, None, None, "undefined: the differences do not vary")
    return _t_test(difference, variance(differences) / n, n - 1)


def variance(scores: Sequence[float]) -> float:
    """Return the sample variance, ddof = 1; exactly 0 where all scores are equal but for rounding.

    Raises:
        ValueError: there are fewer than two scores.

    >>> variance([1, 2, 3])
    1.0
    """
    if len(scores) < 2:
        raise ValueError(f"a variance needs at least 2 scores, not {len(scores)}")
    if _equal(scores, of=scores):
        return 0.0
    mean = _mean(scores)
    return math.fsum((score - mean) ** 2 for score in scores) / (len(scores) - 1)


def t_quantile(probability: float, df: float) -> float:
    """Return the quantile of Student's t.

    >>> round(t_quantile(0.975, 9), 3)
    2.262
    """
    from scipy.special import stdtrit

    return float(stdtrit(df, probability))


def _t_test(difference: float, squared_error: float, df: float) -> TTest:
    from scipy.special import stdtr

    error = math.sqrt(squared_error)
    t = difference / error
    return TTest(difference, t, float(df), float(2 * stdtr(df, -abs(t))), standard_error=error)


def _undefined(first: Sequence[float], second: Sequence[float]) -> TTest | None:
    difference = _mean(first) - _mean(second)
    if min(len(first), len(second)) < 2:
        return TTest(difference, None, None, None, "undefined: each group needs at least 2 scores")
    if variance(first) == variance(second) == 0:
        return TTest(difference, None, None, None, "undefined: the scores do not vary in either group")
    return None


def _equal(scores: Sequence[float], *, of: Sequence[float]) -> bool:
    """Return whether scores, or differences ``of`` scores, are equal but for rounding."""
    return float(max(scores) - min(scores)) <= ROUNDING * max(map(abs, of))


def _mean(scores: Sequence[float]) -> float:
    if len(scores) == 0:
        raise ValueError("there are no scores")
    mean = math.fsum(scores) / len(scores)
    if not math.isfinite(mean):
        raise ValueError(f"scores must be finite numbers, and their mean is {mean}")
    return mean
