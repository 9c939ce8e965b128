"""The part-whole figure from stored records: what is drawn, what it says, and that it is a vector picture."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from eden_bench.errors import UsageError
from eden_bench.figures import part_whole, style
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table


def record(label, matched, mismatched, folder="runs/records/1"):
    """What the figure reads of a record."""
    arrays = {f"{form}_matched": matched for form in ("raw", "centred")}
    arrays |= {f"{form}_mismatched": mismatched for form in ("raw", "centred")}
    cell = SimpleNamespace(task="compositionality")
    return SimpleNamespace(label=label, arrays=lambda: arrays, folder=folder, cell=cell)


@pytest.fixture(scope="module")
def records():
    random = np.random.default_rng(0)
    near = random.normal(0.9, 0.02, 300).astype(np.float32)
    return [record("adam", near, near[:200] - 0.2), record("constant", np.ones(300), np.ones(600))]


def test_each_method_has_its_own_and_the_mismatched_pairs_in_one_colour(records):
    figure = part_whole.draw(records)
    for axes in figure.axes:
        colours = [line.get_color() for line in axes.lines]
        assert colours == [style.COLOURS[0]] * 2 + [style.COLOURS[1]] * 2
        assert [line.get_linestyle() for line in axes.lines] == ["-", "--"] * 2
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["adam", "constant", "own parts", "others' parts"]


def test_a_curve_is_the_density_of_the_cosines(records):
    axes = part_whole.draw(records).axes[0]
    for line, name in zip(axes.lines, ("raw_matched", "raw_mismatched"), strict=False):
        at, height = line.get_data()
        wanted = gaussian_kde(records[0].arrays()[name].astype(float))(at)
        assert np.abs(height - wanted).max() <= 1e-4 * wanted.max()


def test_cosines_that_do_not_vary_are_a_line_where_they_are(records):
    line = part_whole.draw(records).axes[0].lines[2]
    assert np.ptp(line.get_xdata()) == 0
    assert line.get_xdata()[0] == 1


def test_a_record_of_another_task_and_no_record_are_refused(records):
    with pytest.raises(UsageError, match=r"record runs/2 of .* has no raw_matched: draw compositionality's"):
        part_whole.draw([record("adam", np.ones(0), np.ones(0), folder="runs/2")])
    with pytest.raises(UsageError, match="0 records to draw, expected 1 to 8"):
        part_whole.draw([])


def test_a_report_has_one_figure_of_it_and_says_what_does_not_vary(records):
    rows = [
        replace(
            row(each.label, [0.5]), cells={("d", 0): SimpleNamespace(**vars(each), facts=SimpleNamespace(arrays=1))}
        )
        for each in records
    ]
    (found,) = part_whole.figures(Report(tables=(table(rows, task="compositionality", kind="probe"),)))
    assert found.name == "compositionality-density"
    assert "n = 300; dashed" in found.caption
    assert "n = 200 to 600" in found.caption
    assert found.figure.get_suptitle() == "PHANTOM · QUICK"
