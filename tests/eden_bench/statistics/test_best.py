"""Comparison with the best: critical values as by the multivariate t, and intervals that cover all rows at once."""

import numpy as np
import pytest
import scipy.stats

from eden_bench.statistics import best as module
from eden_bench.statistics.best import with_the_best

UNEQUAL = np.diag([1.0, 9.0, 4.0, 1.0, 0.25])
CORRELATED = UNEQUAL + 2.0  # what all rows share: the patients
TANGLED = UNEQUAL + np.outer([1, -1, 2, 0, 1], [1, -1, 2, 0, 1])


def gaps_to_the_best(true):
    return np.array([mean - max(np.delete(true, i)) for i, mean in enumerate(true)])


def covers(found, true):
    return all(
        row.low - 1e-12 <= gap <= row.high + 1e-12 for row, gap in zip(found, gaps_to_the_best(true), strict=True)
    )


@pytest.mark.parametrize(("rows", "df"), [(2, 9), (4, 27), (8, np.inf)])
def test_the_critical_value_is_that_of_the_multivariate_t(rows, df):
    # equal variances, independent: the differences with one row correlate by 1/2 (Dunnett, 1955)
    found = with_the_best(np.zeros(rows), np.eye(rows), df)[0].high / np.sqrt(2)
    if rows == 2:
        assert found == pytest.approx(scipy.stats.t.ppf(0.95, df), abs=0.03)
    else:
        shape = (np.eye(rows - 1) + 1) / 2
        level = scipy.stats.multivariate_t(shape=shape, df=df, seed=0).cdf(np.full(rows - 1, found))
        assert level == pytest.approx(0.95, abs=0.004)


def by_plain_loops(means, covariance, critical):
    """Follow Hsu's formula row by row."""
    k = range(len(means))
    error = {
        (i, j): np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j]) for i in k for j in k if i != j
    }
    highs = [max(0, min(means[i] - means[j] + critical[i] * error[i, j] for j in k if j != i)) for i in k]
    lows = []
    for i in k:
        candidates = [j for j in k if j != i and highs[j] > 0]
        lows.append(min([0, *(means[i] - means[j] - critical[j] * error[i, j] for j in candidates)]))
    return list(zip(lows, highs, strict=True))


