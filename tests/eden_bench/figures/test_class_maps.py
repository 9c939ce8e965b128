"""The figure, from stored records alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from eden_bench.errors import UsageError
from eden_bench.figures import Figure, class_maps, style
from eden_bench.report.html.page import render
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table

SIZE_PX = 32


def record(label, *, empty=False, cases=("a Mass", "b Mass", "c Nodule"), **changed):
    """What the figure reads of a record."""
    maps = np.zeros((3, SIZE_PX, SIZE_PX), np.float16)
    maps[:, 8:16, 4:12] = 0 if empty else 1
    arrays = {
        "cases": np.array(cases),
        "labels": np.array(["Mass", "Mass", "Nodule"]),
        "films": np.full((3, SIZE_PX, SIZE_PX), 128, np.uint8),
        "maps": maps,
        "boxes": np.array([[0, 0.125, 0.25, 0.375, 0.5], [2, 0.0, 0.0, 0.5, 0.5], [2, 0.5, 0.5, 0.75, 1.0]]),
        "iou": np.array([1.0, 0.5, 0.25]),
        **changed,
    }
    return SimpleNamespace(
        label=label,
        value=0.4,
        cell=SimpleNamespace(task="grad-cam", seed=3),
        folder=f"runs/records/{label}",
        phantom=True,
        facts=SimpleNamespace(cases=SimpleNamespace(rows=27)),
        arrays=lambda: {name: value for name, value in arrays.items() if value is not None},
    )


@pytest.fixture(scope="module")
def drawn():
    return class_maps.draw([record("adam"), record("random", empty=True)], marks=("PHANTOM", "QUICK"))


def test_a_row_a_record_and_a_column_a_finding(drawn):
    first, second, third, fourth, bar = drawn.axes
    assert (first.get_title(), second.get_title()) == ("Mass", "Nodule")
    assert first.get_ylabel() == "adam\nseed 3"
    assert [axes.get_xlabel() for axes in (first, second)] == ["IoU 100 %", "IoU 25 %"]
    assert [axes.get_xlabel() for axes in (third, fourth)] == ["empty map"] * 2
    assert bar.get_ylabel() == "map"
    assert drawn.get_suptitle() == "PHANTOM · QUICK"


def test_the_caption_counts_boxes_and_empty_maps():
    told = class_maps.caption([record("adam"), record("random", empty=True)])
    assert "n = 27 boxes, seeds as shown: adam 40 %, random 40 %" in told
    assert told.endswith("Stored maps that are empty: 3.")


def test_a_box_is_drawn_where_it_lies_and_seen_on_black_and_white(drawn):
    first, second, *_ = drawn.axes
    edges = [patch.get_bbox().extents.tolist() for patch in first.patches]
    assert edges == [[4, 8, 12, 16]] * 2  # of 32 px: .125, .25, .375, .5
    assert {patch.get_edgecolor() for patch in first.patches} == {(0, 0, 0, 1), (1, 1, 1, 1)}
    assert len(second.patches) == 4  # two boxes of one finding


def test_the_map_lies_on_the_film_as_opaque_as_it_is_high(drawn):
    film, heat = drawn.axes[0].images
    assert film.get_extent() == heat.get_extent()
    assert heat.get_cmap().name == "cividis"
    assert heat.get_alpha().max() == 0.75
    assert not heat.get_alpha()[:8].any()


def test_lines_and_letters_are_vectors(drawn, tmp_path):
    drawn.savefig(tmp_path / "maps.svg")
    assert (tmp_path / "maps.svg").read_text().count("<path") > 16


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "0 records to draw, expected 1 to 8"),
        ([record("adam", maps=None)], "record runs/records/adam of grad-cam has no maps: draw grad-cam's"),
        ([record("adam"), record("pcrl", cases=("a", "b", "d"))], "runs/records/pcrl holds other films than"),
    ],
)
def test_records_that_cannot_be_drawn_are_refused_in_a_sentence(records, message):
    with pytest.raises(UsageError, match=message):
        class_maps.draw(records)


def report(*records):
    for each in records:
        each.facts.arrays = True
    rows = [replace(row(each.label, [0.5]), cells={("d", 0): each}) for each in records]
    return Report(tables=(table(rows, task="grad-cam", kind="probe"),))


def test_rows_whose_maps_are_all_empty_are_named_and_not_drawn():
    (found,) = class_maps.figures(report(record("adam"), record("random", empty=True)))
    assert [axes.get_ylabel() for axes in found.figure.axes[:2]] == ["adam\nseed 3", ""]
    assert len(found.figure.axes) == 3
    assert "Not drawn, since all their maps here are empty: random." in found.caption


def test_where_all_maps_are_empty_a_sentence_says_why_and_nothing_is_drawn(tmp_path):
    (drawn,) = class_maps.figures(report(record("adam", empty=True), record("random", empty=True)))
    found = Figure(drawn.name, drawn.title, drawn.caption, style.finished(drawn, drawn.name, tmp_path))
    assert found.svg == ""
    assert "all their maps here are empty: adam, random. A map shows what speaks for the finding" in found.caption
    assert list(tmp_path.iterdir()) == []
    page = render(Report(tables=()), [found])
    assert found.caption.replace("'", "&#39;") in page
    assert "<svg" not in page


def test_maps_are_drawn_on_a_grey_frame_where_the_record_holds_no_film():
    bare = record("adam", films=None)
    first = class_maps.draw([bare]).axes[0]
    assert np.unique(first.images[0].get_array()).tolist() == [96]
    assert "The films are not drawn: the licence" in class_maps.caption([bare])
    assert "licence" not in class_maps.caption([record("adam")])
