"""Equivalence tests agree with statsmodels, and with the 90 % interval."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from eden_bench.statistics.equivalence import tost_independent, tost_of_estimate, tost_paired

SAMPLES = [np.random.default_rng(seed).normal(0.8, 0.02, (2, n)) for seed, n in enumerate((2, 3, 10, 10, 30))]


@pytest.mark.parametrize("margin", [0.005, 0.02])
@pytest.mark.parametrize("scores", SAMPLES, ids=str)
def test_independent_groups_agree_with_statsmodels(scores, margin):
    first, second = scores[0], scores[1][:-1] if len(scores[1]) > 2 else scores[1]
    p, low, high = ttost_ind(first, second, -margin, margin, usevar="unequal")
    found = tost_independent(first, second, margin)
    assert (found.p, found.low_p, found.high_p) == pytest.approx((p, low[1], high[1]), abs=1e-12)


@pytest.mark.parametrize("margin", [0.005, 0.02])
@pytest.mark.parametrize("scores", SAMPLES, ids=str)
def test_paired_scores_agree_with_statsmodels(scores, margin):
    p, low, high = ttost_paired(*scores, -margin, margin)
    found = tost_paired(*scores, margin)
    assert (found.p, found.low_p, found.high_p) == pytest.approx((p, low[1], high[1]), abs=1e-12)


@pytest.mark.parametrize("difference", [-0.012, 0.0, 0.004, 0.012])
def test_it_is_equivalent_where_the_90_percent_interval_lies_within_the_margin(difference):
    low, high = scipy.stats.t.interval(0.9, 7.5, loc=difference, scale=0.003)
    assert (tost_of_estimate(difference, 0.003, 7.5, 0.01).p < 0.05) == (low > -0.01 and high < 0.01)


def test_equal_scores_are_undefined_not_equivalent():
    found = tost_independent([0.5, 0.5], [0.5, 0.5], 0.01)
    assert found.p is None
    assert "do not vary" in found.note
    assert tost_paired([0.5, 0.6], [0.4, 0.5], 0.2).p is None
    assert tost_of_estimate(0.0, 0.0, 9, 0.01).p is None


def test_two_groups_of_equal_means_have_a_p():
    assert tost_independent([1, 2, 3], [1, 2, 3], 2.0).p == pytest.approx(scipy.stats.t.sf(2 / np.sqrt(2 / 3), 4))


@pytest.mark.parametrize(
    "bad", [(0.0, 1.0, 9.0, 0.0), (0.0, 1.0, 0.0, 0.1), (0.0, -1.0, 9.0, 0.1), (np.nan, 1.0, 9.0, 0.1)]
)
def test_what_gives_no_test_is_refused(bad):
    with pytest.raises(ValueError, match="must be above 0"):
        tost_of_estimate(*bad)
