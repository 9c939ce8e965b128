"""Find what was damaged in the cache of decoded images, and decode that again: behind ``data check --deep``.

Each item of a store has its digest beside it (``sha256.npy``), and the digest of the whole follows from them. So a
flipped bit is found by reading everything once, and told from a damaged digest; the item alone is decoded again, and
has to give the pixels that were there. What cannot be mended so is removed, and the next run decodes it.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from eden_bench.contracts import Dataset, DatasetIndex, Finding, Progress
from eden_bench.data import image_store, pixel_store
from eden_bench.data.pixel_store import IDS, PARTS, PIXELS, SIZES, StoreSpec
from eden_bench.errors import EdenError, listed
from eden_bench.files import atomic, plain_text
from eden_bench.files.array_file import UNREADABLE

_AGAIN = "it is removed, the next run decodes it again"
_MOST_BYTES = 1 << 30


def deep_check(index: DatasetIndex, dataset: Dataset, cache: Path, progress: Progress) -> Iterator[Finding]:
    """Validate the cached pixels of a dataset and mend them; yield one finding a store."""
    folders = _stores(index.dataset, cache)
    if not folders:
        yield Finding("ok", f"nothing of it is decoded in {cache} yet")
    for folder in folders:
        with atomic.locked(cache / f".{folder.name}.lock"):
            if folder.is_dir():
                yield _checked(folder, index, dataset, progress)


def _stores(name: str, cache: Path) -> list[Path]:
    form = re.compile(rf"{re.escape(name)}(-images|-masks)?-[0-9a-f]{{16}}")
    return [folder for folder in sorted(cache.glob(f"{name}-*")) if form.fullmatch(folder.name) and folder.is_dir()]


def _checked(folder: Path, index: DatasetIndex, dataset: Dataset, progress: Progress) -> Finding:
    manifest = pixel_store.manifest_of(folder)
    try:
        if manifest is None:
            raise EdenError("its manifest is damaged")
        pixels = _Pixels(folder, manifest)
        spec = _spec_of(folder, manifest, pixels.shape, index, dataset)
        return _compared(folder, manifest, pixels, spec, progress)
    except (EdenError, *UNREADABLE) as error:
        shutil.rmtree(folder)
        return Finding("note", f"cache {folder.name}: {error}: {_AGAIN}")


class _Pixels:
    """A store's pixels, read item by item and never through a mapping, where a failing disk would be a bus error."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.path = folder / PIXELS
        earlier = "shape" not in manifest  # which an earlier version did not note
        shape = np.load(self.path, mmap_mode="r").shape if earlier else (manifest["images"], *manifest["shape"])
        self.count, self.shape = shape[0], tuple(shape[1:])
        self.size, header = math.prod(self.shape), pixel_store.header_of(*shape)
        self.start = len(header)
        if self.path.stat().st_size != self.start + self.count * self.size:
            raise EdenError("its pixels are cut short")
        self.began_otherwise = plain_text.read_head(self.path, len(header)) != header
        if self.began_otherwise:
            self._write(header, 0)

    def sha256(self, row: int) -> bytes:
        """Read an item and return its digest."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            found = os.pread(descriptor, self.size, self.start + row * self.size)
        finally:
            os.close(descriptor)
        return pixel_store.sha256_of(np.frombuffer(found, np.uint8))

    def write(self, row: int, pixels: np.ndarray) -> None:
        """Write an item where it was, and wait until it is on the disk."""
        self._write(np.ascontiguousarray(pixels).tobytes(), self.start + row * self.size)

    def _write(self, content: bytes, offset: int) -> None:
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def _compared(
    folder: Path, manifest: dict[str, Any], pixels: _Pixels, spec: StoreSpec | None, progress: Progress
) -> Finding:
    """Read every item, compare its digest, and mend what differs."""
    ids, name = spec.ids if spec else _noted_ids(folder), f"cache {folder.name}"
    native_px = pixel_store.array_in(folder / SIZES, np.zeros((pixels.count, 2), np.int64))
    if ids is None or len(ids) != pixels.count or not pixel_store.sizes_are_written(native_px, manifest):
        raise EdenError("which images it holds is not known, or their sizes are damaged")
    told = pixel_store.in_threads(pixels.sha256, pixels.count, lambda k: progress(f"reading {name}", k, pixels.count))
    found = np.frombuffer(b"".join(told), np.uint8).reshape(-1, 32)
    noted, whole = pixel_store.array_in(folder / PARTS, found), f"{name}: {pixels.count:,} images as they were decoded"
    if _identity(manifest, pixels, ids, found) != manifest["digest"]:
        return _mended(name, manifest, pixels, spec, found, noted)
    if pixels.began_otherwise:
        return Finding("note", f"{whole}; the beginning of their file was damaged and is as it was")
    if noted is not None and (noted == found).all() and _noted_ids(folder) == ids and "seal" in manifest:
        return Finding("ok", whole)
    pixel_store.note_parts(folder, ids, found, manifest, native_px)
    return Finding("note", f"{whole}; what tells damage in them was absent or damaged, and is noted anew")


def _mended(
    name: str,
    manifest: dict[str, Any],
    pixels: _Pixels,
    spec: StoreSpec | None,
    found: np.ndarray,
    noted: np.ndarray | None,
) -> Finding:
    """Decode the damaged items again, where digests say which they are, and their files are what they were."""
    if noted is None or spec is None or _identity(manifest, pixels, spec.ids, noted) != manifest["digest"]:
        raise EdenError("its pixels are damaged, and not told which, or where they come from")
    if spec.stamp() != manifest["stamp"]:
        raise EdenError("its pixels are damaged, and its source files have changed since")
    rows = np.flatnonzero((found != noted).any(axis=1))
    for row in rows:
        made, _ = spec.make(spec.items[row])
        if pixel_store.sha256_of(made) != noted[row].tobytes():
            raise EdenError(f"{spec.ids[row]} is damaged, and decodes to other pixels than it did")
        pixels.write(int(row), made)
    which = listed([spec.ids[row] for row in rows])
    return Finding(
        "note", f"{name}: {len(rows)} of {pixels.count:,} images were damaged and are decoded again: {which}"
    )


def _identity(manifest: dict[str, Any], pixels: _Pixels, ids: tuple[str, ...], shas: np.ndarray) -> str:
    return pixel_store.identity_of(manifest["kind"], pixels.shape, ids, shas)


def _noted_ids(folder: Path) -> tuple[str, ...] | None:
    try:
        return tuple(json.loads(plain_text.read_bytes(folder / IDS, _MOST_BYTES)))
    except (OSError, ValueError, TypeError):
        return None


def _spec_of(
    folder: Path, manifest: dict[str, Any], shape: tuple[int, ...], index: DatasetIndex, dataset: Dataset
) -> StoreSpec | None:
    """Return the specification that a store was built from; None if it is of other files than the dataset's."""
    make = _maker(manifest["kind"], shape, dataset)
    known, noted = {item.id: item for item in index.items}, _noted_ids(folder) or ()
    parts = [tuple(known[name] for name in noted if name in known)]
    parts += [index.items, index.split("train"), index.split("test")]  # an earlier version noted no ids
    for items in filter(None, parts):
        spec = make(replace(index, items=tuple(items)))
        if folder.name == f"{spec.name}-{spec.fingerprint()[:16]}":
            return spec
    return None


def _maker(kind: str, shape: tuple[int, ...], dataset: Dataset) -> Callable[[DatasetIndex], StoreSpec]:
    if kind.startswith(image_store.MASKS):
        structures = kind.removeprefix(image_store.MASKS).split("|")
        return lambda index: image_store.mask_spec(index, dataset, structures, shape[1])
    if kind == image_store.IMAGES:
        return lambda index: image_store.image_spec(index, dataset, shape[0], 3 if len(shape) == 3 else 1)
    return lambda index: image_store.pyramid_spec(index, dataset, 3 if len(shape) == 2 else 1)
