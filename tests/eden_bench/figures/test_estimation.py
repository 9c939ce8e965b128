"""Estimation plots: raw scores, and the difference on an axis whose 0 is the other row's mean."""

from dataclasses import replace

import pytest

from eden_bench.figures import estimation
from eden_bench.report.findings import Finding
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import finding, pair, row, table

ADAM = row("adam", [0.80, 0.82, 0.84])
DENSE = row("densecl", [0.70, 0.75, 0.71])


def drawn(*pairs, rows=(ADAM, DENSE)):
    (found,) = [estimation.headline_pair(table(rows, pairs=pairs))]
    return estimation.draw([found])


def points(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


def test_all_scores_are_drawn_and_shared_seeds_joined():
    axes = drawn(pair(ADAM, DENSE)).axes[0]
    assert points(axes, "o")[0].get_ydata() == pytest.approx([80, 82, 84])
    assert points(axes, "s")[0].get_ydata() == pytest.approx([70, 75, 71])
    joined = [
        list(line.get_ydata()) for line in axes.lines if line.get_linewidth() == 0.6 and line.get_linestyle() == "-"
    ]
    assert joined == [pytest.approx(each) for each in ([80, 70], [82, 75], [84, 71])]


def test_unequal_seeds_are_not_joined():
    other = row("densecl", [0.70, 0.75])
    axes = drawn(pair(ADAM, other), rows=(ADAM, other)).axes[0]
    assert [line for line in axes.lines if line.get_linewidth() == 0.6 and line.get_linestyle() == "-"] == []


def test_the_difference_and_its_interval_are_read_off_the_right_axis():
    figure = drawn(pair(ADAM, DENSE, half=0.03))
    left, right = figure.axes
    offset = left.get_ylim()[0] - right.get_ylim()[0]
    assert offset == pytest.approx(72)  # densecl's mean is 0 at the right
    assert left.get_ylim()[1] - right.get_ylim()[1] == pytest.approx(72)
    (diamond,) = points(left, "D")
    assert diamond.get_ydata()[0] - offset == pytest.approx(10)
    interval = next(line for line in left.lines if line.get_linewidth() == 1.6)
    assert interval.get_ydata() - offset == pytest.approx([7, 13])


def test_the_methods_interval_is_shown_where_there_is_one():
    methods = finding("methods", "undecided", 0.1, 0.2, 0.4)
    found = estimation.headline_pair(table((ADAM, DENSE), pairs=[pair(ADAM, DENSE, methods=methods)]))
    assert found.finding is methods


def test_a_pair_without_an_interval_or_a_table_without_pairs_has_no_panel():
    bare = Finding(scope="checkpoints", verdict="no claim", difference=0.1, note="one score each")
    without = replace(pair(ADAM, DENSE), checkpoints=bare)
    for pairs in ((), (without,)):
        assert estimation.figures(Report(tables=(table((ADAM, DENSE), pairs=pairs),))) == []
