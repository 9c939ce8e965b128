"""Effect sizes: how large a difference is beside the spread, and how often one method beats the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.samples import sample
from eden_bench.statistics.t_tests import CONFIDENCE, two_sample_t

DIGITS = 12
"""To which scores are rounded before one wins: equal means may be added up in another order."""
LARGEST_T = 1e4
"""Above it the noncentral t is not computed reliably; groups so far apart hardly vary."""


def hedges_g(first: Sequence[float], second: Sequence[float]) -> Estimate | None:
    """Estimate the difference of two independent groups' means in units of their pooled s.d. (Hedges, 1981).

    g = J(m)·(m₁ - m₂)/s, m = n₁ + n₂ - 2, and J(m) = Γ(m/2) / (√(m/2)·Γ((m-1)/2)) takes the bias away. The interval
    is that of the population's δ by the noncentral t (Steiger & Fouladi, 1997), exact for normal groups of equal
    variance: the noncentralities at which t lies at the 97.5 % and the 2.5 % point, times √(1/n₁ + 1/n₂).

    Returns:
        None where t is undefined: fewer than two scores in a group, or none that vary.

    Raises:
        ValueError: a group is empty, or a score is not finite.

    >>> found = hedges_g([1, 2, 3], [2, 3, 4])  # J(4) = 0.798, d = -1
    >>> round(found.value, 3), round(found.low, 2), round(found.high, 2)
    (-0.798, -2.68, 0.78)
    """
    test = two_sample_t(first, second)
    if test.t is None or test.df is None:
        return None
    scale = math.sqrt(1 / len(first) + 1 / len(second))
    value = _unbiased(test.df) * test.t * scale
    if abs(test.t) > LARGEST_T:
        return Estimate(value, note="no interval: beside their difference the groups hardly vary")
    low, high = noncentralities(test.t, test.df)
    return Estimate(value, low * scale, high * scale)


def cliffs_delta(first: Sequence[float], second: Sequence[float]) -> float:
    """Return P(first > second) - P(first < second) over all pairs of scores, in [-1, 1] (Cliff, 1993).

    Raises:
        ValueError: a group is empty, or a score is not finite.

    >>> cliffs_delta([1, 2, 3], [2, 2, 2])
    0.0
    """
    return 2 * _wins(first, second) - 1


def probability_of_improvement(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Estimate P(first > second) + P(first = second) / 2, the chance that a score of the first is higher.

    The interval solves (θ - θ̂)² = z²·θ(1-θ)/(n₁n₂)·[1 + N((1-θ)/(2-θ) + θ/(1+θ))], N = (n₁+n₂)/2 - 1 (Newcombe,
    Stat Med 2006, method 5): where one group beats the other throughout it is not [1, 1] as a bootstrap's or a
    Brunner-Munzel interval is. In simulations it covers 92 to 97 % at ten scores a group, s.d.s alike or 1 : 3,
    where a bootstrap covers 94 % at θ = 0.5 but 70 % at 0.95. It takes the groups as independent: shared seeds
    that correlate make it too wide.

    Raises:
        ValueError: a group is empty, or a score is not finite.

    >>> found = probability_of_improvement([4, 5, 6], [1, 2, 3])
    >>> found.value, round(found.low, 2), found.high
    (1.0, 0.5, 1.0)
    """
    value = _wins(first, second)
    return Estimate(value, *_newcombe(value, len(first), len(second)))


def noncentralities(t: float, df: float) -> tuple[float, float]:
    """Return the 95 % interval of the noncentrality of one observed t.

    >>> low, high = noncentralities(0.0, 18)
    >>> round(low, 3), round(high, 3)
    (-1.96, 1.96)
    """
    if t < 0:
        low, high = noncentralities(-t, df)
        return -high, -low
    tail = (1 - CONFIDENCE) / 2
    return _noncentrality(t, df, 1 - tail), _noncentrality(t, df, tail)


def _noncentrality(t: float, df: float, probability: float) -> float:
    """Solve P(T' ≤ t) = probability for the noncentrality, t ≥ 0; the bracket is wider than 99.8 % by its making."""
    from scipy.optimize import brentq
    from scipy.special import chdtri, nctdtr

    highest = t * math.sqrt(chdtri(df, 0.001) / df) + 4
    return float(brentq(lambda delta: nctdtr(df, delta, t) - probability, -3.0, highest, xtol=1e-12))


def _wins(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the share of pairs that the first wins, a tie half: ranks among the second, below and up to each."""
    ours, theirs = (np.round(sample(scores), DIGITS) for scores in (first, second))
    theirs.sort()
    below, up_to = (np.searchsorted(theirs, ours, side) for side in ("left", "right"))
    return float((below + up_to).sum()) / (2 * len(ours) * len(theirs))


def _newcombe(value: float, a: int, b: int) -> tuple[float, float]:
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z, mean = float(ndtri((1 + CONFIDENCE) / 2)), (a + b) / 2 - 1

    def beyond(theta: float) -> float:
        spread = theta * (1 - theta) / (a * b) * (1 + mean * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        return (theta - value) ** 2 - z**2 * spread

    low = 0.0 if value == 0 else brentq(beyond, 0.0, min(value, 1 - 1e-9))
    high = 1.0 if value == 1 else brentq(beyond, max(value, 1e-9), 1.0)
    return float(low), float(high)


def _unbiased(df: float) -> float:
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
