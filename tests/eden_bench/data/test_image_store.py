"""What an image store holds, and when it is decoded again."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from eden_bench.contracts import Item
from eden_bench.data.image_store import resized, with_channels
from eden_bench.errors import NotBuilt
from tests.eden_bench.data.stores import images, masks, pyramids, read_npy, smooth


def test_images_are_squashed_by_area_and_keep_their_native_size(items, cache):
    store = images(items, cache)
    assert store.images.shape == (5, 32, 32)
    assert store.images.dtype == np.uint8
    assert store.native_px.tolist() == [[40, 64], [48, 64], [56, 64], [64, 64], [72, 64]]
    assert store.ids == ("i0", "i1", "i2", "i3", "i4")
    by_hand = np.load(items[3].image).reshape(32, 2, 32, 2).mean((1, 3))
    assert np.abs(store.images[3] - by_hand).max() <= 0.5


def test_three_channels_keep_colour_and_repeat_grey(tmp_path, cache):
    np.save(tmp_path / "grey.npy", smooth(16, 16))
    np.save(tmp_path / "colour.npy", np.dstack([smooth(16, 16, s) for s in range(3)]))
    pair = [Item(id=n, patient=n, split="test", image=tmp_path / f"{n}.npy") for n in ("grey", "colour")]
    store = images(pair, cache, size_px=16, channels=3)
    assert store.images.shape == (2, 16, 16, 3)
    assert (store.images[0] == smooth(16, 16)[:, :, None]).all()
    assert (store.images[1] == np.load(pair[1].image)).all()


def test_one_channel_of_a_colour_image_is_its_luma():
    colour = np.zeros((2, 2, 3), np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 200, 100, 50
    assert (with_channels(colour, 1) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)).all()


def test_what_grows_is_interpolated_and_not_made_of_blocks():
    ramp = np.tile(np.arange(0, 256, 16, dtype=np.uint8), (16, 1))
    assert len(np.unique(resized(ramp, 64)[0])) > 40


def test_a_second_opening_decodes_nothing_and_maps_the_same_pixels(items, cache):
    first = images(items, cache)

    def never(item: Item) -> np.ndarray:
        raise AssertionError(item.id)

    again = images(items, cache, read=never)
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    assert again.digest == first.digest
    assert (again.images == first.images).all()


@pytest.mark.parametrize(
    "open_",
    [
        images,
        lambda items, cache, **context: masks(items, ["i"], cache, read=lambda i, s: read_npy(i) > 99, **context),
        pyramids,
    ],
)
def test_a_dry_run_maps_what_is_there_and_builds_nothing(items, cache, open_):
    masked = [replace(item, masks={"i": (item.image,)}) for item in items]
    with pytest.raises(NotBuilt, match=r"^the store x.* is not in the cache yet: run the command without --dry-run"):
        open_(masked, cache, build=False)
    assert not cache.exists()
    built = open_(masked, cache)
    assert open_(masked, cache, build=False).digest == built.digest
    os.utime(items[0].image, (1, 1))
    with pytest.raises(NotBuilt), ThreadPoolExecutor(1) as pool:
        pool.submit(open_, masked, cache, build=False).result()
    assert [path.name for path in cache.glob("x*-*")] == [built.folder.name]


def test_what_a_reader_decodes_by_is_part_of_a_stores_identity(items, cache):
    def bright(item: Item) -> np.ndarray:
        return 255 - read_npy(item)

    for open_ in (images, pyramids):
        first = open_(items, cache, reading="dark")
        other = open_(items, cache, read=bright, reading="bright")
        assert (first.digest != other.digest, first.folder != other.folder) == (True, True)


def test_progress_is_told_of_every_image(items, cache):
    told = []
    images(items, cache, size_px=8, progress=lambda *what: told.append(what))
    assert told == [("decoding x-images", done, 5) for done in range(1, 6)]


def test_the_digest_is_that_of_ids_and_pixels_wherever_the_files_lie(items, cache, tmp_path):
    moved = []
    for item in items:
        (tmp_path / "other").mkdir(exist_ok=True)
        path = tmp_path / "other" / item.image.name
        path.write_bytes(item.image.read_bytes())
        moved.append(Item(id=item.id, patient=item.patient, split="train", image=path))
    first = images(items, cache)
    assert images(moved, cache).digest == first.digest
    assert images(items[::-1], cache).digest != first.digest
    assert images(items, cache, size_px=16).digest != first.digest
    renamed = [Item(id=f"{i.id}!", patient=i.patient, split="train", image=i.image) for i in items]
    assert images(renamed, cache).digest != first.digest


def test_a_changed_file_is_decoded_again_and_the_old_store_goes(items, cache):
    before = images(items, cache)
    kept = before.images[2].copy()
    np.save(items[2].image, smooth(56, 64, 99))
    os.utime(items[2].image, ns=(1, 1))
    after = images(items, cache)
    assert after.digest != before.digest
    assert (after.images[2] != kept).any()
    assert (before.images[2] == kept).all(), "whoever maps the old store keeps it"
    assert [path.name for path in cache.glob("x-*")] == [after.folder.name]


@pytest.mark.trap("inputs", "files replaced with the same size and time", "decoded again")
def test_a_file_replaced_by_another_of_its_size_and_time_is_decoded_again(items, cache):
    before = images(items, cache)
    found = items[2].image.stat()
    np.save(items[2].image, np.load(items[2].image)[::-1].copy())
    os.utime(items[2].image, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (items[2].image.stat().st_size, items[2].image.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    after = images(items, cache)
    assert after.digest != before.digest
    assert (after.images[2] == resized(read_npy(items[2]), 32)).all()


def test_a_file_whose_status_alone_changed_keeps_the_digest_and_a_moved_cache_decodes_nothing(items, cache, tmp_path):
    before = images(items, cache)
    items[2].image.chmod(0o600)
    assert images(items, cache).digest == before.digest
    cache.rename(tmp_path / "moved")

    def never(item: Item) -> np.ndarray:
        raise AssertionError(item)

    assert images(items, tmp_path / "moved", read=never).digest == before.digest
