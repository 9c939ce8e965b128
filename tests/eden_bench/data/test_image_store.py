import json
import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from eden_bench.contracts import Context, Item
from eden_bench.data import pixel_store
from eden_bench.data.image_store import (
    PyramidStore,
    open_images,
    open_masks,
    open_pyramid,
    pyramid_of,
    resized,
    with_channels,
)
from eden_bench.errors import DataDamaged, DataMissing, EdenError, NotBuilt, StoreFailed


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((9, 9)).astype(np.float32) * 255
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def read_npy(item: Item) -> np.ndarray:
    return np.load(item.image)


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    made = []
    for number in range(5):
        np.save(tmp_path / f"{number}.npy", smooth(40 + 8 * number, 64, number))
        made.append(Item(id=f"i{number}", patient=f"p{number}", split="train", image=tmp_path / f"{number}.npy"))
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def pyramid_in_memory(image: np.ndarray) -> PyramidStore:
    return PyramidStore(Path(), ("a",), "", np.array([image.shape[:2]]), pyramid_of(image)[None])


# ── images ───────────────────────────────────────────────────────────────────────────────────────


def test_images_are_squashed_by_area_and_keep_their_native_size(items, cache):
    store = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
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
    store = open_images(pair, read_npy, name="x", size_px=16, context=Context(cache=cache), channels=3)
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
    first = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))

    def never(item: Item) -> np.ndarray:
        raise AssertionError(item.id)

    again = open_images(items, never, name="x", size_px=32, context=Context(cache=cache))
    assert isinstance(again.images, np.memmap)
    assert not again.images.flags.writeable
    assert again.digest == first.digest
    assert (again.images == first.images).all()


@pytest.mark.parametrize(
    "open_",
    [
        partial(open_images, read=read_npy, name="x", size_px=32),
        partial(open_masks, read_mask=lambda i, s: read_npy(i) > 99, structures=["i"], name="x", size_px=32),
        partial(open_pyramid, read=read_npy, name="x"),
    ],
)
def test_a_dry_run_maps_what_is_there_and_builds_nothing(items, cache, open_):
    masked = [replace(item, masks={"i": (item.image,)}) for item in items]
    dry = Context(cache=cache, build=False)
    with pytest.raises(NotBuilt, match=r"^the store x is not in the cache yet: run the command without --dry-run"):
        open_(masked, context=dry)
    assert not cache.exists()
    built = open_(masked, context=Context(cache=cache))
    assert open_(masked, context=dry).digest == built.digest
    os.utime(items[0].image, (1, 1))
    with pytest.raises(NotBuilt), ThreadPoolExecutor(1) as pool:
        pool.submit(open_, masked, context=dry).result()
    assert [path.name for path in cache.glob("x-*")] == [built.folder.name]


def test_what_a_reader_decodes_by_is_part_of_a_stores_identity(items, cache):
    def bright(item: Item) -> np.ndarray:
        return 255 - read_npy(item)

    for open_ in (partial(open_images, size_px=32), open_pyramid):
        first = open_(items, read_npy, name="x", context=Context(cache=cache), reading="dark")
        other = open_(items, bright, name="x", context=Context(cache=cache), reading="bright")
        assert (first.digest != other.digest, first.folder != other.folder) == (True, True)


def test_progress_is_told_of_every_image(items, cache):
    told = []
    open_images(
        items, read_npy, name="x", size_px=8, context=Context(cache=cache, progress=lambda *what: told.append(what))
    )
    assert told == [("decoding x", done, 5) for done in range(1, 6)]


