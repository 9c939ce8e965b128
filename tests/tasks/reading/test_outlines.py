import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.phantom.layouts.siim_acr import run_lengths
from tasks.reading.outlines import is_coordinate, overhang_px, polygon_of, polygons_mask, runs_mask, runs_of

# ── polygons ─────────────────────────────────────────────────────────────────────────────────────


def square(left, top, right, bottom):
    return (left, top, right, top, right, bottom, left, bottom)


def test_a_polygon_covers_its_inside_and_its_border_with_x_before_y():
    mask = polygons_mask([square(2, 1, 5, 3)], (6, 9))
    expected = np.zeros((6, 9), bool)
    expected[1:4, 2:6] = True
    assert mask.dtype == bool
    assert np.array_equal(mask, expected)


@pytest.mark.trap("chestx-det", "polygons overlap, also across classes")
def test_overlapping_polygons_are_united_and_do_not_cancel_out():
    both = polygons_mask([square(0, 0, 5, 5), square(3, 3, 8, 8)], (10, 10))
    each = [polygons_mask([one], (10, 10)) for one in (square(0, 0, 5, 5), square(3, 3, 8, 8))]
    assert np.array_equal(both, each[0] | each[1])
    assert both[4, 4]


def test_no_polygons_are_an_empty_mask():
    assert not polygons_mask([], (4, 5)).any()


def test_what_lies_outside_the_image_is_cut_off():
    mask = polygons_mask([square(-100, -100_000, 100_000, 2)], (8, 8))
    assert mask[:3].all()
    assert not mask[3:].any()
    assert not polygons_mask([square(50, 50, 60, 60)], (8, 8)).any()


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [(square(0, 0, 9, 4), 0), (square(-1, 0, 9, 4), 1), (square(0, 0, 10, 4), 1), (square(0, 2, 9, 7), 3)],
)
def test_the_overhang_is_the_farthest_pixel_outside(polygon, expected):
    assert overhang_px(polygon, (5, 10)) == expected


def test_a_polygon_of_a_json_file_becomes_a_flat_tuple():
    assert polygon_of([[1, 2], [3.5, 4], [5, 6]]) == (1, 2, 3.5, 4, 5, 6)


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ("None", "polygon of 'None', expected 3 to"),
        ([], "polygon of 0 points"),
        ([[1, 2], [3, 4]], "polygon of 2 points"),
        ([[1, 2], [3, 4], [5]], r"point \[5\], expected two numbers"),
        ([[1, 2], [3, 4], 5], "point 5, expected two numbers"),
        ([[1, 2], [3, 4], [5, "6"]], "expected two numbers"),
        ([[1, 2], [3, 4], [5, True]], "expected two numbers"),
        ([[1, 2], [3, 4], [5, math.nan]], "point .5, nan."),
        ([[1, 2], [3, 4], [5, math.inf]], "point .5, inf."),
        ([[1, 2], [3, 4], [5, 10**400]], "expected two numbers"),
        ([[1, 2], [3, 4], [5, -100_001]], "within ±100,000"),
    ],
)
def test_what_is_no_polygon_is_refused(points, match):
    with pytest.raises(ValueError, match=match):
        polygon_of(points)


def test_true_is_no_coordinate_and_zero_is_one():
    assert [is_coordinate(value) for value in (0, -1.5, True, None, "1")] == [True, True, False, False, False]


# ── run lengths ──────────────────────────────────────────────────────────────────────────────────


def drawn_by_loops(runs, height, width):
    """Draw from the definition: gap after the last run's end, length; down the columns, then across."""
    mask, place = np.zeros((height, width), bool), 0
    for gap, length in zip(runs[::2], runs[1::2], strict=True):
        place += gap
        for pixel in range(place, place + length):
            mask[pixel % height, pixel // height] = True
        place += length
    return mask


@pytest.mark.trap("siim-acr", "column-major", "down the columns")
def test_run_lengths_go_down_the_columns_from_zero_and_gaps_count_from_the_last_end():
    mask = runs_mask([(1, 2, 3, 1)], (4, 3))
    assert sorted(zip(*np.nonzero(mask), strict=True)) == [(1, 0), (2, 0), (2, 1)]


def test_rows_of_one_image_are_united_though_they_overlap():
    mask = runs_mask([(0, 6), (4, 6)], (4, 3))
    assert np.array_equal(mask, runs_mask([(0, 10)], (4, 3)))


def test_no_rows_are_an_empty_mask():
    mask = runs_mask([], (4, 3))
    assert mask.shape == (4, 3)
    assert not mask.any()


@pytest.mark.trap("siim-acr", "runs are (gap since the last end, length)")
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 7), st.integers(1, 9), st.data())
def test_run_lengths_agree_with_plain_loops_and_come_back(height, width, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=height * width, max_size=height * width)))
    mask = mask.reshape(height, width)
    runs = run_lengths(mask)
    assert len(runs) % 2 == 0
    assert np.array_equal(drawn_by_loops(runs, height, width), mask)
    assert np.array_equal(runs_mask([runs], (height, width)), mask)
    if runs:
        assert runs_of(" ".join(map(str, runs)), height * width) == runs


@pytest.mark.trap("siim-acr", "a space before `EncodedPixels`, before `-1` and before runs")
@pytest.mark.parametrize("text", ["-1", " -1", "-1 "])
def test_minus_one_is_an_empty_mask(text):
    assert runs_of(text, 12) == ()


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has 0 run lengths, expected pairs"),
        ("1 2 3", "has 3 run lengths, expected pairs"),
        ("1 -2", "run length '-2', expected a whole number"),
        ("1 2.0", "run length '2.0'"),
        ("1 nan", "run length 'nan'"),
        ("1 1e3", "run length '1e3'"),
        ("1 ٣", "run length '٣'"),
        ("1 9999999999999999999999", "run length '99999999999999999999'"),
        ("10 3", "runs up to pixel 13, expected at most 12"),
        ("-1 -1", "run length '-1'"),
    ],
)
def test_what_are_no_run_lengths_is_refused(text, match):
    with pytest.raises(ValueError, match=match):
        runs_of(text, 12)


def test_runs_may_end_at_the_last_pixel_but_not_beyond():
    assert runs_mask([runs_of("10 2", 12)], (4, 3))[2:, 2].all()
    with pytest.raises(ValueError, match="runs up to pixel 13"):
        runs_mask([(10, 3)], (4, 3))
