"""Aggregates against the formulas they are named after, resamples against plain loops, coverage of intervals."""

import numpy as np
import pytest
import scipy.stats

from eden_bench.statistics import aggregates as module
from eden_bench.statistics.aggregates import Runs, aggregates, four, improvement, iqm, profile, resampled


def drawn(runs=10, tasks=9, seed=0, mean=0.8):
    return np.random.default_rng(seed).normal(mean, 0.05, (runs, tasks))


@pytest.mark.parametrize("size", [4, 5, 7, 10, 90, 97])
def test_the_interquartile_mean_is_scipys_trimmed_mean(size):
    scores = np.random.default_rng(size).random((3, size))
    assert iqm(scores) == pytest.approx(scipy.stats.trim_mean(scores, 0.25, axis=1), abs=1e-12)


def test_the_four_are_those_of_their_formulas():
    scores = drawn()
    task_means = [np.mean(scores[:, task]) for task in range(9)]
    short = [0.9 - min(score, 0.9) for score in scores.ravel()]
    expected = [np.mean(task_means), np.median(task_means), scipy.stats.trim_mean(scores.ravel(), 0.25), np.mean(short)]
    assert four(scores[None])[0] == pytest.approx(expected, abs=1e-12)
    assert [each.value for each in aggregates(Runs(scores))] == pytest.approx(expected, abs=1e-12)


def test_scores_above_the_target_do_not_make_up_for_those_below():
    gap = aggregates(Runs(np.array([[1.0, 0.5], [1.0, 0.5]])), target=0.9).optimality_gap
    assert gap.value == pytest.approx((0 + 0.4) / 2)


def test_runs_are_drawn_within_their_task_and_pretrainings_for_all_tasks_at_once():
    """Run r of task t scores 10 t + r, so that every drawn score says where it was taken."""
    scores = 10.0 * np.arange(4) + np.arange(3)[:, None]
    within, whole = (np.concatenate(list(resampled(Runs(scores, together)))) for together in (False, True))
    for found in (within, whole):
        assert found.shape == (module.RESAMPLES, 2, 4)
        assert np.array_equal(found // 10, np.broadcast_to(np.arange(4), found.shape))
        assert np.bincount((found % 10).astype(int).ravel()) / found.size == pytest.approx([1 / 3] * 3, abs=0.02)
    same = lambda found: np.mean((found % 10 == found[:, :, :1] % 10).all(axis=2))  # noqa: E731
    assert same(whole) == 1
    assert same(within) == pytest.approx(1 / 27, abs=0.01)


def test_two_methods_share_draws_of_runs_but_not_of_pretrainings():
    first, second = drawn(3, 4), drawn(3, 4)
    assert np.array_equal(*(next(resampled(Runs(scores))) for scores in (first, second)))
    together = (next(resampled(Runs(first, True, (name,)))) for name in ("adam", "dira"))
    assert not np.array_equal(*together)


def test_ends_are_the_percentiles_of_a_plain_loop_within_a_tenth_of_an_s_d():
    scores, random = drawn(), np.random.default_rng(1)
    samples = []
    for _ in range(20_000):
        rows = random.integers(0, 10, (10, 9))
        samples.append(scores[rows, np.arange(9)])
    loop = four(np.array(samples))
    low, high = np.percentile(loop, [2.5, 97.5], axis=0)
    found = aggregates(Runs(scores), resamples=20_000, fewer=0)
    apart = np.abs([[each.low, each.high] for each in found] - np.stack([low, high], axis=1))
    assert (apart / np.std(loop, axis=0)[:, None]).max() < 0.1


def test_the_mean_of_pretrainings_has_the_t_interval_of_their_means():
    """The mean of a pretraining over tasks is one number, so the interval is Student's over those numbers."""
    scores = drawn(5, 4)
    found = aggregates(Runs(scores, together=True), resamples=50_000).mean
    expected = scipy.stats.t.interval(0.95, 4, scores.mean(), scipy.stats.sem(scores.mean(axis=1)))
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02 * (expected[1] - expected[0]))


@pytest.mark.parametrize(("runs", "tasks", "together"), [(3, 2, False), (3, 9, False), (10, 9, False), (3, 9, True)])
def test_the_interval_of_the_mean_covers_the_truth(runs, tasks, together):
    """400 studies, so the s.d. of the share is 1.1 points. Percentiles of as many draws as runs hold it in 79 % at
    (3, 2) and in 87 % at (3, 9)."""
    random, hits, studies = np.random.default_rng(2), 0, 400
    truth = random.uniform(0.5, 0.9, tasks)
    for _ in range(studies):
        common = random.normal(0, 0.02, (runs, 1)) if together else 0
        scores = truth + random.normal(0, 0.02, (runs, tasks)) + common
        found = aggregates(Runs(scores, together), resamples=500).mean
        hits += found.low <= truth.mean() <= found.high
    assert 0.91 <= hits / studies <= 0.98


def test_draws_are_the_same_every_time():
    assert aggregates(Runs(drawn())) == aggregates(Runs(drawn()))


@pytest.mark.parametrize(("together", "unit"), [(False, "seeds"), (True, "pretrainings")])
def test_a_single_run_has_values_and_says_why_no_interval(together, unit):
    runs = Runs(drawn(1), together)
    for each in (*aggregates(runs), improvement(runs, Runs(drawn()))):
        assert each[1:] == (None, None, f"resampling needs at least 2 {unit}")
    assert profile(runs, np.linspace(0, 1, 11))[1:] == (None, None)


def test_the_profile_counts_runs_above_each_threshold():
    scores, thresholds = drawn().round(2), np.linspace(0, 1, 101).round(2)  # so that some scores lie on a threshold
    found = profile(Runs(scores), thresholds)
    expected = [np.mean([score > threshold for score in scores.ravel()]) for threshold in thresholds]
    assert found.shares == pytest.approx(expected, abs=1e-12)
    assert (found.low <= found.shares).all()
    assert (found.shares <= found.high).all()


def test_the_band_is_that_of_the_resampled_shares():
    runs, threshold = Runs(drawn()), 0.81
    shares = [(part > threshold).mean(axis=(1, 2)) for part in resampled(runs, 1000)]
    found = profile(runs, np.array([threshold]), 1000)
    assert (found.low[0], found.high[0]) == pytest.approx(np.quantile(np.concatenate(shares), [0.025, 0.975]))


def test_the_chance_to_be_better_is_mann_and_whitneys_u():
    first, second = drawn(7, 5, 1).round(2), drawn(10, 5, 2).round(2)  # rounded, so that some tie
    expected = np.mean([scipy.stats.mannwhitneyu(first[:, t], second[:, t]).statistic / 70 for t in range(5)])
    found, turned = improvement(Runs(first), Runs(second)), improvement(Runs(second), Runs(first))
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert turned.value == pytest.approx(1 - expected, abs=1e-12)
    assert 0 <= found.low < found.value < found.high <= 1


def test_the_interval_of_the_chance_to_be_better_covers_the_truth():
    random, hits = np.random.default_rng(3), 0
    for _ in range(300):
        first, second = random.normal(0.5, 1, (10, 4)), random.normal(0, 1, (10, 4))
        found = improvement(Runs(first), Runs(second), 500)
        hits += found.low <= scipy.stats.norm.cdf(0.5 / np.sqrt(2)) <= found.high
    assert 0.91 <= hits / 300 <= 0.98


def test_methods_that_do_not_overlap_have_no_interval_of_no_width():
    found = improvement(Runs(drawn(mean=0.9) + 1), Runs(drawn()))
    assert found == (1.0, None, None, "no runs overlap on any task, so resamples do not vary")
