"""The pyramid that anchors are cut from."""

import json
from pathlib import Path

import numpy as np
import pytest

from eden_bench.contracts import Item
from eden_bench.data import pixel_store
from eden_bench.data.image_store import PyramidStore, pyramid_of, resized
from tests.eden_bench.data.stores import pyramids, smooth


def pyramid_in_memory(image: np.ndarray) -> PyramidStore:
    return PyramidStore(Path(), ("a",), "", np.array([image.shape[:2]]), pyramid_of(image)[None])


def reference_level(image: np.ndarray, side_px: int) -> np.ndarray:
    """Average blocks of the 1024-px image, the plain way."""
    block = 1024 // side_px
    return image.reshape(side_px, block, side_px, block).mean((1, 3))


@pytest.fixture(scope="module")
def big() -> np.ndarray:
    return smooth(1024, 1024, 7)


@pytest.mark.parametrize("colour", [False, True])
def test_the_levels_are_averages_of_the_image_finest_first(big, colour):
    image = np.dstack([big, 255 - big, big]) if colour else big
    levels = pyramid_in_memory(image).levels(0)
    assert [level.shape[:2] for level in levels] == [(1024, 1024), (512, 512), (256, 256)]
    assert (levels[0] == image).all()
    for level in levels:
        first = level[..., 0] if colour else level
        assert np.abs(first - reference_level(big, len(level))).max() <= 0.5
        assert not colour or np.abs(level[..., 1] - reference_level(255 - big, len(level))).max() <= 0.5


def test_levels_lie_one_after_the_other_and_are_not_copied(big):
    pyramid = pyramid_in_memory(big)
    assert pyramid.pixels.shape == (1, 1024**2 + 512**2 + 256**2)
    assert all(np.shares_memory(level, pyramid.pixels) for level in pyramid.levels(0))
    assert (np.concatenate([level.ravel() for level in pyramid.levels(0)]) == pyramid.pixels[0]).all()


@pytest.mark.trap(
    "eyepacs", "sizes of 2592 × 1944 to 4928 × 3264", "each is read, then squashed to a square by the store"
)
def test_any_size_is_squashed_to_1024_first(items, cache, tmp_path):
    np.save(tmp_path / "long.npy", smooth(40, 1200))
    long = Item(id="long", patient="long", split="train", image=tmp_path / "long.npy")
    store = pyramids([*items, long], cache)
    assert store.native_px[[0, 5]].tolist() == [[40, 64], [40, 1200]]
    assert (store.levels(5)[0] == resized(smooth(40, 1200), 1024)).all()
    assert [len(level) for level in store.levels(5)] == [1024, 512, 256]


@pytest.mark.parametrize(
    ("height", "width", "sides"),
    [
        (1024, 1024, [1024, 512, 256]),
        (2500, 2048, [1024, 512, 256]),
        (513, 300, [1024, 512, 256]),
        (512, 512, [512, 256]),
        (300, 400, [512, 256]),
        (256, 256, [256]),
        (40, 64, [256]),
    ],
)
def test_an_image_is_cut_from_the_smallest_level_that_has_all_its_pixels(height, width, sides):
    image = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    levels = pyramid_in_memory(image).levels(0)
    assert [len(level) for level in levels] == sides
    assert (levels[0] == resized(image, sides[0])).all()


def test_a_512_px_image_is_its_own_finest_level_and_its_anchors_are_drawn_as_all_others():
    image = np.random.default_rng(0).integers(0, 256, (512, 512), dtype=np.uint8)
    levels, box, px = pyramid_in_memory(image).anchor(0, 0, 1, 1, 2)
    assert (levels[0] == image).all()
    assert (box, px) == ((0, 256, 512, 256), (1024, 512))


def test_a_store_of_pyramids_has_another_name_than_one_of_tiles(items, cache):
    store = pyramids(items, cache)
    tiles = pixel_store.StoreSpec(
        "p", "pyramid", tuple(items), tuple((item.image,) for item in items), (21, 256, 256), lambda item: None
    )
    assert store.folder.name != f"p-{tiles.fingerprint()[:16]}"
    assert json.loads((store.folder / "manifest.json").read_text())["kind"] == "pyramid:(1024, 512, 256)"


@pytest.mark.trap(
    "adam",
    "cells cut at the native 1024 px; PIL resizes crops once, antialiased",
    (
        "held to a grey level on average (1.5 at level 0); a crop with at least twice the view's pixels comes "
        "from stored averages of 2 × 2 or 4 × 4, so none is enlarged where the original would not be "
        "(`docs/decisions/007-crops-from-the-original.md`)"
    ),
)
@pytest.mark.parametrize(
    ("level", "rows", "columns", "height", "width"),
    [(0, 1, 1, 1024, 1024), (1, 1, 2, 1024, 512), (2, 2, 2, 512, 512), (3, 2, 4, 512, 256), (4, 4, 4, 256, 256),
     (6, 8, 8, 128, 128)],
)  # fmt: skip
def test_cells_of_the_recursion_are_boxes_of_native_pixels(big, level, rows, columns, height, width):
    assert (rows, columns) == (2 ** (level // 2), 2 ** -(-level // 2))
    pyramid = pyramid_in_memory(big)
    for row in range(rows):
        for column in range(columns):
            levels, box, px = pyramid.anchor(0, row, column, rows, columns)
            assert (levels[0] == big).all()
            assert box == (row * height, column * width, height, width)
            assert px == (height, width)


@pytest.mark.parametrize(("n", "side", "dropped"), [(3, 341, 1), (5, 204, 4), (6, 170, 4)])
def test_the_grid_of_the_released_code_drops_the_remainder(big, n, side, dropped):
    pyramid = pyramid_in_memory(big)
    assert 1024 - n * side == dropped
    for row in range(n):
        for column in range(n):
            assert pyramid.anchor(0, row, column, n, n)[1:] == (
                (row * side, column * side, side, side),
                (side, side),
            )


@pytest.mark.parametrize("cell", [(0, 2, 2, 2), (-1, 0, 2, 2), (0, 0, 0, 1), (0, 0, 2048, 2048)])
def test_a_cell_that_is_not_in_the_grid_is_refused(big, cell):
    with pytest.raises(ValueError, match="is not in a"):
        pyramid_in_memory(big).anchor(0, *cell)
