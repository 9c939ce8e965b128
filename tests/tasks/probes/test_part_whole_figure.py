"""The part-whole figure from stored records: what is drawn, what it says, and that it is a vector picture."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from eden_bench.errors import UsageError
from tasks.probes import part_whole_figure


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
    figure = part_whole_figure.draw(records)
    for axes in figure.axes:
        colours = [line.get_color() for line in axes.lines]
        assert colours == [part_whole_figure.COLOURS[0]] * 2 + [part_whole_figure.COLOURS[1]] * 2
        assert [line.get_linestyle() for line in axes.lines] == ["-", "--"] * 2
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[:2] == ["adam, own parts (n = 300)", "adam, others' parts (n = 200)"]


def test_a_curve_is_the_density_of_the_cosines(records):
    axes = part_whole_figure.draw(records).axes[0]
    for line, name in zip(axes.lines, ("raw_matched", "raw_mismatched"), strict=False):
        at, height = line.get_data()
        wanted = gaussian_kde(records[0].arrays()[name].astype(float))(at)
        assert np.abs(height - wanted).max() <= 1e-4 * wanted.max()


def test_cosines_that_do_not_vary_are_a_line_where_they_are(records):
    line = part_whole_figure.draw(records).axes[0].lines[2]
    assert np.ptp(line.get_xdata()) == 0
    assert line.get_xdata()[0] == 1


def test_equal_records_give_equal_vector_pictures(records, tmp_path):
    for name in ("one.svg", "two.svg", "three.pdf"):
        part_whole_figure.write(part_whole_figure.draw(records), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert b"<image" not in (tmp_path / "one.svg").read_bytes()
    assert "adam, own parts (n = 300)" in (tmp_path / "one.svg").read_text()
    assert (tmp_path / "three.pdf").read_bytes().startswith(b"%PDF")


def test_a_record_of_another_task_and_no_record_are_refused(records):
    with pytest.raises(UsageError, match=r"record runs/2 of .* has no raw_matched: draw compositionality's"):
        part_whole_figure.draw([record("adam", np.ones(0), np.ones(0), folder="runs/2")])
    with pytest.raises(UsageError, match="0 records to draw, expected 1 to 8"):
        part_whole_figure.draw([])
