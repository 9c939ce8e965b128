"""Patches: the film's own pixels, its border repeated beyond it, shrunk by area."""

import numpy as np
import pytest

from tasks.probes import patches
from tasks.probes.patches import around, cut, cut_ahead, leaves_film

FILM = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)


def test_a_box_of_the_patch_size_is_the_films_own_pixels():
    (patch,) = cut(FILM, np.array([0]), np.array([[2, 1, 6, 5]]), 4)
    assert np.array_equal(patch, FILM[0, 1:5, 2:6])


def test_beyond_the_border_its_pixels_are_repeated():
    (patch,) = cut(FILM, np.array([0]), np.array([[-2, -3, 6, 5]]), 8)
    assert np.array_equal(patch, np.pad(FILM[0], ((3, 0), (2, 0)), mode="edge")[:8, :8])
    assert leaves_film(np.array([[-2, -3, 6, 5], [0, 0, 8, 8], [1, 1, 9, 9]]), 8).tolist() == [True, False, True]


def test_shrinking_averages_by_area():
    (patch,) = cut(FILM, np.array([0]), np.array([[0, 0, 8, 8]]), 4)
    expected = FILM[0].reshape(4, 2, 4, 2).mean(axis=(1, 3))
    assert np.abs(patch - expected).max() <= 0.5


@pytest.mark.parametrize(("point", "box"), [((4.0, 4.0), [2, 2, 6, 6]), ((0.5, 7.9), [-1, 6, 3, 10])])
def test_a_square_lies_about_its_point(point, box):
    assert around(np.array(point), 0.5, 8).tolist() == box


def test_of_a_box_that_shrinks_along_one_axis_only_that_axis_is_averaged():
    film = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
    found = cut(film[None], np.array([0]), np.array([[4, 0, 8, 16]]), 8)[0]
    narrow = film[:16, 4:8].reshape(8, 2, 4).mean(axis=1)
    at = np.clip((np.arange(8) + 0.5) / 2 - 0.5, 0, 3)
    wanted = np.stack([np.interp(at, range(4), row) for row in narrow])
    assert np.abs(found - wanted).max() <= 1


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_patches_cut_ahead_are_those_cut_at_once_in_order(threads, monkeypatch):
    monkeypatch.setattr(patches, "_PART", 5)
    draw = np.random.default_rng(0)
    films, rows = draw.integers(0, 256, (3, 16, 16), np.uint8), draw.integers(0, 3, 32)
    boxes = around(draw.uniform(0, 16, (32, 2)), 0.5, 16)
    parts = list(cut_ahead(films, rows, boxes, 4, threads))
    assert [len(part) for part in parts] == [5] * 6 + [2]
    assert np.array_equal(np.concatenate(parts), cut(films, rows, boxes, 4))