def test_the_digest_is_that_of_ids_and_pixels_wherever_the_files_lie(items, cache, tmp_path):
    moved = []
    for item in items:
        (tmp_path / "other").mkdir(exist_ok=True)
        path = tmp_path / "other" / item.image.name
        path.write_bytes(item.image.read_bytes())
        moved.append(Item(id=item.id, patient=item.patient, split="train", image=path))
    first = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert open_images(moved, read_npy, name="y", size_px=32, context=Context(cache=cache)).digest == first.digest
    assert open_images(items[::-1], read_npy, name="x", size_px=32, context=Context(cache=cache)).digest != first.digest
    assert open_images(items, read_npy, name="x", size_px=16, context=Context(cache=cache)).digest != first.digest
    renamed = [Item(id=f"{i.id}!", patient=i.patient, split="train", image=i.image) for i in items]
    assert open_images(renamed, read_npy, name="x", size_px=32, context=Context(cache=cache)).digest != first.digest


def test_a_changed_file_is_decoded_again_and_the_old_store_goes(items, cache):
    before = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    kept = before.images[2].copy()
    np.save(items[2].image, smooth(56, 64, 99))
    os.utime(items[2].image, ns=(1, 1))
    after = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert after.digest != before.digest
    assert (after.images[2] != kept).any()
    assert (before.images[2] == kept).all(), "whoever maps the old store keeps it"
    assert [path.name for path in cache.glob("x-*")] == [after.folder.name]


def test_a_file_replaced_by_another_of_its_size_and_time_is_decoded_again(items, cache):
    before = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    found = items[2].image.stat()
    np.save(items[2].image, np.load(items[2].image)[::-1].copy())
    os.utime(items[2].image, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert (items[2].image.stat().st_size, items[2].image.stat().st_mtime_ns) == (found.st_size, found.st_mtime_ns)
    after = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert after.digest != before.digest
    assert (after.images[2] == resized(read_npy(items[2]), 32)).all()


def test_a_file_whose_status_alone_changed_keeps_the_digest_and_a_moved_cache_decodes_nothing(items, cache, tmp_path):
    before = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    items[2].image.chmod(0o600)
    assert open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache)).digest == before.digest
    cache.rename(tmp_path / "moved")

    def never(item: Item) -> np.ndarray:
        raise AssertionError(item)

    assert (
        open_images(items, never, name="x", size_px=32, context=Context(cache=tmp_path / "moved")).digest
        == before.digest
    )


def test_a_damaged_file_stops_the_build_and_leaves_nothing(items, cache):
    def read(item: Item) -> np.ndarray:
        if item.id in ("i1", "i3"):
            raise DataDamaged(f"{item.id} is broken")
        return read_npy(item)

    with pytest.raises(DataDamaged, match="i1 is broken"):
        open_images(items, read, name="x", size_px=32, context=Context(cache=cache))
    assert [path.name for path in cache.iterdir() if not path.name.endswith(".lock")] == []


def test_no_items_and_a_vanished_file_are_said(items, cache):
    with pytest.raises(DataMissing, match="x: there are no images to store"):
        open_images([], read_npy, name="x", size_px=32, context=Context(cache=cache))
    items[0].image.unlink()
    with pytest.raises(DataMissing, match=r"0\.npy was there and is gone"):
        open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))


@pytest.mark.parametrize("file", ["manifest.json", "pixels.npy", "native_px.npy"])
def test_a_store_cut_short_is_built_again(items, cache, file):
    first = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    expected, folder = first.images.copy(), first.folder
    del first
    content = (folder / file).read_bytes()
    (folder / file).write_bytes(content[: len(content) // 2])
    again = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert (again.images == expected).all()


@pytest.mark.parametrize("manifest", [[], {}, {"stamp": "other"}, "text"])
def test_a_manifest_that_is_none_counts_as_no_store(items, cache, manifest):
    first = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    (first.folder / "manifest.json").write_text(json.dumps(manifest))
    assert open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache)).digest == first.digest


