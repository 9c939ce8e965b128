"""Equivalence by two one-sided t-tests (Schuirmann, 1987): is the difference shown to be smaller than a margin?

A p above 0.05 of a test for a difference shows nothing; a p below 0.05 here shows that the difference, whatever its
sign, is less than the margin. It is so exactly where the 90 % t-interval of the difference lies within the margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from eden_bench.statistics.t_tests import TTest, paired_t, welch_t


class Equivalence(NamedTuple):
    """Two one-sided tests of a difference against a margin."""

    p: float | None
    """Larger of the two: below 0.05, the difference is within the margin. None where undefined."""
    low_p: float | None
    """That the difference is not above -margin."""
    high_p: float | None
    """That it is not below +margin."""
    note: str = ""
    """Why it is undefined; empty where it is not."""


def tost_independent(first: Sequence[float], second: Sequence[float], margin: float) -> Equivalence:
    """Test two independent groups for equivalence, variances as they are (Welch).

    Raises:
        ValueError: a group is empty, a score not finite, or the margin not above 0.

    >>> round(tost_independent([1, 2, 3], [1, 2, 3], margin=2).p, 3)  # t = 2 / √(1/3 + 1/3), df = 4
    0.035
    """
    return _of_test(welch_t(first, second), margin)


def tost_paired(first: Sequence[float], second: Sequence[float], margin: float) -> Equivalence:
    """Test the differences of paired scores for equivalence.

    Raises:
        ValueError: the groups differ in size or are empty, a score is not finite, or the margin is not above 0.

    >>> round(tost_paired([1, 2, 3], [2, 2, 2], margin=2).p, 3)  # t = 2 / √(1/3), df = 2
    0.037
    """
    return _of_test(paired_t(first, second), margin)


def tost_of_estimate(difference: float, standard_error: float, df: float, margin: float) -> Equivalence:
    """Test an estimated difference, with its standard error and degrees of freedom, for equivalence.

    p = max(P(T ≥ (difference + margin) / se), P(T ≤ (difference - margin) / se)), T Student's t.

    Args:
        difference: in the units of the margin.
        standard_error: of the difference; 0 is undefined, since a t needs something that varies.
        df: above 0; infinite for a normal distribution.
        margin: above 0; differences less than this do not matter.

    Raises:
        ValueError: the margin or the degrees of freedom are not above 0, the error is negative, or one is not a number.

    >>> round(tost_of_estimate(0.0, 1.0, float("inf"), margin=1.645).p, 3)
    0.05
    """
    from scipy.special import stdtr

    if not margin > 0 or not df > 0 or not standard_error >= 0 or not math.isfinite(difference):
        found = f"margin {margin}, df {df}, standard error {standard_error}, difference {difference}"
        raise ValueError(f"a margin and df must be above 0, an error not negative, a difference finite, not {found}")
    if standard_error == 0:
        return Equivalence(None, None, None, "undefined: the difference does not vary")
    low_p = float(stdtr(df, -(difference + margin) / standard_error))
    high_p = float(stdtr(df, (difference - margin) / standard_error))
    return Equivalence(max(low_p, high_p), low_p, high_p)


def _of_test(test: TTest, margin: float) -> Equivalence:
    if test.df is None or test.standard_error is None:
        return Equivalence(None, None, None, test.note)
    return tost_of_estimate(test.difference, test.standard_error, test.df, margin)
