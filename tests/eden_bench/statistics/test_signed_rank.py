"""The Bayesian signed-rank test gives probabilities known in closed form, a plain loop's, and baycomp's."""

import numpy as np
import pytest

from eden_bench.statistics import signed_rank as module
from eden_bench.statistics.signed_rank import signed_rank

ERROR = 5 * np.sqrt(0.25 / module.DRAWS)


def by_plain_loops(differences, rope, draws=3000):
    """Follow the paper's words: draw weights, add up the mass of each region, note the largest."""
    z, rng, wins = [0.0, *differences], np.random.default_rng(0), np.zeros(3)
    for weights in rng.dirichlet([0.5] + [1.0] * len(differences), draws):
        mass = np.zeros(3)
        for w, a in zip(weights, z, strict=True):
            for v, b in zip(weights, z, strict=True):
                mass[0 if a + b > 2 * rope else 2 if a + b < -2 * rope else 1] += w * v
        wins[mass.argmax()] += 1
    return wins / draws


@pytest.mark.parametrize(("difference", "weight"), [(0.03, 1 / np.sqrt(2)), (0.015, 1 - 1 / np.sqrt(2))])
def test_one_difference_has_a_closed_form(difference, weight):
    """w₀ ~ Beta(½, 1), so P(w₀ < x) = √x. Above 2r all but w₀² is higher; between r and 2r only w₁² is."""
    found = signed_rank([[difference], [-difference]], rope=0.01)
    assert found[0].higher == pytest.approx(np.sqrt(weight), abs=ERROR)
    assert found[0].lower == 0
    assert found[0].within == pytest.approx(1 - np.sqrt(weight), abs=ERROR)
    assert found[1] == found[0][::-1]  # the same draws


@pytest.mark.parametrize("seed", range(4))
def test_it_agrees_with_plain_loops(seed):
    differences = np.random.default_rng(seed).normal(0.006 * (seed - 1), 0.01, 5 + seed)
    expected = by_plain_loops(differences, 0.005)
    assert signed_rank([differences], 0.005)[0] == pytest.approx(tuple(expected), abs=0.04)


@pytest.mark.parametrize("seed", range(6))
def test_it_agrees_with_baycomp(seed):
    baycomp = pytest.importorskip("baycomp")
    differences = np.random.default_rng(seed).normal(0.004 * (seed - 2), 0.01, 5 + seed)
    expected = baycomp.SignedRankTest.probs(np.zeros(5 + seed), differences, 0.005, random_state=0)
    lower, within, higher = expected
    assert signed_rank([differences], 0.005)[0] == pytest.approx((higher, within, lower), abs=0.01)


def test_a_pair_has_its_probabilities_whatever_the_others_and_in_blocks(monkeypatch):
    table = np.random.default_rng(0).normal(0.004, 0.01, (6, 9))
    found = signed_rank(table, 0.005)
    assert signed_rank(table[3:4], 0.005)[0] == found[3]
    assert signed_rank(table, 0.005, seed=1) != found
    monkeypatch.setattr(module, "BLOCK", 55 * 7001)
    assert np.allclose(signed_rank(table, 0.005), found, atol=ERROR)  # other blocks, other order of draws
    assert np.allclose(np.sum(found, axis=1), 1)


def test_each_pair_may_have_its_own_rope():
    table = np.random.default_rng(1).normal(0.004, 0.01, (2, 9))
    assert signed_rank(table, [0.005, 0.02]) == [signed_rank(table, 0.005)[0], signed_rank(table, 0.02)[1]]


def test_a_sum_on_the_end_of_the_rope_is_within_it_though_decimals_round():
    # 0.963 - 0.958 is a little more than 0.005
    assert signed_rank([np.subtract([0.963] * 4, [0.958] * 4)], 0.005)[0] == (0.0, 1.0, 0.0)


@pytest.mark.parametrize("rope", [0.0, -0.01, float("nan"), float("inf")])
def test_a_rope_of_no_width_is_refused(rope):
    with pytest.raises(ValueError, match="the ROPE must be above 0"):
        signed_rank([[0.1, 0.2]], rope)


def test_differences_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="scores must be finite numbers, and 1 of them"):
        signed_rank([[0.1, float("nan")]], 0.01)
