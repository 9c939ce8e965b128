"""Effect sizes: how large a difference is beside the spread, and how often one method beats the other."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import CONFIDENCE, two_sample_t

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


def _unbiased(df: float) -> float:
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)
