"""Matching: the share of landmarks within a distance, beside controls."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from eden_bench.figures import matching, style
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table

ERRORS = [4.0, 1.0, 2.0, 40.0]
KINDS = [name for kind in matching.PANELS for name in (kind, *(f"{kind}_of_{end}" for end in matching.CONTROLS))]


def report(names=KINDS):
    cases = pd.DataFrame(dict.fromkeys(names, ERRORS)).assign(augmented_radial_error=[4.0, np.nan, 2.0, 40.0])
    record = SimpleNamespace(
        cases=lambda only: cases[list(only)],
        facts=SimpleNamespace(cases=SimpleNamespace(columns=tuple(cases.columns))),
    )
    return Report(tables=(table([replace(row("adam", [0.5]), cells={("d", 0): record})], task="matching"),))


def share_at(line, distance):
    x, y = line.get_data()
    return y[np.flatnonzero(np.asarray(x) <= distance)[-1]]


def test_a_curve_is_the_share_within_each_distance():
    (found,) = matching.figures(report())
    view, other = found.figure.axes
    assert [share_at(other.lines[0], at) for at in (0.9, 1.0, 3.0, 4.0, 30.0)] == [0, 0.25, 0.5, 0.75, 0.75]
    # a landmark that the view does not show has no error and is not counted
    assert [share_at(view.lines[0], at) for at in (2.0, 4.0)] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert "n = 4 landmarks" in found.caption


def test_controls_are_grey_and_named():
    (found,) = matching.figures(report())
    lines = found.figure.axes[0].lines
    assert [line.get_label() for line in lines] == ["adam", *matching.CONTROLS.values()]
    assert {line.get_color() for line in lines[1:]} == {style.GREY}


def test_records_without_these_columns_have_no_figure():
    assert matching.figures(report(KINDS[:1])) == []
