"""The published marks, tested again: against SciPy from the moments, and pinned for what they say."""

import math

import pytest
from scipy import stats

from eden_bench.report.against.moments import Moments, contrast
from eden_bench.report.against.published import of_source, stars
from eden_bench.report.against.published_stars import checks, few_shot, moments
from eden_bench.report.against.published_text import star_sheets
from eden_bench.report.sheets import rendered
from eden_bench.statistics.t_tests import variance


@pytest.mark.parametrize("n", [2, 3, 10, 11])
def test_scores_have_the_moments_they_are_made_from(n):
    scores = Moments(n, 0.9, 0.02).scores()
    assert len(scores) == n
    assert math.fsum(scores) / n == pytest.approx(0.9, abs=1e-15)
    assert math.sqrt(variance(scores)) == pytest.approx(0.02, rel=1e-12)


@pytest.mark.parametrize(("reading", "factor"), [("s.d.", 1.0), ("s.e.", math.sqrt(10))])
@pytest.mark.parametrize("source", ["fig3", "drive"])
def test_each_test_is_scipys_from_the_published_moments(source, reading, factor):
    for check, mark in zip(checks(source, reading), stars(source), strict=True):
        a, b = mark.first, mark.second
        known = (a.mean, a.deviation * factor, 10, b.mean, b.deviation * factor, 10)
        paper, welch = (stats.ttest_ind_from_stats(*known, equal_var=equal) for equal in (True, False))
        assert check.pair.paper.t == pytest.approx(paper.statistic, rel=1e-10)
        assert check.pair.paper.p == pytest.approx(paper.pvalue, rel=1e-9)
        assert check.pair.welch.p == pytest.approx(welch.pvalue, rel=1e-9)


@pytest.mark.parametrize("reading", ["s.d.", "s.e."])
def test_holm_is_over_the_eight_marks_of_the_figure(reading):
    """Written out: sorted p times 8, 7 … 1, never falling."""
    found = checks("fig3", reading)
    p = sorted(check.pair.welch.p for check in found)
    worst = [max(min(1.0, (8 - j) * p[j]) for j in range(i + 1)) for i in range(8)]
    expected = dict(zip(p, worst, strict=True))
    for check in found:
        assert check.pair.checkpoints.adjusted_p == pytest.approx(expected[check.pair.welch.p], rel=1e-12)
    (alone,) = checks("drive", reading)
    assert alone.pair.checkpoints.adjusted_p == alone.pair.welch.p


PINNED = {
    "scr-clavicle": ("reproduced", "better", "dira"),
    "scr-heart": ("within the error of reading", "undecided", "dira"),
    "chestx-det": ("smaller p than the stars say", "better", "supervised-chestxray14"),
    "siim-acr": ("not reproduced", "undecided", "dira"),
    "vindr-rib": ("smaller p than the stars say", "better", "supervised-imagenet"),
    "chestxray14": ("reproduced", "better", "supervised-imagenet"),
    "vindr-cxr": ("reproduced", "undecided", "supervised-chestxray14"),
    "shenzhen": ("reproduced", "better", "supervised-chestxray14"),
}
"""With bars as s.d.: whether the stars come out, the verdict after Holm, and the best of all others."""


def test_what_the_marks_of_fig_3_are_worth_with_bars_as_sd():
    found = {check.mark.first.task: check for check in checks("fig3", "s.d.")}
    said = {task: (each.fit, each.pair.checkpoints.verdict, each.top.method) for task, each in found.items()}
    assert said == PINNED
    assert [task for task, each in found.items() if not each.is_significant_as_printed] == ["siim-acr"]
    assert found["shenzhen"].top.contrast.test.difference < 0
    assert {each.pair.methods.verdict for each in found.values()} == {"not asked"}


def test_bars_as_standard_errors_do_not_give_the_stars():
    found = checks("fig3", "s.e.")
    assert [each.mark.first.task for each in found if each.fit == "reproduced"] == ["vindr-cxr"]
    assert sum(each.is_significant_as_printed for each in found) == 2
    assert {each.pair.checkpoints.verdict for each in found} == {"undecided"}


def test_the_error_of_reading_moves_p_as_far_as_its_worst_corner():
    check = {each.mark.first.task: each for each in checks("fig3", "s.d.")}["scr-heart"]
    nearer = stats.ttest_ind_from_stats(0.9498, 0.0011, 10, 0.9418, 0.0094, 10).pvalue
    further = stats.ttest_ind_from_stats(0.9500, 0.0003, 10, 0.9416, 0.0086, 10).pvalue
    assert (check.p_lowest, check.p_highest) == pytest.approx((further, nearer), rel=1e-9)


def test_the_interval_and_equivalence_are_those_of_welch():
    first, second = (moments(row, "s.d.") for row in stars("fig3")[3][:2])
    found = contrast(first, second, 0.005)
    theirs = stats.ttest_ind_from_stats(*first[1:], 10, *second[1:], 10, equal_var=False)
    error = abs(found.test.difference / theirs.statistic)
    df = found.test.df
    assert found.low == pytest.approx(found.test.difference - stats.t.ppf(0.975, df) * error, rel=1e-9)
    assert found.equivalence_p == pytest.approx(stats.t.cdf((found.test.difference - 0.005) / error, df), rel=1e-9)
    assert contrast(first, Moments(10, 0.9, None), 0.005).low is None


def test_the_detectable_difference_is_what_eighty_of_a_hundred_studies_find():
    from statsmodels.stats.power import TTestIndPower

    check = checks("fig3", "s.d.")[0]
    pooled = math.sqrt((0.0085**2 + 0.0046**2) / 2)
    power = TTestIndPower().power(check.pair.power.detectable / pooled, 10, 0.05)
    assert power == pytest.approx(0.8, abs=1e-6)


def test_a_gain_of_table_1_is_just_significant_at_the_largest_sd():
    for column in few_shot():
        sd, mean = column.largest_sd, column.first.mean
        p = stats.ttest_ind_from_stats(mean, sd, 10, column.second.mean, sd, 10).pvalue
        assert p == pytest.approx(0.05, rel=1e-9)


def test_the_least_clear_baseline_is_self_supervised_and_has_a_deviation():
    for check in checks("fig3", "s.d."):
        row = [
            each for each in of_source("fig3") if (each.task, each.method) == (check.mark[0].task, check.least_clear[0])
        ]
        assert row[0].deviation is not None
        assert check.least_clear.method not in ("random", "supervised-imagenet", "supervised-chestxray14")
        assert check.least_clear.contrast.test.p >= check.pair.welch.p


@pytest.mark.parametrize("form", ["terminal", "md", "json"])
def test_the_sheets_are_rendered_in_every_format(form):
    text = rendered(star_sheets(), form)
    assert "siim-acr" in text
    assert "not asked" in text
    assert "nan" not in text.lower().split()
