"""Statistics agree with SciPy, and say where they are undefined."""

import math

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from eden_bench.statistics.t_tests import paired_t, summarise, two_sample_t, variance, welch_t

SCORES = st.lists(st.integers(0, 1000).map(lambda k: k / 1000), min_size=2, max_size=12)
VARYING = SCORES.filter(lambda scores: min(scores) < max(scores))


def close(value, expected):
    return value == pytest.approx(expected, rel=1e-10, abs=1e-12)


@given(VARYING)
def test_the_summary_agrees_with_scipy(scores):
    found = summarise(scores)
    low, high = scipy.stats.t.interval(
        0.95, len(scores) - 1, loc=sum(scores) / len(scores), scale=scipy.stats.sem(scores)
    )
    assert close(found.mean, sum(scores) / len(scores))
    assert close(found.sd, scipy.stats.tstd(scores))
    assert close(found.low, low)
    assert close(found.high, high)


@given(VARYING, VARYING)
def test_the_test_agrees_with_scipy(first, second):
    found = two_sample_t(first, second)
    expected = scipy.stats.ttest_ind(first, second)
    assert close(found.t, expected.statistic)
    assert close(found.df, expected.df)
    assert close(found.p, expected.pvalue)


def test_the_pooled_test_gives_a_value_worked_by_hand():
    # means 2 and 4, both variances 1, n = 3: t = -2 / sqrt(1 * 2/3) = -sqrt(6)
    found = two_sample_t([1, 2, 3], [3, 4, 5])
    assert found.t == pytest.approx(-math.sqrt(6))
    assert found.df == 4
    assert found.difference == -2


@given(VARYING, VARYING)
def test_swapping_the_groups_turns_the_sign_and_keeps_p(first, second):
    there, back = two_sample_t(first, second), two_sample_t(second, first)
    assert there.t == -back.t
    assert there.p == back.p


def test_unequal_sizes_have_their_own_degrees_of_freedom():
    assert two_sample_t([0.1, 0.2, 0.4], [0.5, 0.6, 0.4, 0.9]).df == 5


def test_one_score_has_a_mean_and_nothing_else():
    found = summarise([0.5])
    assert (found.n, found.mean, found.sd, found.low, found.high) == (1, 0.5, None, None, None)


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="there are no scores"):
        summarise([])
    with pytest.raises(ValueError, match="there are no scores"):
        two_sample_t([], [0.5])


def test_a_variance_of_one_score_is_refused():
    with pytest.raises(ValueError, match="at least 2 scores, not 1"):
        variance([0.5])


def test_equal_scores_have_no_variance_at_all_whatever_the_rounding():
    assert variance([0.1] * 10) == 0.0
    assert summarise([0.1] * 3).low == summarise([0.1] * 3).high


def test_a_test_of_groups_that_do_not_vary_is_undefined_not_certain():
    found = two_sample_t([0.5, 0.5], [0.7, 0.7])
    assert (found.t, found.p) == (None, None)
    assert found.difference == pytest.approx(-0.2)
    assert "do not vary" in found.note


def test_a_test_of_one_score_is_undefined():
    assert two_sample_t([0.5], [0.7, 0.8]).note == "undefined: each group needs at least 2 scores"


def test_one_group_without_variance_is_defined():
    # variances 0 and 0.01, n = 3: the pooled variance is 0.005
    found = two_sample_t([0.5, 0.5, 0.5], [0.7, 0.8, 0.9])
    assert found.t == pytest.approx(-0.3 / math.sqrt(0.005 * 2 / 3))


@given(VARYING, VARYING)
def test_welch_agrees_with_scipy(first, second):
    found = welch_t(first, second)
    expected = scipy.stats.ttest_ind(first, second, equal_var=False)
    assert close(found.t, expected.statistic)
    assert close(found.df, expected.df)
    assert close(found.p, expected.pvalue)
    assert close(found.t * found.standard_error, found.difference)


PAIRS = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=2, max_size=12).filter(
    lambda pairs: len({a - b for a, b in pairs}) > 1
)


@given(PAIRS)
def test_the_paired_test_agrees_with_scipy(pairs):
    first, second = ([pair[side] / 1000 for pair in pairs] for side in (0, 1))
    found = paired_t(first, second)
    expected = scipy.stats.ttest_rel(first, second)
    assert close(found.t, expected.statistic)
    assert found.df == expected.df
    assert close(found.p, expected.pvalue)
    assert close(found.t * found.standard_error, found.difference)


def test_welch_with_one_group_that_does_not_vary_has_the_other_s_degrees_of_freedom():
    assert welch_t([0.5, 0.5, 0.5], [0.7, 0.8, 0.9, 0.4]).df == 3


@pytest.mark.parametrize("test", [two_sample_t, welch_t])
def test_scores_that_differ_by_rounding_do_not_vary(test):
    # 0.1 + 0.2 is one bit above 0.3; t would be 1e15 and p 0
    found = test([0.1 + 0.2, 0.3, 0.3], [0.7, 0.7, 0.7])
    assert (found.t, found.p, found.standard_error) == (None, None, None)
    assert "do not vary" in found.note


def test_differences_that_differ_by_rounding_do_not_vary():
    # every difference is 0.001; as floats they are 1e-16 apart, much beside 0.001 and nothing beside the scores
    found = paired_t([0.951, 0.563, 0.813], [0.950, 0.562, 0.812])
    assert (found.t, found.p) == (None, None)
    assert found.note == "undefined: the differences do not vary"
    assert paired_t([0.5], [0.4]).note == "undefined: paired scores need at least 2 pairs"


def test_pairs_without_a_partner_are_refused():
    with pytest.raises(ValueError, match="one of each at every place, not 3 and 2"):
        paired_t([1, 2, 3], [1, 2])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("test", [two_sample_t, welch_t, paired_t])
def test_scores_that_are_no_numbers_are_refused(test, bad):
    with pytest.raises(ValueError, match="scores must be finite numbers"):
        test([0.5, bad], [0.5, 0.6])
