"""Published numbers as data: complete, of known names, and in agreement with what is printed elsewhere."""

import pytest

from eden_bench import protocols, registry
from eden_bench.report.against import published

TEXT_TWINS = {
    ("random", "chestxray14"): (80.31, 0.10),
    ("supervised-imagenet", "chestxray14"): (81.70, 0.15),
    ("dira", "chestxray14"): (81.12, 0.17),
    ("random", "siim-acr"): (67.54, 0.60),
    ("supervised-imagenet", "siim-acr"): (67.93, 1.45),
    ("supervised-chestxray14", "siim-acr"): (68.92, 0.98),
    ("dira", "siim-acr"): (69.24, 0.41),
    ("random", "shenzhen"): (89.03, 1.82),
    ("supervised-imagenet", "shenzhen"): (95.62, 0.63),
    ("supervised-chestxray14", "shenzhen"): (96.32, 0.65),
}
"""Mean and s.d. in percent as text in the group's earlier papers, which the bars of Fig. 3 repeat."""


@pytest.mark.parametrize(("method", "task"), TEXT_TWINS)
def test_readings_agree_with_what_also_stands_as_text(method, task):
    (row,) = (each for each in published.of_source("fig3") if (each.method, each.task) == (method, task))
    mean, sd = TEXT_TWINS[method, task]
    assert abs(100 * row.mean - mean) <= 100 * row.source.mean_within + 1e-9
    assert abs(100 * row.deviation - sd) <= 100 * row.source.half_within + 1e-9


def test_fig_3_is_twelve_methods_by_eight_tasks_without_the_one_bar_that_is_not_there():
    rows = published.of_source("fig3")
    assert len({row.method for row in rows}) == 12
    assert len({row.task for row in rows}) == 8
    assert len(rows) == 12 * 8 - 1
    assert ("supervised-chestxray14", "chestxray14") not in {(row.method, row.task) for row in rows}


def test_every_name_is_one_of_ours():
    variants = {"granularity": "ablation-granularity", "pruner": "ablation-pruner"}
    for row in published.published():
        known = protocols.load(variants[row.source.name]).variants if row.source.name in variants else ()
        assert row.method in {*registry.methods.names(), *known}
        assert row.task in registry.tasks.names()


def test_the_gains_of_table_1_are_those_of_its_means():
    """Over the second best, rounded to whole points, as the paper prints them."""
    rows = published.of_source("table1")
    for place, gain in published.printed_gains("table1").items():
        means = {row.method: row.mean for row in rows if (row.task, row.shots) == place}
        second = max(value for method, value in means.items() if method != "adam")
        assert round(100 * (means["adam"] - second)) == round(100 * gain)
    assert len(published.printed_gains("table1")) == 8


def test_a_bar_too_short_to_read_and_a_bare_mean_have_no_deviation():
    (short,) = published.find("shenzhen", None, "transvw")
    (bare,) = published.find("scr-heart", 3, "adam")
    assert (short.mean, short.deviation, short.note) == (0.8973, None, "its error bar is too short to read")
    assert (bare.mean, bare.deviation, bare.note) == (0.8435, None, "no deviation is published")


def test_every_star_is_of_adam_against_the_best_self_supervised_mean():
    supervised = ("random", "supervised-imagenet", "supervised-chestxray14", "adam")
    for source in ("fig3", "drive"):
        for first, second, _ in published.stars(source):
            rows = [row for row in published.of_source(source) if row.task == first.task]
            best = max(row.mean for row in rows if row.method not in supervised)
            assert (first.method, second.mean) == ("adam", best)
