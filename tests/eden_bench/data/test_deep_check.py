"""A flipped bit in the cache is found wherever it is; what is decoded again is that item alone, to the same bytes."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eden_bench.contracts import DatasetIndex, no_progress
from eden_bench.data.deep_check import deep_check
from eden_bench.digests import file_digest
from tests.eden_bench.data.stores import images, index_of, masks, pyramids, read_npy


class Counting:
    """Counts what it decodes; a mask is the image, thresholded."""

    reading = ""

    def __init__(self):
        self.seen = []

    def read_image(self, item):
        self.seen.append(item.id)
        return read_npy(item)

    def read_mask(self, item, structure):
        self.seen.append(item.id)
        return read_npy(item) > 99


@pytest.fixture
def kinds(items, cache):
    """A store of each kind on the same images: its folder by name."""
    drawn = [replace(item, masks={"a": (item.image,)}) for item in items]
    opened = {
        "images": images(items, cache),
        "colour": images(items, cache, channels=3, size_px=16),
        "masks": masks(drawn, ["a"], cache, read=lambda item, structure: read_npy(item) > 99),
        "pyramid": pyramids(items, cache),
    }
    return {name: store.folder for name, store in opened.items()}, index_of(drawn, "x")


def checked(index: DatasetIndex, cache: Path, reader=None):
    return [(finding.level, finding.text) for finding in deep_check(index, reader or Counting(), cache, no_progress)]


def files(folder):
    return {path.name: file_digest(path) for path in folder.iterdir()}


def flip(path, bit):
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


def test_whole_stores_are_left_alone(kinds, cache):
    folders, index = kinds
    before, reader = {name: files(folder) for name, folder in folders.items()}, Counting()
    found = checked(index, cache, reader)
    assert [level for level, _ in found] == ["ok"] * 4
    assert all(text.endswith("5 images as they were decoded") for _, text in found)
    assert reader.seen == []
    assert {name: files(folder) for name, folder in folders.items()} == before


@pytest.mark.parametrize("kind", ["images", "colour", "masks", "pyramid"])
@pytest.mark.trap(
    "crashes",
    "bits of the image cache that flip",
    "`eden-bench data check --deep` finds each and decodes that image again, to the same bytes",
)
def test_flipped_bits_of_pixels_are_found_and_only_their_image_is_decoded_again(kinds, cache, kind):
    folders, index = kinds
    folder, draw, before = folders[kind], random.Random(kind), files(folders[kind])
    for other in set(folders.values()) - {folder}:
        shutil.rmtree(other)
    path = folder / "pixels.npy"
    size = path.stat().st_size
    for _ in range(6 if kind == "pyramid" else 25):
        bit = draw.randrange(8 * size)
        flip(path, bit)
        reader = Counting()
        ((level, text),) = checked(index, cache, reader)
        start = size - np.load(path, mmap_mode="r").nbytes
        if bit // 8 < start:
            assert "the beginning of their file was damaged and is as it was" in text
        else:
            row = (bit // 8 - start) // ((size - start) // 5)
            assert (level, reader.seen) == ("note", [f"i{row}"])
            assert text.endswith(f"1 of 5 images were damaged and are decoded again: i{row}")
        assert files(folder) == before


@pytest.mark.parametrize("name", ["sha256.npy", "ids.json"])
def test_a_flipped_bit_in_what_tells_damage_costs_no_decoding(kinds, cache, name):
    folders, index = kinds
    draw, before = random.Random(name), files(folders["images"])
    for _ in range(8):
        flip(folders["images"] / name, draw.randrange(8 * (folders["images"] / name).stat().st_size))
        reader = Counting()
        (found,) = [each for each in checked(index, cache, reader) if "x-images" in each[1] and each[0] != "ok"]
        assert "noted anew" in found[1]
        assert reader.seen == []
        assert files(folders["images"]) == before


@pytest.mark.parametrize("name", ["manifest.json", "native_px.npy"])
@pytest.mark.trap("crashes", "bits of the image cache that flip")
def test_a_flipped_bit_in_another_file_is_found_and_the_next_run_decodes(kinds, items, cache, name):
    folders, index = kinds
    folder, draw = folders["images"], random.Random(name)
    whole = files(folder)
    for _ in range(8):
        flip(folder / name, draw.randrange(8 * (folder / name).stat().st_size))
        texts = [text for level, text in checked(index, cache) if level != "ok"]
        assert texts == [] or "removed, the next run decodes it again" in texts[0]
        images(items, cache)
        assert files(folder) == whole


def test_two_damaged_images_and_a_damaged_digest_cost_the_store(kinds, items, cache):
    folders, index = kinds
    flip(folders["images"] / "pixels.npy", 8 * 5000)
    flip(folders["images"] / "sha256.npy", 8 * 200)
    (text,) = [text for level, text in checked(index, cache) if level != "ok"]
    assert text.endswith("it is removed, the next run decodes it again")
    assert not folders["images"].exists()
    assert files(images(items, cache).folder)


def test_a_store_of_an_earlier_version_gets_its_digests(kinds, cache):
    folders, index = kinds
    folder, whole = folders["images"], files(folders["images"])
    manifest = json.loads((folder / "manifest.json").read_text())
    old = {name: value for name, value in manifest.items() if name not in ("seal", "native_px", "shape")}
    (folder / "manifest.json").write_text(json.dumps(old, indent=2))
    for name in ("sha256.npy", "ids.json"):
        (folder / name).unlink()
    (text,) = [text for level, text in checked(index, cache) if level == "note"]
    assert "5 images as they were decoded; what tells damage in them was absent or damaged, and is noted anew" in text
    assert {name: sha for name, sha in files(folder).items() if name != "manifest.json"}.items() <= whole.items()
    assert all(level == "ok" for level, _ in checked(index, cache))


def test_pixels_whose_files_have_changed_are_removed(kinds, items, cache):
    folders, index = kinds
    flip(folders["images"] / "pixels.npy", 8 * 5000)
    np.save(items[0].image, np.zeros((40, 64), np.uint8))
    texts = [text for level, text in checked(index, cache) if level != "ok"]
    assert len(texts) == 1
    assert "its source files have changed since: it is removed" in texts[0]


def test_nothing_cached_is_said(cache, items):
    assert checked(index_of(items, "y"), cache) == [("ok", f"nothing of it is decoded in {cache} yet")]
