"""Lines of matching: which are right, which tie, where they go, and what is drawn where a record holds no film."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_hex

from eden_bench.figures import correspondences, style
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table

TEMPLATE = np.array([[0.2, 0.3], [0.5, 0.5], [0.7, 0.2], [0.4, 0.8]])
TRUTH = np.array([TEMPLATE, [[0.2, 0.3], [0.5, 0.5], [1.2, 0.2], [0.4, 0.8]]])
NOT = [np.nan, np.nan]
FOUND = np.array(
    [
        # at 0.05 exactly: as pck_5 counts, found; far; near; tied
        [[0.25, 0.3], [0.9, 0.5], [0.7, 0.21], NOT],
        [[0.2, 0.36], [0.5, 0.5], NOT, [0.4, 0.8]],
    ]
)


def record(label, *, films=True, **changed):
    arrays = {
        "names": np.array(["a", "b", "c", "d"]),
        "kinds": np.array(["augmented", "other patient"]),
        "template": TEMPLATE,
        "truth": TRUTH,
        "found": FOUND,
        **({"films": np.arange(3 * 64, dtype=np.uint8).reshape(3, 8, 8)} if films else {}),
        **changed,
    }
    return SimpleNamespace(
        label=label,
        phantom=films,
        scores={"radial_error": 12.34, "augmented_radial_error": 3.21},
        facts=SimpleNamespace(arrays=True, cases=SimpleNamespace(rows=40)),
        arrays=lambda: arrays,
    )


def report(**records):
    rows = [replace(row(label, [0.5]), cells={("d", 0): record}) for label, record in records.items()]
    return Report(tables=(table(rows, task="matching", kind="probe"),))


def drawn(**records):
    (found,) = correspondences.figures(report(**records))
    return found


def lines(axes, kind):
    """Ends of the lines of a kind, without their markers."""
    return [
        line.get_xydata().round(3).tolist()
        for line in axes.lines
        if line.get_marker() in ("", "None") and to_hex(line.get_color()) == kind["color"].lower()
    ]


def test_right_lines_are_those_within_five_per_cent_and_ties_have_none():
    view, other = drawn(adam=record("adam")).figure.axes
    assert lines(view, correspondences._RIGHT) == [[[0.2, 0.3], [1.33, 0.3]], [[0.7, 0.2], [1.78, 0.21]]]
    assert lines(view, correspondences._WRONG) == [[[0.5, 0.5], [1.98, 0.5]]]
    assert view.get_xlabel() == "2 of 4 found, 1 tied"
    # a landmark that the other film does not show is no tie and is not counted
    assert other.get_xlabel() == "2 of 3 found"
    assert (view.get_title(), other.get_title()) == ("turned, scaled view", "another patient")


def test_right_and_wrong_differ_without_colour():
    right, wrong = correspondences._RIGHT, correspondences._WRONG
    assert right["linestyle"] != wrong["linestyle"]
    assert right["marker"] != wrong["marker"]


def test_the_true_place_is_ringed_where_it_was_not_found():
    view, other = drawn(adam=record("adam")).figure.axes
    rings = [line.get_xydata().round(3).tolist() for line in view.lines if line.get_color() == "none"]
    assert rings == [[[1.58, 0.5], [1.48, 0.8]]]
    rings = [line.get_xydata().round(3).tolist() for line in other.lines if line.get_color() == "none"]
    assert rings == [[[1.28, 0.3]]]


def test_the_caption_says_errors_counts_and_the_phantom():
    caption = drawn(adam=record("adam")).caption
    assert "n = 40 landmarks: adam 3.2 (turned, scaled view), 12.3 (another patient)." in caption
    assert "The films are the phantom's, no patient's." in caption
    assert "licence" not in caption


def test_places_alone_are_drawn_where_the_record_holds_no_film():
    found = drawn(adam=record("adam", films=False))
    for axes in found.figure.axes:
        assert len(axes.images) == 0
        assert len(axes.patches) == 2
    assert "The films are not drawn: the licence of the data does not let records hold them." in found.caption
    assert "<image" not in style.finished(found, "lines")


def test_a_film_that_every_row_shows_is_in_the_file_once():
    svg = style.finished(drawn(adam=record("adam"), dira=record("dira")), "lines")
    root = ET.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    href = "{http://www.w3.org/1999/xlink}href"
    images = [each.get("id") for each in root.iter(f"{space}image")]
    assert len(images) == len(set(images)) == 3
    shown = [use.get(href)[1:] for use in root.iter(f"{space}use") if use.get(href)[1:] in images]
    assert sorted(shown.count(image) for image in images) == [2, 2, 4]  # the template's stands in every panel
    assert all(use.get("transform") for use in root.iter(f"{space}use") if use.get(href)[1:] in images)


def test_records_without_places_have_no_lines_and_other_landmarks_no_row():
    old = SimpleNamespace(facts=SimpleNamespace(arrays=None))
    assert correspondences.figures(report(adam=old)) == []
    other = record("dira", template=TEMPLATE + 0.01)
    assert [axes.get_ylabel() for axes in drawn(adam=record("adam"), dira=other).figure.axes] == ["adam", ""]


@pytest.mark.parametrize("count", [9])
def test_more_rows_than_fit_go_to_another_figure(count):
    names = [f"m{number}" for number in range(count)]
    found = correspondences.figures(report(**{name: record(name) for name in names}))
    assert [len(each.figure.axes) for each in found] == [16, 2]
