"""Few-shot curves and Table 1's gain over the second best."""

from dataclasses import replace

import pytest

from eden_bench.figures import few_shot
from eden_bench.figures.shots import few_shot_table
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import pair, row, table
from tests.eden_bench.stored import DICE

SCORES = {3: (0.84, 0.60, 0.64), 12: (0.89, 0.76, 0.70), None: (0.90, 0.91, 0.80)}


def made(few, score=DICE, with_pairs=True):
    names = ("adam", "densecl", "moco-v2")
    rows = [row(name, [mean - 0.01, mean, mean + 0.01]) for name, mean in zip(names, SCORES[few], strict=True)]
    pairs = [pair(rows[0], other) for other in rows[1:]] if with_pairs else ()
    return table(rows, shots=few, score=score, pairs=pairs)


def test_the_gain_is_over_the_best_other_and_negative_where_it_leads():
    (found,) = few_shot_table(Report(tables=(made(12), made(3), made(None))))
    assert found.shots == (3, 12, None)
    gains = {few: (gain.row, gain.over, round(gain.value, 6)) for few, gain in found.gains.items()}
    assert gains == {
        3: ("adam", "moco-v2", 0.2),
        12: ("adam", "densecl", 0.13),
        None: ("adam", "densecl", -0.01),
    }
    assert (found.gains[3].low, found.gains[3].high) == pytest.approx((0.19, 0.21))
    assert found.summaries["adam"][3].mean == pytest.approx(0.84)


def test_where_lower_is_better_a_lower_score_is_a_gain():
    lower = replace(DICE, higher_is_better=False)
    tables = [replace(made(few, lower), rows=made(few, lower).rows[::-1]) for few in (3, 12)]
    (found,) = few_shot_table(Report(tables=tuple(tables)))
    gain = found.gains[12]
    assert (gain.over, gain.value) == ("moco-v2", pytest.approx(-0.19))
    assert gain.low == pytest.approx(-0.2)
    assert gain.high == pytest.approx(-0.18)


def test_a_gain_that_the_report_does_not_compare_has_no_interval():
    (found,) = few_shot_table(Report(tables=(made(3, with_pairs=False), made(12, with_pairs=False))))
    assert (found.gains[3].low, found.gains[3].high) == (None, None)


@pytest.mark.parametrize(
    "other",
    [{"task": "scr-clavicle"}, {"data": "z"}, {"budget": "epochs"}, {"protocol": "paper"}],
    ids=lambda o: next(iter(o)),
)
def test_tables_that_differ_in_more_than_shots_make_no_curve(other):
    assert few_shot_table(Report(tables=(made(3), replace(made(12), **other)))) == ()


def test_a_curve_is_the_means_and_a_band_the_intervals():
    found = few_shot_table(Report(tables=tuple(made(few) for few in SCORES)))
    axes = few_shot.draw(found).axes[0]
    adam, band = axes.lines[0], axes.collections[0]
    assert adam.get_label() == "adam"
    assert list(adam.get_xdata()) == [0, 1, 2]
    assert adam.get_ydata() == pytest.approx([84, 89, 90])
    half = 100 * 4.302653 * 0.01 / 3**0.5
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((84 - half, 90 + half), abs=1e-3)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["3", "12", "all"]
    assert [text.get_text() for text in axes.texts] == ["+20.0", "+13.0", "-1.0", "gain"]


def test_curves_differ_in_colour_and_marker():
    found = few_shot_table(Report(tables=(made(3), made(12))))
    lines = few_shot.draw(found).axes[0].lines
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 3
