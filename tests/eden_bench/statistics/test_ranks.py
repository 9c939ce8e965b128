"""Rank tests against scipy, published tables and plain loops."""

from itertools import combinations, product

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats

from eden_bench.statistics.multiplicity import holm
from eden_bench.statistics.ranks import (
    cliques,
    critical_difference,
    friedman,
    iman_davenport,
    kendall,
    least_p,
    ranks,
    signed_rank_p,
    wilcoxon_holm,
)

SHAPES = [(2, 3), (9, 12), (20, 4), (60, 3)]


def drawn(tasks, methods, seed=0, digits=9):
    random = np.random.default_rng(seed)
    return (random.normal(0.8, 0.05, (tasks, methods)) + 0.02 * np.arange(methods)).round(digits)


@pytest.mark.parametrize("digits", [9, 1])
def test_ranks_are_scipys_of_the_negative_scores(digits):
    scores = drawn(9, 12, digits=digits)
    assert np.array_equal(ranks(scores), scipy.stats.rankdata(-scores, axis=1))


def test_sums_in_another_order_tie():
    assert ranks(np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.5])).tolist() == [1.5, 1.5, 3.0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("digits", [9, 2, 1])
def test_friedman_is_scipys_with_ties_and_without(shape, digits):
    scores = drawn(*shape, digits=digits)
    expected = scipy.stats.friedmanchisquare(*scores.T)
    found = friedman(scores)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-10)


def test_iman_and_davenports_f_is_that_of_a_two_way_analysis_of_variance_of_the_ranks():
    """Without ties the ranks' analysis of variance, with tasks as blocks, has the same F."""
    scores = drawn(9, 5)
    found, table = iman_davenport(scores), ranks(scores)
    between = 9 * ((table.mean(axis=0) - 3) ** 2).sum()
    rest = ((table - 3) ** 2).sum() - between
    f = (between / 4) / (rest / 32)
    assert (found.statistic, found.p) == pytest.approx((f, scipy.stats.f.sf(f, 4, 32)), rel=1e-10)


def test_what_is_undefined_has_no_number_but_a_reason():
    same = np.tile([3.0, 2.0, 1.0], (5, 1))
    assert friedman(same).statistic == 10
    assert iman_davenport(same)[:2] == (None, None)
    assert "ranks the methods alike" in iman_davenport(same).note
    for tied in (np.ones((4, 3)), np.ones((4, 2)), np.ones((1, 3))):
        assert friedman(tied)[:2] == iman_davenport(tied)[:2] == (None, None)
        assert friedman(tied).note
        assert friedman(tied).note == iman_davenport(tied).note


@pytest.mark.parametrize("size", [1, 2, 5, 9, 20, 49])
def test_the_signed_rank_p_is_scipys_exact_one(size):
    differences = np.random.default_rng(size).normal(0.3, 1, size)
    expected = scipy.stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("differences", [[0.1, 0.1, -0.2, 0.3, 0.3, 0.3], [0, 0, 1, -1, 2, 2, 2, 3], [1, -1], [0, 0.5]])
def test_with_ties_and_zeros_the_signed_rank_p_is_the_share_of_all_sign_changes(differences):
    told = np.array([each for each in differences if each])
    rank = scipy.stats.rankdata(np.abs(told))
    centre = rank.sum() / 2
    sums = [rank[np.array(signs) > 0].sum() for signs in product((1, -1), repeat=len(told))]
    uneven = abs(rank[told > 0].sum() - centre)
    assert signed_rank_p(np.array(differences)) == pytest.approx(
        np.mean(np.abs(np.array(sums) - centre) >= uneven - 1e-9)
    )


def test_differences_that_tie_but_for_their_last_digit_tie():
    assert signed_rank_p(np.array([0.3, 0.1 + 0.2, -0.3])) == signed_rank_p(np.array([0.3, 0.3, -0.3]))


def test_all_pairs_are_corrected_together():
    scores = drawn(9, 4)
    pairs = list(combinations(range(4), 2))
    raw = [scipy.stats.wilcoxon(scores[:, a], scores[:, b], method="exact").pvalue for a, b in pairs]
    assert wilcoxon_holm(scores) == pytest.approx(dict(zip(pairs, holm(raw), strict=True)), rel=1e-10)


def test_the_least_p_is_that_of_a_method_better_on_every_task():
    scores = drawn(9, 4)
    scores[:, 3] += 10
    assert min(wilcoxon_holm(scores).values()) == pytest.approx(least_p(9, 4))
    assert least_p(9, 4) == 6 * 2 / 2**9
    assert least_p(3, 12) == 1