@pytest.mark.timeout(20)
@pytest.mark.parametrize("file", ["manifest.json", "pixels.npy", "native_px.npy"])
@pytest.mark.parametrize("put", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_regular_file_is_never_waited_for_and_the_store_is_built_again(items, cache, file, put):
    made = open_images(items, read_npy, name="toy", size_px=16, context=Context(cache=cache))
    (made.folder / file).unlink()
    put(made.folder / file)
    again = open_images(items, read_npy, name="toy", size_px=16, context=Context(cache=cache))
    assert again.digest == made.digest
    assert (again.folder / file).is_file()


def test_a_full_disk_is_one_sentence_before_anything_is_decoded(items, cache, monkeypatch):
    monkeypatch.setattr(pixel_store.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(EdenError, match=r"GB free, expected 0\.0 GB for .*x-.*EDEN_BENCH_CACHE"):
        open_images(items, lambda item: pytest.fail("decoded"), name="x", size_px=32, context=Context(cache=cache))


def test_a_disk_that_fills_up_is_one_sentence(items, cache, monkeypatch):
    def full(*args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pixel_store.os, "pwrite", full)
    with pytest.raises(EdenError, match=r"No space left on device.*EDEN_BENCH_CACHE"):
        open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))


def test_short_writes_are_completed(items, cache, monkeypatch):
    write = os.pwrite
    monkeypatch.setattr(pixel_store.os, "pwrite", lambda fd, view, at: write(fd, view[:100], at))
    store = open_images(items, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert (store.images[4] == resized(np.load(items[4].image), 32)).all()


def _build_slowly(items: list[Item], cache: Path) -> None:
    def read(item: Item) -> np.ndarray:
        time.sleep(0.05)
        return read_npy(item)

    open_images(items, read, name="x", size_px=32, context=Context(cache=cache))


def test_a_killed_build_leaves_only_what_the_next_one_sweeps(items, cache):
    process = multiprocessing.get_context("spawn").Process(target=_build_slowly, args=(items * 40, cache))
    process.start()
    deadline = time.monotonic() + 60
    while not list(cache.glob(".aside-x-*/pixels.npy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert list(cache.glob(".aside-x-*")), "the kill came while building"
    store = open_images(items * 40, read_npy, name="x", size_px=32, context=Context(cache=cache))
    assert store.images.shape[0] == 200
    assert list(cache.glob(".aside-*")) == []


def test_two_builders_at_once_decode_once(items, cache):
    decoded = []

    def read(item: Item) -> np.ndarray:
        decoded.append(item.id)
        time.sleep(0.02)
        return read_npy(item)

    with ThreadPoolExecutor(4) as pool:
        opened = [
            pool.submit(open_images, items, read, name="x", size_px=32, context=Context(cache=cache)) for _ in range(4)
        ]
        assert len({future.result().digest for future in opened}) == 1
    assert sorted(decoded) == [item.id for item in items]


# ── masks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def masked(tmp_path: Path) -> list[Item]:
    files = {}
    for number, structure in enumerate(("heart", "lung")):
        mask = np.zeros((64, 64), bool)
        mask[8 * number : 32, 4:40] = True
        files[structure] = (tmp_path / f"{structure}.npy",)
        np.save(files[structure][0], mask)
    return [Item(id="a", patient="a", split="train", image=tmp_path / "none", masks=files)]


def read_mask(item: Item, structure: str) -> np.ndarray:
    return np.load(item.masks[structure][0])


def test_masks_keep_the_order_of_the_structures_and_only_zero_and_one(masked, cache):
    store = open_masks(masked, read_mask, ("lung", "heart"), name="m", size_px=16, context=Context(cache=cache))
    assert store.masks.shape == (1, 2, 16, 16)
    assert set(np.unique(store.masks)) == {0, 1}
    assert store.structures == ("lung", "heart")
    assert store.masks[0, 0].sum() == (32 - 8) * 36 // 16


def test_masks_stay_aligned_with_images(tmp_path, cache):
    disc = cv2.circle(np.zeros((1024, 1024), np.uint8), (700, 300), 200, 255, -1)
    np.save(tmp_path / "disc.npy", disc)
    item = Item(id="a", patient="a", split="test", image=tmp_path / "disc.npy", masks={"d": (tmp_path / "disc.npy",)})
    image = open_images([item], read_npy, name="i", size_px=224, context=Context(cache=cache)).images[0]
    mask = open_masks(
        [item], lambda i, s: np.load(i.image) > 0, ("d",), name="m", size_px=224, context=Context(cache=cache)
    ).masks[0, 0]
    rows, columns = (np.average(np.arange(224), weights=(image.sum(axis) / 255)) for axis in (1, 0))
    assert abs(np.nonzero(mask)[0].mean() - rows) < 0.05
    assert abs(np.nonzero(mask)[1].mean() - columns) < 0.05


def test_the_order_of_structures_is_part_of_the_identity(masked, cache):
    alike = [replace(masked[0], masks=dict.fromkeys(("heart", "lung"), masked[0].masks["heart"]))]
    one = open_masks(alike, read_mask, ("heart", "lung"), name="m", size_px=16, context=Context(cache=cache))
    other = open_masks(alike, read_mask, ("lung", "heart"), name="m", size_px=16, context=Context(cache=cache))
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
    store = open_masks(drawn, _read_box, ("box",), name="m", size_px=16, context=Context(cache=cache))
    assert store.masks.sum(axis=(1, 2, 3)).tolist() == [33, 0]


def test_a_changed_drawing_or_image_is_made_again(items, cache):
    def opened(outline):
        return open_masks(
            _drawn(items[:1], outline), _read_box, ("box",), name="m", size_px=16, context=Context(cache=cache)
        )

    first, other = opened(((0, 0, 4, 8),)), opened(((0, 0, 4, 9),))
    assert (first.masks.sum(), other.masks.sum()) == (32, 36)
    assert first.digest != other.digest
    np.save(items[0].image, smooth(99, 99))
    made = []
    open_masks(
        _drawn(items[:1], ((0, 0, 4, 8),)),
        lambda *of: (made.append(of), _read_box(*of))[1],
        ("box",),
        name="m",
        size_px=16,
        context=Context(cache=cache),
    )
    assert len(made) == 1


def test_a_structure_that_is_neither_drawn_nor_in_a_file_is_an_error(items, cache):
    with pytest.raises(DataMissing, match="i1 has no mask of 'box', expected one of none"):
        open_masks(
            [*_drawn(items[:1], ()), items[1]], _read_box, ("box",), name="m", size_px=16, context=Context(cache=cache)
        )


def test_a_structure_without_mask_is_named_with_those_there_are(masked, cache):
    with pytest.raises(DataMissing, match="a has no mask of 'spine', expected one of heart, lung"):
        open_masks(masked, read_mask, ("spine",), name="m", size_px=16, context=Context(cache=cache))


# ── the pyramid ──────────────────────────────────────────────────────────────────────────────────


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


def test_any_size_is_squashed_to_1024_first(items, cache, tmp_path):
    np.save(tmp_path / "long.npy", smooth(40, 1200))
    long = Item(id="long", patient="long", split="train", image=tmp_path / "long.npy")
    store = open_pyramid([*items, long], read_npy, name="p", context=Context(cache=cache))
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
    store = open_pyramid(items, read_npy, name="p", context=Context(cache=cache))
    tiles = pixel_store.Plan(
        "p", "pyramid", tuple(items), tuple((item.image,) for item in items), (21, 256, 256), lambda item: None
    )
    assert store.folder.name != f"p-{tiles.fingerprint()[:16]}"
    assert json.loads((store.folder / "manifest.json").read_text())["kind"] == "pyramid:(1024, 512, 256)"


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


# ── threads ──────────────────────────────────────────────────────────────────────────────────────


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


def test_a_whole_store_is_used_where_nothing_can_be_written(items, cache, monkeypatch):
    made = open_images(items, read_npy, name="toy", size_px=16, context=Context(cache=cache))

    def refuse(path, **how):
        raise StoreFailed(f"{path} cannot be written")

    monkeypatch.setattr(pixel_store.atomic, "locked", refuse)
    assert open_images(items, read_npy, name="toy", size_px=16, context=Context(cache=cache)).digest == made.digest
    with pytest.raises(StoreFailed):
        open_images(items, read_npy, name="toy", size_px=17, context=Context(cache=cache))
