"""Telling methods apart: against Welch's test, and in simulated tables with and without differences."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats

from eden_bench.statistics import separation
from eden_bench.statistics.separation import (
    Contrast,
    Means,
    between,
    over_tasks,
    rank_intervals,
    separable,
    tie_classes,
)


def means(scores):
    """From runs (R, T)."""
    runs, tasks = scores.shape
    return Means(scores.mean(axis=0), scores.var(axis=0, ddof=1) / runs, np.full(tasks, runs - 1.0))


def table(shifts, seed, runs=10, tasks=9, sd=0.01, interaction=0.0):
    """Scores of methods whose true means are shifted: name to (R, T)."""
    random = np.random.default_rng(seed)
    task = random.uniform(0.5, 0.9, tasks)
    return {
        f"m{number:02}": task + shift + random.normal(0, interaction, tasks) + random.normal(0, sd, (runs, tasks))
        for number, shift in enumerate(shifts)
    }


def test_on_one_task_it_is_welchs_test():
    random = np.random.default_rng(0)
    first, second = random.normal(0.5, 0.1, (10, 1)), random.normal(0.6, 0.3, (7, 1))
    contrast = between(means(first), means(second))
    expected = scipy.stats.ttest_ind(first[:, 0], second[:, 0], equal_var=False)
    assert contrast.df == pytest.approx(expected.df)
    assert separation.separate({("a", "b"): contrast})["a", "b"] == pytest.approx(expected.pvalue, rel=1e-10)


def test_the_error_over_tasks_is_the_spread_of_the_difference():
    """20,000 studies of two methods on three tasks of unequal spread."""
    random, sds = np.random.default_rng(1), np.array([0.1, 0.02, 0.3])
    studies = random.normal(0, sds, (20_000, 2, 5, 3))
    observed = np.ptp(studies.mean(axis=(2, 3)), axis=1)
    contrast = between(*(Means(np.zeros(3), sds**2 / 5, np.full(3, 4.0)) for _ in range(2)))
    assert contrast.error == pytest.approx(np.sqrt((observed**2).mean()), rel=0.02)


def test_tasks_that_share_patients_have_the_larger_error():
    parts = [Contrast(0.1, 0.03, 5), Contrast(0.2, 0.04, 9), Contrast(0.3, 0.12, 9)]
    apart, same = over_tasks(parts, "abc"), over_tasks(parts, "aab")
    assert apart.error == pytest.approx(np.sqrt(0.03**2 + 0.04**2 + 0.12**2) / 3)
    assert same.error == pytest.approx(np.sqrt(0.07**2 + 0.12**2) / 3)
    squares = np.array([0.07, 0.12]) ** 2
    assert same.df == pytest.approx(squares.sum() ** 2 / (squares**2 / [5, 9]).sum())


GROUPS = (0.03,) * 3 + (0.015,) * 5 + (0.0,) * 4
PLANTED = {frozenset((a, b)) for a, b in combinations(range(12), 2) if GROUPS[a] != GROUPS[b]}


@pytest.mark.parametrize("seed", range(5))
def test_planted_pairs_in_a_table_of_twelve_methods_and_nine_tasks_are_found(seed):
    """Three groups 1.5 points apart, runs of s.d. 1 point: 47 of 66 pairs can be separated; found to within one."""
    classes, apart = separable({name: means(scores) for name, scores in table(GROUPS, seed).items()})
    planted = {frozenset(f"m{each:02}" for each in pair) for pair in PLANTED}
    assert len(planted) == 47
    assert len(planted - apart) <= 1
    assert len(apart - planted) <= 1
    assert [sorted(each) for each in classes] == [
        ["m00", "m01", "m02"],
        [f"m0{n}" for n in range(3, 8)],
        ["m08", "m09", "m10", "m11"],
    ]


def test_of_methods_that_are_equal_a_pair_is_separated_in_at_most_one_study_of_twenty():
    """400 studies: the s.d. of a share of 5 % is 1.1 points."""
    false = 0
    for study in range(400):
        _, apart = separable({name: means(scores) for name, scores in table((0.0,) * 12, study).items()})
        false += bool(apart)
    assert false / 400 <= 0.07


def test_rank_intervals_hold_all_true_ranks_in_nineteen_of_twenty_studies():
    truth = 0.004 * np.arange(6)[::-1]
    held = 0
    for study in range(300):
        found = {name: means(scores) for name, scores in table(truth, study).items()}
        overall = {name: each.mean.mean() for name, each in found.items()}
        p_values = separation.separate({(a, b): between(found[a], found[b]) for a, b in combinations(found, 2)})
        intervals = rank_intervals(overall, p_values)
        held += all(low <= rank <= high for rank, (low, high) in enumerate(intervals.values(), 1))
        assert all(low <= high for low, high in intervals.values())
    assert held / 300 >= 0.93


def test_a_pair_may_be_named_in_either_order():
    scores, p_values = {"a": 3.0, "b": 2.0, "c": 1.0}, {("b", "a"): 0.2, ("c", "a"): 0.01, ("c", "b"): 0.01}
    assert tie_classes(scores, p_values) == (("a", "b"), ("c",))
    assert rank_intervals(scores, p_values) == {"a": (1, 2), "b": (1, 2), "c": (3, 3)}


def test_a_method_of_wide_error_may_tie_with_the_best_while_a_better_one_does_not():
    scores, p_values = {"a": 3.0, "b": 2.5, "c": 2.0}, {("a", "b"): 0.01, ("a", "c"): 0.2, ("b", "c"): 0.9}
    assert tie_classes(scores, p_values) == (("a", "c"), ("b",))


def test_where_no_run_varies_nothing_is_separated():
    fixed = [means(np.full((3, 2), value)) for value in (0.5, 0.6)]
    assert separation.separate({("a", "b"): between(*fixed)}) == {("a", "b"): 1.0}


def test_without_pairs_every_rank_is_possible():
    assert rank_intervals({"a": 2.0, "b": 1.0}, {}) == {"a": (1, 2), "b": (1, 2)}
