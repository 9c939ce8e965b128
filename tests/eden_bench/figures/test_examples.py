"""Example predictions: which images, whose outline, and what stands where the record holds no truth."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from eden_bench.figures import examples, style
from eden_bench.records import masks
from eden_bench.report.tables import Report
from tests.eden_bench.figures.reports import row, table

SIDE = 16
CASES = ["a", "b", "c", "d", "e"]


def square(left, top, side=6):
    mask = np.zeros((1, SIDE, SIDE), bool)
    mask[0, top : top + side, left : left + side] = True
    return mask


def record(label, dice=(0.5, 0.9, 0.1, 0.7, 0.3), *, kept=5, truth=True):
    """What the figure reads of a record whose masks are squares that move from case to case."""
    predicted = np.stack([square(number, 2) for number in range(5)])
    bundle = masks.bundle(masks.packed(predicted), (SIDE, SIDE), ["heart"])
    bundle |= {"masks": bundle["masks"][:kept], "mask_cases": np.array(CASES[:kept])}
    if truth:
        chosen = [CASES[k] for k in masks.worst_median_best(dice)]
        true = masks.packed(np.stack([square(8, 8) for _ in chosen]))
        bundle |= masks.examples(chosen, true, np.full((len(chosen), 8, 8), 7, np.uint8))
    cases = pd.DataFrame({"case": CASES, "dice": dice})
    return SimpleNamespace(
        label=label,
        id="0123456789abcdef",
        phantom=truth,
        cell=SimpleNamespace(seed=3),
        facts=SimpleNamespace(arrays=True, cases=SimpleNamespace(rows=len(CASES))),
        arrays=lambda: bundle,
        cases=lambda only: cases[list(only)],
    )


def drawn(*records):
    rows = [replace(row(each.label, [0.5]), cells={("d", 0): each}) for each in records]
    (found,) = examples.figures(Report(tables=(table(rows),)))
    return found


def outline(axes, line):
    """The corners of the lines of a kind, in pixels of the mask."""
    kinds = {"-": True, "--": False}
    found = [each.get_xydata() * SIDE for each in axes.lines if kinds[each.get_linestyle()] == (line == "solid")]
    return [(points.min(axis=0).tolist(), points.max(axis=0).tolist()) for points in found]


def test_images_are_the_worst_median_and_best_of_the_first_row_for_all_rows():
    found = drawn(record("adam"), record("dira", (0.1, 0.2, 0.3, 0.4, 0.5)))
    first, second = found.figure.axes[:3], found.figure.axes[3:]
    assert [axes.get_title() for axes in first] == ["lowest\nc", "median\na", "highest\nb"]
    assert [axes.get_xlabel() for axes in first] == ["Dice 10 %", "Dice 50 %", "Dice 90 %"]
    assert [axes.get_xlabel() for axes in second] == ["Dice 30 %", "Dice 10 %", "Dice 20 %"]
    assert (
        "n = 5 test images those with the lowest, the median and the highest Dice of adam, seed 3 (cell 0123456789ab)"
        in found.caption
    )
    assert "The films are the phantom's" in found.caption


def test_the_prediction_is_solid_and_the_truth_dashed_where_their_pixels_end():
    first = drawn(record("adam")).figure.axes[0]
    assert outline(first, "solid") == [(pytest.approx([2, 2], abs=0.6), pytest.approx([8, 8], abs=0.6))]
    assert outline(first, "dashed") == [(pytest.approx([8, 8], abs=0.6), pytest.approx([14, 14], abs=0.6))]
    assert np.unique(first.images[0].get_array()).tolist() == [7]


def test_an_outline_is_the_border_of_its_pixels_to_half_a_pixel():
    y, x = np.mgrid[: SIDE * 8, : SIDE * 8] + 0.5
    disc = np.hypot(x - 60, y - 70) < 30
    (points,) = examples.outlines(disc)
    assert (points[0] == points[-1]).all()
    radius = np.hypot(*(points * SIDE * 8 - [60, 70]).T)
    assert np.abs(radius - 30).max() < 1
    assert len(points) < 60
    area = abs(np.sum(points[:-1, 0] * points[1:, 1] - points[1:, 0] * points[:-1, 1])) / 2 * (SIDE * 8) ** 2
    assert area == pytest.approx(disc.sum(), rel=0.02)


def test_a_mask_that_reaches_the_edge_is_closed_there_and_an_empty_one_has_no_outline():
    (points,) = examples.outlines(np.ones((4, 8), bool))
    assert points.min(axis=0) == pytest.approx([0, 0], abs=0.01)
    assert points.max(axis=0) == pytest.approx([1, 1], abs=0.01)
    assert examples.outlines(np.zeros((4, 8), bool)) == []


def test_without_films_and_truth_the_prediction_stands_alone_and_that_is_said():
    found = drawn(record("adam", truth=False))
    first = found.figure.axes[0]
    assert outline(first, "dashed") == []
    assert len(outline(first, "solid")) == 1
    assert np.unique(first.images[0].get_array()).tolist() == [96]
    assert found.caption.startswith("Solid: predicted; below: Dice.")
    assert found.caption.endswith(f"{style.NO_FILMS} So it is with the true masks.")


def test_only_images_whose_masks_are_kept_are_chosen_and_others_are_named():
    found = drawn(record("adam", kept=2), record("dira", kept=1))
    assert [axes.get_title() for axes in found.figure.axes[:2]] == ["image 1\na", "image 2\nb"]
    assert [axes.get_xlabel() for axes in found.figure.axes] == ["Dice 50 %", "Dice 90 %", "Dice 50 %", "mask not kept"]


def test_records_without_masks_have_no_figure():
    bare = SimpleNamespace(facts=SimpleNamespace(arrays=None))
    rows = [replace(row("adam", [0.5]), cells={("d", 0): bare})]
    assert examples.figures(Report(tables=(table(rows),))) == []
