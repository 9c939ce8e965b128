"""Build, cache and memory-map one uint8 array for a list of items, decoded once, in threads.

The mechanism behind `image_store`. A store is built aside under a kernel lock and renamed into place, so a killed
build leaves nothing but a folder that the next one sweeps. Its small files are validated whenever it is opened, its
pixels by `deep_check`, against the digest of each item that lies beside them. It is built again when the size or a time
of a source file changes, the time of its status included: who only sets permissions pays with a second decoding and
gets the same pixels. Its digest covers ids and pixels, so it is the same wherever the files lie.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

import numpy as np

from eden_bench import preemption
from eden_bench.contracts import Context, Item, Progress
from eden_bench.digests import digest, file_stamp
from eden_bench.errors import DataDamaged, DataMissing, EdenError, NotBuilt
from eden_bench.files import atomic, plain_text
from eden_bench.settings import available_cores

R = TypeVar("R")

MANIFEST, PIXELS, SIZES, PARTS, IDS = "manifest.json", "pixels.npy", "native_px.npy", "sha256.npy", "ids.json"
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
    manifest, native_px = manifest_of(folder), array_in(folder / SIZES, np.zeros((len(spec.items), 2), np.int64))
    if manifest is None or manifest.get("stamp") != stamp or not sizes_are_written(native_px, manifest):
        return None
    pixels = _mapped(folder / PIXELS, (len(spec.items), *spec.shape))
    return None if pixels is None else Store(folder, spec.ids, manifest["digest"], native_px, pixels)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Map pixels of a shape; None where their file is absent, cut short, or begins otherwise than it was written."""
    header = header_of(*shape)
    try:
        if path.stat().st_size != len(header) + math.prod(shape) or plain_text.read_head(path, len(header)) != header:
            return None
    except (OSError, ValueError):
        return None
    return np.memmap(path, np.uint8, "r", len(header), shape)


def array_in(path: Path, like: np.ndarray) -> np.ndarray | None:
    """Read an array that was saved by ``np.save``; None where it is not of the shape and type of another."""
    expected = io.BytesIO()
    np.save(expected, like)
    header = expected.getvalue()[: -like.nbytes or None]
    try:
        content = plain_text.read_bytes(path, len(header) + like.nbytes)
    except (OSError, ValueError):
        return None
    if len(content) != len(header) + like.nbytes or not content.startswith(header):
        return None
    return np.frombuffer(content, like.dtype, offset=len(header)).reshape(like.shape)


def sizes_are_written(native_px: np.ndarray | None, manifest: Mapping[str, Any]) -> TypeGuard[np.ndarray]:
    """Return whether native sizes are those that were written; an earlier version noted no digest of them."""
    if native_px is None:
        return False
    found = hashlib.sha256(np.ascontiguousarray(native_px).data).hexdigest()
    return bool(manifest.get("native_px", found) == found)


def _build(spec: StoreSpec, folder: Path, stamp: str, progress: Progress) -> None:
    if folder.exists():
        shutil.rmtree(folder)  # its sources changed; who still maps it keeps the old pixels
    atomic.sweep(folder.parent, folder.name)
    with atomic.folder(folder) as aside:
        native_px, shas = _write_pixels(spec, aside / PIXELS, progress)
        np.save(aside / SIZES, native_px)
        manifest = {"name": spec.name, "kind": spec.kind, "images": len(spec.ids), "shape": list(spec.shape)}
        manifest |= {"digest": identity_of(spec.kind, spec.shape, spec.ids, shas), "stamp": stamp}
        note_parts(aside, spec.ids, shas, manifest, native_px)


def identity_of(kind: str, shape: Sequence[int], ids: Sequence[str], shas: np.ndarray) -> str:
    """Return the digest of a store: of its kind, an item's shape, and each item's id and SHA-256, (N, 32) uint8."""
    return digest([kind, shape, [[i, sha.tobytes().hex()] for i, sha in zip(ids, shas, strict=True)]])


def note_parts(
    folder: Path, ids: Sequence[str], shas: np.ndarray, manifest: dict[str, Any], native_px: np.ndarray
) -> None:
    """Write what tells which item is damaged beside a store's pixels: ids, digests, and the manifest's own."""
    atomic.write_text(folder / IDS, json.dumps(list(ids)))
    with atomic.aside(folder / PARTS) as path, path.open("wb") as file:
        np.save(file, shas)
    plain = {name: value for name, value in manifest.items() if name != "seal"}
    sealed = plain | {"native_px": hashlib.sha256(np.ascontiguousarray(native_px).data).hexdigest()}
    atomic.write_json(folder / MANIFEST, sealed | {"seal": digest(sealed)})


def manifest_of(folder: Path) -> dict[str, Any] | None:
    """Read a store's manifest; None if it is absent or not what was written. One of an earlier version has no seal."""
    try:
        found = plain_text.read_json(folder / MANIFEST)
    except (OSError, ValueError):
        return None
    plain = {name: value for name, value in found.items() if name != "seal"}
    return found if found.get("seal", digest(plain)) == digest(plain) and "digest" in found else None


def _write_pixels(spec: StoreSpec, path: Path, progress: Progress) -> tuple[np.ndarray, np.ndarray]:
    """Decode and write every item; return native sizes (N, 2) int64 and SHA-256 (N, 32) uint8.

    Room is checked before the first image is decoded, and the file is written by position, never through a mapping:
    a disk that fills up is then an error and not a bus error.
    """
    count, size = len(spec.items), int(np.prod(spec.shape))
    _check_room(path, count * size)
    with path.open("wb") as file:
        file.write(header_of(count, *spec.shape))
        file.flush()
        start, descriptor = file.tell(), file.fileno()

        def work(number: int) -> tuple[tuple[int, int], bytes]:
            pixels, native_px = spec.make(spec.items[number])
            _check_pixels(spec, spec.items[number], pixels)
            content = np.ascontiguousarray(pixels).reshape(-1)
            write_at(descriptor, content, start + number * size)
            return native_px, sha256_of(content)

        done = list(in_threads(work, count, lambda k: progress(f"decoding {spec.name}", k, count)))
    shas = np.frombuffer(b"".join(sha for _, sha in done), np.uint8).reshape(count, 32)
    return np.array([native for native, _ in done], np.int64), shas


def header_of(*shape: int) -> bytes:
    """Return what stands before pixels of a shape, (N, ...), in their file."""
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()


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


def write_at(descriptor: int, content: np.ndarray, offset: int) -> None:
    """Write an array's bytes at an offset of an open file. Raises EdenError where there is no room."""
    view = memoryview(content.data)
    try:
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    except OSError as error:
        raise EdenError(
            f"the cache cannot be written ({error.strerror}): free some room, or choose another EDEN_BENCH_CACHE"
        ) from error


def sha256_of(pixels: np.ndarray) -> bytes:
    """Return the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(pixels).data).digest()


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        return file_stamp(file)
    except OSError as error:
        raise DataMissing(
            f"{file} was there and is gone ({error.strerror}): put it back, or run the command again"
        ) from error
