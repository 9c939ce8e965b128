"""Tests of groups of which only mean, s.d. and n are known, as papers print them.

t-tests, Hedges' g and equivalence of independent groups depend on these three alone. So any scores that have them give
the same result, and the functions of ``eden_bench.statistics`` serve for both.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from eden_bench.statistics.equivalence import tost_independent
from eden_bench.statistics.t_tests import CONFIDENCE, TTest, t_quantile, welch_t


class Moments(NamedTuple):
    """A group of scores by its moments."""

    n: int
    mean: float
    sd: float | None
    """ddof 1; None where it is not known."""

    def scores(self) -> list[float]:
        """Return n scores with this mean and s.d., in pairs around the mean.

        >>> Moments(4, 1.0, 2.0).scores()
        [-0.7320508075688772, 2.732050807568877, -0.7320508075688772, 2.732050807568877]
        """
        if self.sd is None or self.n < 2:
            return [self.mean]
        pairs, single = divmod(self.n, 2)
        away = self.sd * math.sqrt((self.n - 1) / (2 * pairs))
        return [self.mean - away, self.mean + away] * pairs + [self.mean] * single


class Contrast(NamedTuple):
    """The difference of two groups by Welch, with its interval and the test of equivalence."""

    test: TTest
    low: float | None
    """Lower end of the 95 % Welch interval of the difference; None where one s.d. is not known or nothing varies."""
    high: float | None
    equivalence_p: float | None


def contrast(first: Moments, second: Moments, margin: float | None) -> Contrast:
    """Compare two groups by Welch's test.

    Args:
        first: a group.
        second: the other, subtracted from it.
        margin: differences below it do not matter; None for no test of equivalence.
    """
    ours, theirs = first.scores(), second.scores()
    test = welch_t(ours, theirs)
    if test.standard_error is None or test.df is None:
        return Contrast(test, None, None, None)
    half = t_quantile((1 + CONFIDENCE) / 2, test.df) * test.standard_error
    equivalence = tost_independent(ours, theirs, margin).p if margin else None
    return Contrast(test, test.difference - half, test.difference + half, equivalence)