@pytest.mark.parametrize("seed", [0, 1, 2, 96, 114])  # in the last two a row that is no candidate would matter
def test_the_intervals_are_those_of_the_formula(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    means, factors, critical = rng.normal(0, 3, 5), rng.normal(0, 1, (5, 5)), rng.uniform(0.2, 4, 5)
    covariance = factors @ factors.T
    monkeypatch.setattr(module, "_critical", lambda *_: critical)  # far apart, to tell whose is used
    found = [(row.low, row.high) for row in with_the_best(means, covariance, 9)]
    assert np.allclose(found, by_plain_loops(means, covariance, critical), atol=1e-12)


@pytest.mark.parametrize("covariance", [UNEQUAL, CORRELATED, TANGLED], ids=["unequal", "correlated", "tangled"])
@pytest.mark.parametrize("leader", [0, 1, 4])
def test_all_intervals_hold_at_once_under_unequal_variances(monkeypatch, covariance, leader):
    """One row far ahead of rows that are alike: the hardest case, where 95 of 100 is exact."""
    critical = module._critical(covariance, errors_of(covariance), np.inf, 0.95, 0)
    monkeypatch.setattr(module, "_critical", lambda *_: critical)  # the covariance is known, so it is the same
    true = 50.0 * (np.arange(5) == leader)
    studies = np.random.default_rng(leader).multivariate_normal(true, covariance, 2000)
    held = [covers(with_the_best(means, covariance, np.inf), true) for means in studies]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("true", [np.zeros(5), np.array([0, 0.5, 1, -2, 1])], ids=["all alike", "close"])
def test_all_intervals_hold_at_least_as_often_where_no_row_is_far_ahead(monkeypatch, true):
    critical = module._critical(TANGLED, errors_of(TANGLED), np.inf, 0.95, 0)
    monkeypatch.setattr(module, "_critical", lambda *_: critical)
    studies = np.random.default_rng(0).multivariate_normal(true, TANGLED, 1000)
    assert np.mean([covers(with_the_best(means, TANGLED, np.inf), true) for means in studies]) > 0.94


def errors_of(covariance):
    variances = covariance.diagonal()
    return np.sqrt(np.maximum(variances[:, None] + variances - 2 * covariance, 0))


@pytest.mark.parametrize("leader", [0, 1, 4])
def test_all_intervals_hold_at_once_with_variances_estimated_from_ten_seeds(monkeypatch, leader):
    monkeypatch.setattr(module, "DRAWS", 3000)
    rng, spreads, true = np.random.default_rng(leader), np.array([1, 3, 2, 1, 0.5]), 50.0 * (np.arange(5) == leader)
    held = []
    for _ in range(300):
        scores = rng.normal(true, spreads, (10, 5))
        covariance = np.diag(scores.var(axis=0, ddof=1) / 10)
        held.append(covers(with_the_best(scores.mean(axis=0), covariance, 9), true))
    assert 0.92 < np.mean(held) < 0.99


def test_a_row_far_ahead_is_the_best_and_the_others_are_not():
    found = with_the_best([0.5, 0.9, 0.5], np.eye(3) * 1e-4, 20)
    assert [row.verdict for row in found] == ["not the best", "best", "not the best"]
    assert found[1].low == found[0].high == 0
    assert found[0].low < -0.4 < 0.4 < found[1].high


def test_two_rows_ahead_may_both_be_the_best():
    found = with_the_best([0.9, 0.899, 0.5], np.eye(3) * 1e-4, 20)
    assert [row.verdict for row in found] == ["may be the best", "may be the best", "not the best"]


def test_lower_is_better_mirrors_the_intervals():
    means, covariance = np.array([0.5, 0.9, 0.52]), np.diag([1e-4, 2e-4, 3e-4])
    up, down = with_the_best(-means, covariance, 20), with_the_best(means, covariance, 20, higher_is_better=False)
    assert down[0].verdict == "may be the best"
    assert [(row.low, row.high, row.verdict) for row in down] == [(-row.high, -row.low, row.verdict) for row in up]


def test_what_rows_share_makes_no_noise():
    """Patients all rows share move all means alike: with them taken out, a small lead is a lead."""
    alone, shared = (
        with_the_best([0.90, 0.88], np.eye(2) * 1e-5, 20),
        with_the_best([0.90, 0.88], np.eye(2) * 1e-5 + 1, 20),
    )
    assert alone[0].verdict == shared[0].verdict == "best"
    assert with_the_best([0.90, 0.88], np.eye(2), 20)[0].verdict == "may be the best"


def test_rows_of_the_same_numbers_share_a_verdict():
    same = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]) * 1e-4
    found = with_the_best([0.9, 0.9, 0.5], same, 20)
    assert [row.verdict for row in found] == ["best", "best", "not the best"]
    assert found[0] == found[1]


def test_nothing_is_claimed_where_nothing_varies():
    assert {row.verdict for row in with_the_best([0.9, 0.8, 0.7], np.zeros((3, 3)), 20)} == {"no claim"}
    equal = with_the_best([0.9, 0.9], np.zeros((2, 2)), 20)
    assert equal[0].low is None
    assert "same numbers" in equal[0].note


def test_the_same_draws_give_the_same_intervals():
    args = [0.5, 0.52, 0.55], np.diag([1e-4, 2e-4, 3e-4]), 12
    assert with_the_best(*args) == with_the_best(*args) != with_the_best(*args, seed=1)


@pytest.mark.parametrize(
    ("means", "covariance", "df", "message"),
    [
        ([0.5], np.eye(1), 9, "at least 2 rows"),
        ([0.5, 0.6], np.eye(3), 9, "not 2 rows and a covariance of"),
        ([0.5, 0.6], np.array([[1, 0.5], [0.4, 1]]), 9, "must be symmetric"),
        ([0.5, 0.6], np.array([[1, 2], [2, 1]]), 9, "no negative variance"),
        ([0.5, 0.6], np.eye(2) * np.nan, 9, "must be symmetric and finite"),
        ([0.5, 0.6], np.eye(2), 0, "degrees of freedom must be above 0"),
        ([0.5, np.nan], np.eye(2), 9, "scores must be finite"),
    ],
)
def test_what_gives_no_comparison_is_refused(means, covariance, df, message):
    with pytest.raises(ValueError, match=message):
        with_the_best(means, covariance, df)


def test_several_tables_hold_together_by_bonferroni():
    one, several = (with_the_best([0.0, 0.0], np.eye(2), np.inf, tables=tables)[0].high for tables in (1, 10))
    assert one == pytest.approx(np.sqrt(2) * scipy.stats.norm.ppf(0.95), abs=0.03)
    assert several == pytest.approx(np.sqrt(2) * scipy.stats.norm.ppf(0.995), abs=0.06)
