"""Masks from files and drawn ones."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from eden_bench.contracts import Item
from eden_bench.errors import DataMissing
from tests.eden_bench.data.stores import images, masks, smooth


@pytest.fixture
def masked(tmp_path: Path) -> list[Item]:
    files = {}
    for number, structure in enumerate(("heart", "lung")):
        mask = np.zeros((64, 64), bool)
        mask[8 * number : 32, 4:40] = True
        files[structure] = (tmp_path / f"{structure}.npy",)
        np.save(files[structure][0], mask)
    return [Item(id="a", patient="a", split="train", image=tmp_path / "none", masks=files)]


def test_masks_keep_the_order_of_the_structures_and_only_zero_and_one(masked, cache):
    store = masks(masked, ("lung", "heart"), cache)
    assert store.masks.shape == (1, 2, 16, 16)
    assert set(np.unique(store.masks)) == {0, 1}
    assert store.structures == ("lung", "heart")
    assert store.masks[0, 0].sum() == (32 - 8) * 36 // 16


def test_masks_stay_aligned_with_images(tmp_path, cache):
    disc = cv2.circle(np.zeros((1024, 1024), np.uint8), (700, 300), 200, 255, -1)
    np.save(tmp_path / "disc.npy", disc)
    item = Item(id="a", patient="a", split="test", image=tmp_path / "disc.npy", masks={"d": (tmp_path / "disc.npy",)})
    image = images([item], cache, size_px=224).images[0]
    mask = masks([item], ("d",), cache, read=lambda i, s: np.load(i.image) > 0, size_px=224).masks[0, 0]
    rows, columns = (np.average(np.arange(224), weights=(image.sum(axis) / 255)) for axis in (1, 0))
    assert abs(np.nonzero(mask)[0].mean() - rows) < 0.05
    assert abs(np.nonzero(mask)[1].mean() - columns) < 0.05


def test_the_order_of_structures_is_part_of_the_identity(masked, cache):
    alike = [replace(masked[0], masks=dict.fromkeys(("heart", "lung"), masked[0].masks["heart"]))]
    one = masks(alike, ("heart", "lung"), cache)
    other = masks(alike, ("lung", "heart"), cache)
    assert one.digest != other.digest


def _drawn(items: list[Item], *outlines: tuple[tuple[float, ...], ...]) -> list[Item]:
    return [replace(item, drawn={"box": outline}) for item, outline in zip(items, outlines, strict=True)]


def _read_box(item: Item, structure: str) -> np.ndarray:
    mask = np.zeros((16, 16), bool)
    for x0, y0, x1, y1 in item.drawn[structure]:
        mask[int(y0) : int(y1), int(x0) : int(x1)] = True
    return mask


def test_drawn_masks_are_stored_and_an_empty_drawing_is_an_empty_mask(items, cache):
    drawn = _drawn(items[:2], ((0, 0, 4, 8), (8, 8, 9, 9)), ())
    store = masks(drawn, ("box",), cache, read=_read_box)
    assert store.masks.sum(axis=(1, 2, 3)).tolist() == [33, 0]


def test_a_changed_drawing_or_image_is_made_again(items, cache):
    def opened(outline):
        return masks(_drawn(items[:1], outline), ("box",), cache, read=_read_box)

    first, other = opened(((0, 0, 4, 8),)), opened(((0, 0, 4, 9),))
    assert (first.masks.sum(), other.masks.sum()) == (32, 36)
    assert first.digest != other.digest
    np.save(items[0].image, smooth(99, 99))
    made = []
    masks(_drawn(items[:1], ((0, 0, 4, 8),)), ("box",), cache, read=lambda *of: (made.append(of), _read_box(*of))[1])
    assert len(made) == 1


def test_a_structure_that_is_neither_drawn_nor_in_a_file_is_an_error(items, cache):
    with pytest.raises(DataMissing, match="i1 has no mask of 'box', expected one of none"):
        masks([*_drawn(items[:1], ()), items[1]], ("box",), cache, read=_read_box)


def test_a_structure_without_mask_is_named_with_those_there_are(masked, cache):
    with pytest.raises(DataMissing, match="a has no mask of 'spine', expected one of heart, lung"):
        masks(masked, ("spine",), cache)
