"""Effect sizes agree with their definitions, and their intervals cover."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given

from eden_bench.statistics.effects import hedges_g, noncentralities
from tests.eden_bench.statistics.test_t_tests import VARYING


def test_hedges_g_takes_the_bias_away():
    rng = np.random.default_rng(0)
    found = [hedges_g(rng.normal(1, 1, 4), rng.normal(0, 1, 4)).value for _ in range(4000)]
    assert np.mean(found) == pytest.approx(1, abs=4 * np.std(found) / np.sqrt(len(found)))  # Cohen's d would be 1.15


def test_hedges_g_gives_a_value_worked_by_hand():
    # d = -1 with 4 degrees of freedom; J(4) = Γ(2) / (√2·Γ(3/2)) = 1 / (√2·√π/2)
    assert hedges_g([1, 2, 3], [2, 3, 4]).value == pytest.approx(-1 / (np.sqrt(2 * np.pi) / 2))


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
