from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eden_bench.contracts import Anchor
from eden_bench.data.image_store import PyramidStore, pyramid_of
from pretrain.views.pixels import whole_weights
from pretrain.views.windows import Window, antialiasing, cut, triangles

RAMPS = np.dstack([*np.meshgrid(np.arange(1024) // 4, np.arange(1024) // 4), np.zeros((1024, 1024))]).astype(np.uint8)
"""Column / 4 and row / 4 of each pixel."""


def pyramid(image):
    return PyramidStore(Path(), ("a",), "", np.array([image.shape[:2]]), pyramid_of(image)[None])


STORES = {side_px: pyramid(np.zeros((side_px, side_px), np.uint8)) for side_px in (1024, 512, 256)}


@pytest.mark.trap("adam", "cells cut at the native 1024 px; PIL resizes crops once, antialiased")
@pytest.mark.trap("released code", "whole images seen at 256 px, cells at 256 of 512")
@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([1024, 512, 256]), st.sampled_from([(1, 1), (2, 2), (2, 4), (4, 4), (3, 3)]),
    st.tuples(*[st.floats(0, 1)] * 4), st.sampled_from([16, 64, 96, 224, 256]),
)  # fmt: skip
def test_no_crop_is_enlarged_where_the_original_would_not_be_and_none_shrinks_twice_over(side_px, grid, drawn, size_px):
    anchor = STORES[side_px].anchor(0, grid[0] - 1, 0, *grid)
    height, width = (max(1, round(share * px)) for share, px in zip(drawn[:2], anchor.px, strict=True))
    top, left = (int(drawn[2] * (anchor.px[0] - height)), int(drawn[3] * (anchor.px[1] - width)))
    window = cut(anchor, (top, left, height, width), size_px)
    of_original = np.array([height, width]) * side_px / 1024
    assert (np.array(window.crop[2:]) >= np.minimum(of_original, size_px) - 1e-9).all()
    assert min(window.crop[2:]) < max(2 * size_px, 1)
    assert window.averaged * np.array(window.crop[2:]) == pytest.approx(of_original)


@pytest.mark.parametrize("size_px", [16, 64, 224])
@pytest.mark.parametrize(("row", "column", "rows", "columns"), [(0, 0, 1, 1), (1, 0, 2, 2), (2, 1, 3, 3), (3, 2, 4, 4)])
def test_a_window_holds_the_crops_place_in_the_image(row, column, rows, columns, size_px):
    anchor = pyramid(RAMPS).anchor(0, row, column, rows, columns)
    crop = (17, 30, anchor.px[0] * 3 // 4, anchor.px[1] * 2 // 3)
    pixels, (top, left, height, width), averaged = cut(anchor, crop, size_px)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    in_image = [
        (place - start + 0.5) * averaged + corner * px + begin
        for place, start, corner, px, begin in zip((y, x), (top, left), (row, column), anchor.px, crop, strict=False)
    ]
    expected = [(value - 0.5) / 4 for value in in_image]  # ramps rise by 1 in 4 pixels
    assert np.abs(pixels[..., 1] - expected[0]).max() < 1
    assert np.abs(pixels[..., 0] - expected[1]).max() < 1
    assert 0 <= top < 1
    assert 0 <= left < 1
    assert pixels.shape[:2] == (np.ceil(top + height), np.ceil(left + width))


def test_a_crop_of_whole_pixels_is_a_view_on_the_store_and_nothing_beside_it():
    store = pyramid(RAMPS)
    window = cut(store.anchor(0, 0, 1, 2, 2), (3, 5, 300, 250), 224)
    assert np.shares_memory(window.pixels, store.pixels)
    assert (window.pixels == RAMPS[3:303, 517:767]).all()
    assert window.crop == (0, 0, 300, 250)


def test_what_has_twice_the_views_pixels_is_averaged_in_blocks():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    window = cut(Anchor((noise,), (0, 0, 64, 64), (64, 64)), (0, 0, 64, 64), 8)
    assert window.averaged == 8
    assert np.abs(window.pixels - noise.reshape(8, 8, 8, 8).mean((1, 3))).max() <= 0.5


@given(st.lists(st.floats(0, 6), min_size=1, max_size=6))
def test_taps_have_the_variance_asked_for_sum_to_one_and_are_symmetric(variances):
    taps = triangles(np.array(variances))
    offsets = np.arange(taps.shape[1]) - taps.shape[1] // 2
    assert (taps.sum(axis=1) == 1).all()
    assert (taps == taps[:, ::-1]).all()
    assert (taps >= 0).all()
    assert (taps * offsets**2).sum(axis=1) == pytest.approx(variances, rel=0.05, abs=0.05)  # whole 256ths


@pytest.mark.parametrize(("times", "expected"), [(1, [256]), (2, [64, 128, 64]), (3, [28, 57, 86, 57, 28])])
def test_taps_of_a_whole_widening_are_a_triangle(times, expected):
    found = triangles(np.array([(times**2 - 1) / 6]))[0] * 256
    assert found[found > 0].tolist() == expected


def test_a_negative_variance_changes_nothing():
    assert triangles(np.array([-1.0, -0.01])).tolist() == [[0, 1, 0]] * 2


@pytest.mark.parametrize("averaged", [1, 2, 4])
@pytest.mark.parametrize(("times", "start"), [(1.4, 0), (1.6, 0.5), (1.9, 0), (2.6, 0.25), (1.5, 0), (1.5, 0.5)])
def test_averages_taps_and_interpolation_have_together_the_variance_of_pils_triangle(times, start, averaged):
    window = Window(np.zeros((1, 1), np.uint8), (start, 0, 100 * times, 100 * 1.2), averaged)
    taps = antialiasing([window], 100)[0][0]
    found = []
    for pixel in range(100):  # the plain way: where each pixel of the finest level goes, and how much of it
        centre = (pixel + 0.5) * times + start - 0.5
        spread = {}
        for neighbour, share in ((np.floor(centre), 1 - centre % 1), (np.floor(centre) + 1, centre % 1)):
            for offset, tap in enumerate(taps, -(len(taps) // 2)):
                for fine in range(averaged):
                    place = (neighbour + offset) * averaged + fine
                    spread[place] = spread.get(place, 0) + share * tap / averaged
        places, weights = np.array(list(spread)), np.array(list(spread.values()))
        mean = (weights * places).sum()
        assert weights.sum() == pytest.approx(1)
        assert mean == pytest.approx((centre + 0.5) * averaged - 0.5)
        found.append((weights * (places - mean) ** 2).sum())
    triangle = np.linspace(-1, 1, 20_001)
    weights = 1 - np.abs(triangle)
    theirs = (weights * triangle**2).sum() / weights.sum() * (times * averaged) ** 2
    assert np.mean(found) == pytest.approx(theirs, rel=0.03)


@pytest.mark.parametrize(("side_px", "averaged"), [(100, 1), (70, 1), (50, 2)])
def test_what_is_not_shrunk_is_not_smoothed(side_px, averaged):
    window = Window(np.zeros((1, 1), np.uint8), (0, 0, side_px, side_px), averaged)
    assert all(taps.tolist() == [[0, 1, 0]] for taps in antialiasing([window], 100))


def test_weights_in_whole_256ths_keep_the_brightness():
    weights = whole_weights(np.array([[1.0, 1.0, 1.0], [0.2, 0.5, 0.3]]))
    assert (weights.sum(axis=1) == 1).all()
    assert (weights * 256 == np.rint(weights * 256)).all()