DEMSAR = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
"""Critical values of the two-tailed Nemenyi test at 0.05 (JMLR 2006, table 5a); the last printed digit is off by one in
two of them (3 and 7 methods), as it comes of tables of q with fewer digits."""


@pytest.mark.parametrize(("methods", "q"), DEMSAR.items())
def test_the_critical_difference_is_that_of_demsars_table(methods, q):
    assert critical_difference(6, methods) / np.sqrt(methods * (methods + 1) / 36) == pytest.approx(q, abs=1e-3)


@pytest.mark.parametrize("methods", [2, 3, 11, 12])
def test_the_studentised_range_is_its_integral(methods):
    """P(range of k standard normal numbers < q) = k ∫ φ(z) (Φ(z) - Φ(z - q))^(k-1) dz."""
    normal = scipy.stats.norm

    def below(q):
        return scipy.integrate.quad(
            lambda z: methods * normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - q)) ** (methods - 1),
            -8,
            12,
            epsabs=1e-12,
        )[0]

    q = scipy.optimize.brentq(lambda q: below(q) - 0.95, 1, 8, xtol=1e-10) / np.sqrt(2)
    assert critical_difference(9, methods) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 54), abs=1e-6)


def test_mean_ranks_further_apart_than_the_critical_difference_are_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    scores = drawn(15, 6)
    p_values = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()
    mean_ranks, critical = ranks(scores).mean(axis=0), critical_difference(15, 6)
    apart = {(a, b) for a, b in combinations(range(6), 2) if abs(mean_ranks[a] - mean_ranks[b]) > critical}
    assert apart == {(a, b) for a, b in combinations(range(6), 2) if p_values[a, b] < 0.05}
    assert 0 < len(apart) < 15
    a, b = 0, 5
    q = abs(mean_ranks[a] - mean_ranks[b]) / np.sqrt(6 * 7 / (6 * 15)) * np.sqrt(2)
    assert p_values[a, b] == pytest.approx(scipy.stats.studentized_range.sf(q, 6, np.inf), abs=1e-6)


def test_the_critical_difference_is_scikit_posthocs():
    """Two methods whose mean ranks lie just more apart than the difference have p just below 0.05 there."""
    posthocs = pytest.importorskip("scikit_posthocs")
    tasks = 40
    scores = np.array([[3, 2, 1]] * 27 + [[1, 2, 3]] * 13, dtype=float)
    distance = 2 * (27 - 13) / tasks
    p = posthocs.posthoc_nemenyi_friedman(scores).to_numpy()[0, 2]
    q = critical_difference(tasks, 3) / np.sqrt(3 * 4 / (6 * tasks)) * np.sqrt(2)
    assert scipy.stats.studentized_range.sf(q, 3, np.inf) == pytest.approx(0.05, abs=1e-6)
    assert (p < 0.05) == (distance > critical_difference(tasks, 3))


def test_cliques_are_all_groups_that_fit_and_cannot_grow():
    names = tuple("abcdefg")
    random = np.random.default_rng(0)
    for _ in range(20):
        apart = {pair for pair in combinations(names, 2) if random.random() < 0.4}
        tied = [
            set(group)
            for size in range(1, 8)
            for group in combinations(names, size)
            if not any(pair in apart for pair in combinations(group, 2))
        ]
        maximal = {tuple(sorted(each)) for each in tied if len(each) > 1 and not any(each < other for other in tied)}
        found = cliques(names, {tuple(reversed(pair)) for pair in apart})
        assert set(found) == maximal
        assert len(found) == len(maximal)


def test_without_a_separated_pair_all_are_one_clique_and_with_all_there_is_none():
    assert cliques("abc", set()) == (("a", "b", "c"),)
    assert cliques("abc", {("a", "b"), ("a", "c"), ("b", "c")}) == ()


@pytest.mark.parametrize("digits", [9, 0])
def test_kendalls_tau_is_scipys_tau_b(digits):
    random = np.random.default_rng(0)
    first, second = random.normal(0, 2, 12).round(digits), random.normal(0, 2, (50, 12)).round(digits)
    expected = [scipy.stats.kendalltau(first, each).statistic for each in second]
    assert kendall(first, second) == pytest.approx(expected, abs=1e-12)


def test_a_ranking_without_any_order_has_no_tau():
    assert np.isnan(kendall(np.array([1, 2, 3]), np.array([[1, 1, 1]])))
