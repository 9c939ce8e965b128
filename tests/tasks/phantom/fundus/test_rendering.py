"""The photograph of the fundus phantom: what is bright, dark, where, and at any size."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.phantom.fundus.patient import LESIONS, draw_eye
from tasks.phantom.fundus.rendering import STRUCTURES, render
from tasks.phantom.fundus.view import View


@pytest.fixture(scope="module")
def shown():
    return render(draw_eye(0, 7, "right", grade=0), 320)


def test_lesions_change_the_picture_where_they_lie_and_nowhere_else():
    healthy, sick = (render(draw_eye(0, 9, "left", grade=grade), 320) for grade in (0, 3))
    change = np.abs(healthy.image.astype(int) - sick.image).max(axis=2)
    extent = np.any([sick.masks[kind] for kind in LESIONS], axis=0)
    assert change[extent].mean() > 20
    assert np.median(change[~extent]) == 0
    green = {kind: sick.image[sick.masks[kind], 1].mean() for kind in ("haemorrhage", "hard exudate")}
    assert green["haemorrhage"] < healthy.image[sick.masks["haemorrhage"], 1].mean() - 15
    assert green["hard exudate"] > healthy.image[sick.masks["hard exudate"], 1].mean() + 15


def test_vessels_are_darker_in_green_than_what_is_beside_them_and_the_disc_is_bright(shown):
    vessels, field, disc = (shown.masks[name] for name in ("vessels", "field of view", "optic disc"))
    green = shown.image[..., 1].astype(float)
    assert green[vessels & ~disc].mean() < 0.8 * green[field & ~vessels & ~disc].mean()
    assert green[disc & ~vessels].mean() > 1.2 * green[field & ~disc].mean()
    red, _, blue = shown.image[field].mean(axis=0)
    assert red > 1.5 * blue


def test_masks_are_of_plausible_size_and_within_each_other(shown):
    masks = shown.masks
    assert set(STRUCTURES) | set(LESIONS) == set(masks)
    assert 0.06 < masks["vessels"].sum() / masks["field of view"].sum() < 0.2
    assert np.array_equal(masks["vessels"], masks["arteries"] | masks["veins"])
    assert masks["optic cup"].sum() < masks["optic disc"].sum()
    assert not (masks["optic cup"] & ~masks["optic disc"]).any()
    assert not any((mask & ~masks["field of view"]).any() for mask in masks.values())


def test_the_picture_is_black_outside_the_field_and_the_macula_darker_than_around(shown):
    assert shown.image[~shown.field].max() <= 128  # half-covered pixels of the soft border
    assert (shown.image[~shown.field] == 0).mean() > 0.95
    x, y = (round(value) for value in shown.landmarks["fovea"])
    green = shown.image[..., 1]
    assert green[y - 8 : y + 9, x - 8 : x + 9].mean() < 0.85 * np.median(green[shown.field & ~shown.masks["vessels"]])


def test_pixels_and_the_retina_are_mapped_there_and_back():
    view = View(draw_eye(2, 3, "left"), 256)
    places = view.retina(1)[:, 100, 30]
    assert view(places) == pytest.approx([30, 100], abs=1e-3)
    assert view.retina(1, (100, 104, 30, 32))[:, 0, 0] == pytest.approx(places, abs=1e-6)


def test_the_same_eye_is_drawn_the_same_at_any_size():
    eye = draw_eye(0, 4, "left")
    large, small = (render(eye, size).masks["vessels"] for size in (640, 320))
    assert small.mean() == pytest.approx(large.mean(), rel=0.15)
    assert (small & ~large.reshape(320, 2, 320, 2).any(axis=(1, 3))).mean() < 0.002


@pytest.mark.parametrize("size", [60, 66])
def test_odd_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"size_px must be a multiple of 4 and at least 64, not {size}"):
        render(draw_eye(0, 1, "left"), size)
