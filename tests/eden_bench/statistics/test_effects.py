"""Effect sizes agree with their definitions, and their intervals cover."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings

from eden_bench.statistics.effects import cliffs_delta, hedges_g, noncentralities, probability_of_improvement
from tests.eden_bench.statistics.test_t_tests import SCORES, VARYING


def test_hedges_g_takes_the_bias_away():
    rng = np.random.default_rng(0)
    found = [hedges_g(rng.normal(1, 1, 4), rng.normal(0, 1, 4)).value for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / np.sqrt(len(found)))  # Cohen's d would be 1.15


def test_hedges_g_gives_a_value_worked_by_hand():
    # d = -1 with 4 degrees of freedom; J(4) = Γ(2) / (√2·Γ(3/2)) = 1 / (√2·√π/2)
    assert hedges_g([1, 2, 3], [2, 3, 4]).value == pytest.approx(-1 / (np.sqrt(2 * np.pi) / 2))


@settings(deadline=None)  # noncentral t by SciPy is slow on a busy machine
@given(VARYING, VARYING)
def test_the_interval_puts_t_at_its_two_tails(first, second):
    found = hedges_g(first, second)
    t, df = scipy.stats.ttest_ind(first, second).statistic, len(first) + len(second) - 2
    scale = np.sqrt(1 / len(first) + 1 / len(second))
    assert found.low < found.high
    assert scipy.stats.nct.sf(t, df, found.low / scale) == pytest.approx(0.025, abs=1e-7)
    assert scipy.stats.nct.cdf(t, df, found.high / scale) == pytest.approx(0.025, abs=1e-7)


@pytest.mark.parametrize("true", [0.0, 0.8, 3.0])
def test_the_interval_covers_the_true_effect(true):
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(1000):
        found = hedges_g(rng.normal(true, 1, 10), rng.normal(0, 1, 6))
        covered += found.low <= true <= found.high
    assert 0.93 < covered / 1000 < 0.97


def test_the_interval_turns_with_the_sign():
    low, high = noncentralities(2.0, 18)
    assert noncentralities(-2.0, 18) == (-high, -low)


def test_what_does_not_vary_has_no_effect_size():
    assert hedges_g([0.5, 0.5], [0.7, 0.7]) is None
    assert hedges_g([0.5], [0.7, 0.8]) is None


def test_groups_that_hardly_vary_have_no_interval_and_say_so():
    found = hedges_g([0.5, 0.5 + 1e-9], [0.7, 0.7 + 1e-9])
    assert (found.low, found.high) == (None, None)
    assert "hardly vary" in found.note


@given(SCORES, SCORES)
def test_wins_are_counted_one_by_one(first, second):
    wins = sum((a > b) + 0.5 * (a == b) for a in first for b in second) / (len(first) * len(second))
    assert probability_of_improvement(first, second).value == pytest.approx(wins)
    assert cliffs_delta(first, second) == pytest.approx(2 * wins - 1)


def test_scores_that_are_equal_but_for_rounding_tie():
    assert cliffs_delta([0.1 + 0.2], [0.3]) == 0
    assert probability_of_improvement([0.1 + 0.2], [0.3]).value == 0.5


@given(SCORES, SCORES)
def test_the_probability_turns_with_the_order_and_lies_within_its_interval(first, second):
    found, turned = probability_of_improvement(first, second), probability_of_improvement(second, first)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low < found.high
    assert (turned.low, turned.high) == pytest.approx((1 - found.high, 1 - found.low), abs=1e-9)


def test_the_end_of_the_interval_solves_newcombe_s_equation():
    found = probability_of_improvement([4, 5, 6], [1, 2, 5])
    for theta in (found.low, found.high):
        spread = theta * (1 - theta) / 9 * (1 + 2 * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        assert abs(theta - 7.5 / 9) == pytest.approx(1.959964 * np.sqrt(spread), abs=1e-5)


@pytest.mark.parametrize("spread", [1, 3])
@pytest.mark.parametrize("true", [0.5, 0.8, 0.95])
def test_the_interval_covers_the_true_probability(true, spread):
    """Also where one group nearly always wins: a bootstrap covers 0.95 in 70 of 100 cases there."""
    rng = np.random.default_rng(3)
    shift = scipy.stats.norm.ppf(true) * np.hypot(1, spread)
    found = [probability_of_improvement(rng.normal(shift, 1, 10), rng.normal(0, spread, 10)) for _ in range(500)]
    assert 0.9 < np.mean([low <= true <= high for _, low, high, _ in found]) < 0.985


@pytest.mark.parametrize("statistic", [cliffs_delta, probability_of_improvement])
@pytest.mark.parametrize("bad", [[], [0.5, float("nan")]])
def test_scores_that_are_no_numbers_are_refused(statistic, bad):
    with pytest.raises(ValueError, match="scores must be"):
        statistic([0.1, 0.2], bad)
