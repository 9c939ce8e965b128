"""Build, cache and memory-map one uint8 array for a list of items, decoded once, in threads.

The mechanism behind `image_store`. A store is built aside under a kernel lock and renamed into place, so a
killed build leaves nothing but a folder that the next one sweeps. It is built again when the size or a time of a
source file changes, the time of its status included: who only sets permissions pays with a second decoding and gets
the same pixels. Its digest covers ids and pixels, so it is the same wherever the files lie.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from eden_bench import preemption
from eden_bench.contracts import Context, Item, Progress
from eden_bench.digests import digest, file_stamp
from eden_bench.errors import DataDamaged, DataMissing, EdenError, NotBuilt
from eden_bench.files import atomic, plain_text
from eden_bench.settings import available_cores

R = TypeVar("R")

_VERSION = 4
"""Part of every fingerprint: raise it when pixels are made differently, by the store or by a reader."""


@dataclass(frozen=True)
class Store:
    """A memory-mapped store: item ids, native sizes, pixels and their digest."""

    folder: Path
    ids: tuple[str, ...]
    digest: str
    """SHA-256 of ids, shape and pixels."""
    native_px: np.ndarray
    """(N, 2) int64: height and width of each file as it was decoded."""
    pixels: np.ndarray = field(repr=False)
    """(N, ...) uint8, memory-mapped, read-only."""


def in_threads(work: Callable[[int], R], count: int, tell: Callable[[int], None] = lambda done: None) -> Iterator[R]:
    """Run work(0), work(1), … in a pool of as many threads as this process has cores; yield the results in order.

    Decoders and OpenCV release the interpreter lock, so threads are enough. The first error in order is raised and
    what has not begun is dropped; so it is on Ctrl-C, and where the system asks to stop.
    """
    pool = ThreadPoolExecutor(available_cores())
    try:
        for done, result in enumerate(pool.map(work, range(count)), 1):
            tell(done)
            preemption.check()
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class StoreSpec:
    """Specification of a store: its pixels follow from this and from the content of its files."""

    name: str
    kind: str
    items: tuple[Item, ...]
    files: tuple[tuple[Path, ...], ...]
    shape: tuple[int, ...]
    make: Callable[[Item], tuple[np.ndarray, tuple[int, int]]]
    reading: str = ""
    """What files are decoded by (``contracts.Dataset.reading``)."""
    drawn: tuple[object, ...] = ()
    """What pixels are made from beside the files' content."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The items' ids, in order."""
        return tuple(item.id for item in self.items)

    def fingerprint(self) -> str:
        """Hash the specification to one digest, which names the cache folder."""
        files = [[str(file.absolute()) for file in group] for group in self.files]
        return digest([_VERSION, self.kind, self.shape, self.ids, files, self.reading, *self.drawn])

    def stamp(self) -> str:
        """Hash sizes and times of the source files to one digest; another one makes the cached store stale."""
        return digest([[_stamp(file) for file in group] for group in self.files])


def open_store(spec: StoreSpec, context: Context) -> Store:
    """Map a store from the cache; build it under a lock first if it is absent or its source files changed.

    Raises:
        DataDamaged: an item cannot be decoded (the first in order).
        DataMissing: there are no items, or a file is gone.
        EdenError: the cache has no room or cannot be written.
        NotBuilt: it is absent or stale, and this is a dry run (``Context.build`` is False).
    """
    if not spec.items:
        raise DataMissing(
            f"{spec.name}: there are no images to store, expected at least one: check the dataset's folder"
        )
    folder, stamp = context.cache / f"{spec.name}-{spec.fingerprint()[:16]}", spec.stamp()
    found = _load(spec, folder, stamp)
    if found:
        return found
    if not context.build:
        raise NotBuilt.of(f"the store {spec.name}")
    with atomic.locked(context.cache / f".{folder.name}.lock"):
        found = _load(spec, folder, stamp)  # another process may have built it meanwhile
        if not found:
            _build(spec, folder, stamp, context.progress)
            found = _load(spec, folder, stamp)
    if not found:
        raise EdenError(
            f"{folder} cannot be read back after it was written: check the disk, or choose another EDEN_BENCH_CACHE"
        )
    return found


def _load(spec: StoreSpec, folder: Path, stamp: str) -> Store | None:
    """Map a store from the cache and validate it; None if it is absent, stale, cut short or not of regular files."""
    pixels_file, sizes_file = folder / "pixels.npy", folder / "native_px.npy"
    if not (pixels_file.is_file() and sizes_file.is_file()):  # a pipe would be waited for
        return None
    try:
        manifest = plain_text.read_json(folder / "manifest.json")
        pixels = np.load(pixels_file, mmap_mode="r")
        native_px = np.load(sizes_file)
    except (OSError, ValueError, EOFError):
        return None
    whole = manifest.get("stamp") == stamp and "digest" in manifest
    if not whole or pixels.shape != (len(spec.items), *spec.shape) or pixels.dtype != np.uint8:
        return None
    return Store(folder, spec.ids, manifest["digest"], native_px, pixels)


def _build(spec: StoreSpec, folder: Path, stamp: str, progress: Progress) -> None:
    if folder.exists():
        shutil.rmtree(folder)  # its sources changed; who still maps it keeps the old pixels
    atomic.sweep(folder.parent, folder.name)
    with atomic.folder(folder) as aside:
        native_px, shas = _write_pixels(spec, aside / "pixels.npy", progress)
        np.save(aside / "native_px.npy", native_px)
        identity = digest(
            [spec.kind, spec.shape, [[i, s.tobytes().hex()] for i, s in zip(spec.ids, shas, strict=True)]]
        )
        manifest = {"name": spec.name, "kind": spec.kind, "images": len(spec.ids), "digest": identity, "stamp": stamp}
        (aside / "manifest.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def _write_pixels(spec: StoreSpec, path: Path, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Decode and write every item; return native sizes (N, 2) int64 and SHA-256 (N, 32) uint8.

    Room is checked before the first image is decoded, and the file is written by position, never through a mapping:
    a disk that fills up is then an error and not a bus error.
    """
    count, size = len(spec.items), int(np.prod(spec.shape))
    _check_room(path, count * size)
    with path.open("wb") as file:
        shape = (count, *spec.shape)
        np.lib.format.write_array_header_2_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        file.flush()
        start, descriptor = file.tell(), file.fileno()

        def work(number: int) -> tuple[tuple[int, int], bytes]:
            pixels, native_px = spec.make(spec.items[number])
            _check_pixels(spec, spec.items[number], pixels)
            content = np.ascontiguousarray(pixels).reshape(-1)
            _write_at(descriptor, content, start + number * size)
            return native_px, _sha256(content)

        done = list(in_threads(work, count, lambda k: progress(f"decoding {spec.name}", k, count)))
    shas = np.frombuffer(b"".join(sha for _, sha in done), np.uint8).reshape(count, 32)
    return np.array([native for native, _ in done], np.int64), shas


def _check_pixels(spec: StoreSpec, item: Item, pixels: np.ndarray) -> None:
    """Validate that an item decoded to pixels of the store; others would be written over its neighbours."""
    if pixels.dtype != np.uint8 or pixels.shape != spec.shape:
        raise DataDamaged(
            f"{item.id}: decoded to {pixels.dtype} {pixels.shape}, expected uint8 {spec.shape}: mend the dataset's "
            "reader"
        )


def _check_room(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise EdenError(
            f"{path.parents[1]} has {free / 1e9:.1f} GB free, expected {needed / 1e9:.1f} GB for {path.parent.name}: "
            "free some, or choose another folder with EDEN_BENCH_CACHE"
        )


def _write_at(descriptor: int, content: np.ndarray, offset: int) -> None:
    view = memoryview(content.data)
    try:
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    except OSError as error:
        raise EdenError(
            f"the cache cannot be written ({error.strerror}): free some room, or choose another EDEN_BENCH_CACHE"
        ) from error


def _sha256(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        return file_stamp(file)
    except OSError as error:
        raise DataMissing(
            f"{file} was there and is gone ({error.strerror}): put it back, or run the command again"
        ) from error
