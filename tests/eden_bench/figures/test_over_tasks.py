"""Figures over tasks: critical difference, profile, aggregates."""

from dataclasses import replace

import pytest

from eden_bench.figures import critical_difference, profiles, style
from tests.eden_bench.figures.reports import across

NAMES = ("adam", "densecl", "dira", "random")


def made(**changed):
    return replace(across(NAMES, ("a", "b", "c")), **changed)


def test_each_name_leads_to_its_rank_on_the_axis():
    ranks = {"adam": 1.25, "densecl": 2.0, "dira": 3.25, "random": 3.5}
    (axes,) = critical_difference.draw(made(mean_ranks=ranks, cliques=())).axes
    corners = [line for line in axes.lines if len(line.get_xdata()) == 3]
    found = {line.get_xdata()[0]: line.get_ydata()[1] for line in corners}
    assert list(found) == [1.25, 2.0, 3.25, 3.5]
    written = {text.get_position()[1]: text.get_text() for text in axes.texts if text.get_position()[1] > 0}
    assert {written[down] for down in found.values()} <= {"adam 1.25", "3.50 random", "densecl 2.00", "3.25 dira"}
    said = [text.get_text() for text in axes.texts]
    assert {"adam 1.25", "densecl 2.00", "3.25 dira", "3.50 random"} <= set(said)


def test_a_bar_joins_the_methods_of_a_clique_and_no_bar_one_alone():
    cliques = (("adam", "densecl"), ("densecl", "dira", "random"), ("adam",))
    ranks = {"adam": 1.0, "densecl": 2.0, "dira": 3.0, "random": 4.0}
    (axes,) = critical_difference.draw(made(mean_ranks=ranks, cliques=cliques)).axes
    bars = [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 3]
    assert bars == [pytest.approx([0.96, 2.04]), pytest.approx([1.96, 4.04])]
    heights = [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 3]
    assert len(set(heights)) == 2


@pytest.mark.parametrize(("length", "lines"), [(2.5, 1), (3.0, 1), (3.5, 0)])
def test_the_critical_difference_is_drawn_as_long_as_it_is_or_not_at_all(length, lines):
    (axes,) = critical_difference.draw(made(critical_difference=length)).axes
    bars = [line.get_xdata() for line in axes.lines if list(line.get_ydata()) == [-1.5, -1.5]]
    assert len(bars) == lines
    assert all(bar[1] - bar[0] == pytest.approx(length) for bar in bars)
    said = next(text.get_text() for text in axes.texts if text.get_text().startswith("CD"))
    assert said == f"CD = {length:.2f}" + ("" if lines else ", longer than the axis")


def test_a_profile_is_the_shares_and_their_band():
    one = made()
    looks = {name: style.look(k) for k, name in enumerate(NAMES)}
    (axes,) = profiles.draw_profile(one, looks).axes
    for name, line, band in zip(NAMES, axes.lines, axes.collections, strict=True):
        share, low, high = one.profiles[name]
        assert line.get_label() == name
        assert tuple(line.get_ydata()) == share
        assert tuple(line.get_xdata()) == one.thresholds
        heights = band.get_paths()[0].vertices[:, 1]
        assert (heights.min(), heights.max()) == pytest.approx((min(low), max(high)))


def test_aggregates_stand_by_the_interquartile_mean_with_their_intervals():
    one = made()
    looks = {name: style.look(k) for k, name in enumerate(NAMES)}
    figure = profiles.draw_aggregates(one, looks)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(NAMES)
    assert [axes.get_title() for axes in figure.axes] == list(profiles.AGGREGATES.values())
    gap = figure.axes[-1].lines
    assert list(gap[0].get_xdata()) == [
        one.aggregates["adam"].optimality_gap.low,
        one.aggregates["adam"].optimality_gap.high,
    ]
    assert list(gap[1].get_xdata()) == [one.aggregates["adam"].optimality_gap.value]
