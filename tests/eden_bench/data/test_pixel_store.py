"""Building a store: kills, full disks, several builders, damage, and the threads that decode."""

import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eden_bench.contracts import Item
from eden_bench.data import pixel_store
from eden_bench.data.image_store import resized
from eden_bench.errors import DataDamaged, DataMissing, EdenError, StoreFailed
from tests.eden_bench.data.stores import images, masks, read_npy


def test_a_damaged_file_stops_the_build_and_leaves_nothing(items, cache):
    def read(item: Item) -> np.ndarray:
        if item.id in ("i1", "i3"):
            raise DataDamaged(f"{item.id} is broken")
        return read_npy(item)

    with pytest.raises(DataDamaged, match="i1 is broken"):
        images(items, cache, read=read)
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_no_items_and_a_vanished_file_are_said(items, cache):
    with pytest.raises(DataMissing, match="x-images: there are no images to store"):
        images([], cache)
    items[0].image.unlink()
    with pytest.raises(DataMissing, match=r"0\.npy was there and is gone"):
        images(items, cache)


@pytest.mark.parametrize("file", ["manifest.json", "pixels.npy", "native_px.npy"])
def test_a_store_cut_short_is_built_again(items, cache, file):
    first = images(items, cache)
    expected, folder = first.images.copy(), first.folder
    del first
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    again = images(items, cache)
    assert (again.images == expected).all()


@pytest.mark.parametrize("manifest", [[], {}, {"stamp": "other"}, "text"])
def test_a_manifest_that_is_none_counts_as_no_store(items, cache, manifest):
    first = images(items, cache)
    (first.folder / "manifest.json").write_text(json.dumps(manifest))
    assert images(items, cache).digest == first.digest


@pytest.mark.trap(
    "attacks", "pipes and devices in place of files, the cache's and checkpoints' too", "refused, never waited for"
)
@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", ["manifest.json", "pixels.npy", "native_px.npy"])
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_regular_file_is_never_waited_for_and_the_store_is_built_again(items, cache, file, put):
    made = images(items, cache, size_px=16)
    (made.folder / file).unlink()
    put(made.folder / file)
    again = images(items, cache, size_px=16)
    assert again.digest == made.digest
    assert (again.folder / file).is_file()


def test_a_full_disk_is_one_sentence_before_anything_is_decoded(items, cache, monkeypatch):
    monkeypatch.setattr(pixel_store.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(EdenError, match=r"GB free, expected 0\.0 GB for .*x-.*EDEN_BENCH_CACHE"):
        images(items, cache, read=lambda item: pytest.fail("decoded"))


def test_a_disk_that_fills_up_is_one_sentence(items, cache, monkeypatch):
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_store.os, "pwrite", full)
    with pytest.raises(EdenError, match=r"No space left on device.*EDEN_BENCH_CACHE"):
        images(items, cache)


def test_short_writes_are_completed(items, cache, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(pixel_store.os, "pwrite", lambda fd, view, at: write(fd, view[:100], at))
    store = images(items, cache)
    assert (store.images[4] == resized(np.load(items[4].image), 32)).all()


def _build_slowly(items: list[Item], cache: Path) -> None:
    def read(item: Item) -> np.ndarray:
        time.sleep(0.05)
        return read_npy(item)

    images(items, cache, read=read)


def test_a_killed_build_leaves_only_what_the_next_one_sweeps(items, cache):
    process = multiprocessing.get_context("spawn").Process(target=_build_slowly, args=(items * 40, cache))
    process.start()
    deadline = time.monotonic() + 60
    while not list(cache.glob(".aside-x-*/pixels.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(cache.glob(".aside-x-*")), "the kill came while building"
    store = images(items * 40, cache)
    assert store.images.shape[0] == 200
    assert list(cache.glob(".aside-*")) == []


def test_two_builders_at_once_decode_once(items, cache):
    decoded = []

    def read(item: Item) -> np.ndarray:
        decoded.append(item.id)
        time.sleep(0.02)
        return read_npy(item)

    with ThreadPoolExecutor(4) as pool:
        opened = [pool.submit(images, items, cache, read=read) for _ in range(4)]
        assert len({future.result().digest for future in opened}) == 1
    assert sorted(decoded) == [item.id for item in items]


@pytest.mark.trap("attacks", "a cache or store that may only be read", "used where it is complete")
def test_a_whole_store_is_used_where_nothing_can_be_written(items, cache, monkeypatch):
    made = images(items, cache, size_px=16)

    def refuse(path, **how):
        raise StoreFailed(f"{path} cannot be written")

    monkeypatch.setattr(pixel_store.atomic, "locked", refuse)
    assert images(items, cache, size_px=16).digest == made.digest
    with pytest.raises(StoreFailed):
        images(items, cache, size_px=17)


def test_results_come_in_order_whatever_ends_first():
    def work(number: int) -> int:
        time.sleep(0.01 * (3 - number % 3))
        return number

    assert list(pixel_store.in_threads(work, 9)) == list(range(9))


def test_an_error_drops_what_has_not_begun():
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.005)
        if number == 2:
            raise DataDamaged("two")

    with pytest.raises(DataDamaged, match="two"):
        list(pixel_store.in_threads(work, 500))
    assert len(begun) < 100


def test_an_interrupt_while_telling_drops_what_has_not_begun():
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        time.sleep(0.005)

    def interrupted(done: int) -> None:
        raise KeyboardInterrupt("Ctrl-C")

    with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
        list(pixel_store.in_threads(work, 500, interrupted))
    assert len(begun) < 100


@pytest.mark.trap(
    "inputs", "a reader that hands over numbers for pixels (NaN among them), or too few", "refused, the image named"
)
@pytest.mark.parametrize(
    "made", [np.full((40, 40), np.nan), np.zeros((40, 40), np.float32), np.zeros((40, 40), np.uint16)]
)
def test_what_is_no_picture_is_never_written_over_its_neighbours(items, cache, made):
    def read(item: Item) -> np.ndarray:
        return made if item.id == "i2" else read_npy(item)

    with pytest.raises(
        DataDamaged, match=rf"i2: decoded to {made.dtype} .* expected uint8 .*: mend the dataset's reader"
    ):
        images(items, cache, read=read)


def test_a_mask_of_numbers_is_refused_for_nan_would_become_background(items, cache):
    drawn = [replace(item, masks={"a": (item.image,)}) for item in items]
    with pytest.raises(DataDamaged, match="i0: its mask of a is float64, expected bool: mend the dataset's reader"):
        masks(drawn, ["a"], cache, read=lambda item, structure: np.full((8, 8), np.nan))
