"""The sign-flip test equals SciPy's and a count in whole numbers, ties included; what it draws is drawn alike."""

from itertools import product

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.statistics import sign_flip as module
from eden_bench.statistics.sign_flip import EXACT_AT_MOST, least_p, sign_flip, sign_flips


def by_scipy(differences):
    done = scipy.stats.permutation_test(
        (differences, np.zeros_like(differences)),
        lambda x, y, axis: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    return done.pvalue


def by_counting(whole):
    """Count in whole numbers, which do not round."""
    sums = [
        abs(sum(sign * d for sign, d in zip(signs, whole, strict=True)))
        for signs in product((1, -1), repeat=len(whole))
    ]
    return sum(found >= abs(sum(whole)) for found in sums) / len(sums)


@pytest.mark.parametrize("n", [2, 3, 7, 10])
def test_it_agrees_with_scipy(n):
    table = np.random.default_rng(n).normal(0.3, 1, (6, n))
    assert sign_flips(table) == pytest.approx([by_scipy(row) for row in table], abs=1e-12)


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9))
def test_equal_sums_count_as_equal_though_decimals_round(whole):
    assert sign_flip([d / 1000 for d in whole]) == by_counting(whole)


def test_equal_sums_of_scores_near_one_count_as_equal():
    first, second = [0.951, 0.962, 0.973], [0.950, 0.960, 0.970]  # differences of 1, 2 and 3 thousandths, rounded
    assert sign_flip(np.subtract(first, second)) == 0.25
    first = [0.951, 0.962, 0.967]  # 1, 2 and -3: the sum is 0, and every sum is as large
    assert sign_flip(np.subtract(first, second)) == 1.0


def test_a_table_too_large_for_one_block_gives_the_same(monkeypatch):
    table = np.random.default_rng(0).normal(0.2, 1, (7, 9))
    whole = sign_flips(table)
    monkeypatch.setattr(module, "BLOCK", 2**9)
    assert (sign_flips(table) == whole).all()


def test_twenty_differences_are_counted_in_full():
    # all of one sign: only all plus and all minus reach the sum
    assert sign_flip(np.linspace(1, 2, EXACT_AT_MOST)) == least_p(EXACT_AT_MOST) == 2 / 2**20


def test_drawn_signs_come_close_to_the_exact_p_and_are_drawn_alike(monkeypatch):
    table = np.random.default_rng(1).normal(0.3, 1, (5, 12))
    exact = sign_flips(table)
    monkeypatch.setattr(module, "EXACT_AT_MOST", 11)
    drawn = sign_flips(table)
    assert drawn == pytest.approx(exact, abs=5 * np.sqrt(0.25 / module.DRAWS))
    assert (drawn != exact).any()
    assert (sign_flips(table) == drawn).all()
    assert (sign_flips(table, seed=1) != drawn).any()
    assert sign_flips(table[2:3])[0] == drawn[2]  # whatever other pairs are asked for


def test_a_drawn_p_is_never_zero():
    assert sign_flip([1.0] * 40) == 1 / (module.DRAWS + 1)


def test_the_draws_are_all_used_when_they_come_in_blocks(monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 30 * 1000)
    assert sign_flip([0.0] * 30) == 1.0


def test_differences_of_zero_are_no_evidence():
    assert sign_flip([0.0, 0.0, 0.0]) == 1.0


@pytest.mark.parametrize("bad", [[], [0.1, float("nan")], [[0.1]]])
def test_what_is_no_row_of_numbers_is_refused(bad):
    with pytest.raises(ValueError, match="scores must be"):
        sign_flip(bad)
