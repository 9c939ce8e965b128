"""Ablation curves: one point a variant, in order, with what pretrainings do."""

import pytest

from eden_bench.figures import ablations
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table

LEVELS = {"adam-n0-2-4": [[0.8, 0.9], [0.9, 1.0]], "adam-n0": [[0.5, 0.7], [0.6, 0.8]], "adam-n0-2": [[0.7], [0.8]]}
ROWS = [row(name, scores, pretrainings=2, config={"levels": name[6:]}) for name, scores in LEVELS.items()]


def ablation(rows=ROWS, protocol="ablation-granularity"):
    return table(rows, protocol=protocol)


def test_variants_stand_in_the_order_of_their_names_without_what_they_share():
    assert list(ablations.variants(ROWS)) == ["n0", "n0-2", "n0-2-4"]
    thresholds = [row(f"adam-threshold-0.{k}", [0.5]) for k in (9, 7, 8)]
    assert list(ablations.variants(thresholds)) == ["0.7", "0.8", "0.9"]
    pruner = [row(name, [0.5]) for name in ("adam-pruner", "adam-no-pruner")]
    assert list(ablations.variants(pruner)) == ["no-pruner", "pruner"]
    assert list(ablations.variants(ROWS[:1])) == ["adam-n0-2-4"]


def test_points_are_means_of_pretrainings_and_dots_the_pretrainings():
    figure = ablations.draw([ablation()])
    (axes,) = figure.axes
    assert axes.lines[0].get_ydata() == pytest.approx([65, 75, 90])
    dots = [list(line.get_ydata()) for line in axes.lines if line.get_marker() == "."]
    assert dots == [pytest.approx([60, 70]), pytest.approx([70, 80]), pytest.approx([85, 95])]
    assert figure.get_supxlabel() == "levels"
    assert axes.get_title() == "scr-heart (n = 2)"


def test_the_caption_says_whether_pretrainings_or_seeds_vary():
    (found,) = ablations.figures(Report(tables=(ablation(),)))
    assert "n = 2 pretrainings, so that the spread is that of the method" in found.caption
    one = [row(name, [0.5, 0.6]) for name in LEVELS]
    (found,) = ablations.figures(Report(tables=(ablation(one),)))
    assert "n = 2 fine-tuning seeds of one checkpoint each" in found.caption


def test_an_ablation_has_its_own_figure_and_a_usual_table_none():
    tables = (ablation(), ablation(protocol="ablation-pruner"), ablation(protocol="quick"))
    names = [found.name for found in ablations.figures(Report(tables=tables))]
    assert names == ["ablation-granularity", "ablation-pruner"]


def test_no_line_joins_what_differs_in_two_settings_and_numbers_stand_in_their_order():
    full, half = {"levels": [0, 2, 4], "threshold": 0.8}, {"levels": [0], "threshold": 0.8}
    configs = {"a-n0": half, "a-n0-2-4": full} | {f"a-t{t}": {**full, "threshold": t} for t in (2, 0.7)}
    rows = [row(name, [place / 10], config=config) for place, (name, config) in enumerate(configs.items())]
    found = {name: {each.label for each in some} for name, some in ablations.by_setting(rows).items()}
    assert found == {"levels": {"a-n0", "a-n0-2-4"}, "threshold": {"a-n0-2-4", "a-t2", "a-t0.7"}}
    names = [each.name for each in ablations.figures(Report(tables=(ablation(rows, "ablation-x / ablation-y"),)))]
    assert names == ["ablation-levels", "ablation-threshold"]
    (axes,) = ablations.draw([ablation([each for each in rows if each.label != "a-n0"])]).axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.7", "0.8", "2"]
    assert axes.lines[0].get_ydata() == pytest.approx([30, 10, 20])
