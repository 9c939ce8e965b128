"""Fingerprint every image of a dataset, by the digest of its pixels and a thumbnail, and cache the result.

Decoding 112,120 radiographs takes an hour or more, so looks are stored in parts of a few hundred images. A part is
named by its files' places, sizes and times: after Ctrl-C the next audit goes on, and a changed file redoes its part.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from eden_bench.audit.hashing import THUMB_PX, thumbnail
from eden_bench.contracts import Dataset, Item, Progress, no_progress
from eden_bench.data.pixel_store import in_threads
from eden_bench.digests import digest, file_stamp
from eden_bench.errors import EdenError
from eden_bench.files import atomic
from eden_bench.files.array_file import UNREADABLE

_VERSION = 1
"""Part of every part's name: raise it when thumbnails are made differently."""
_PART = 256
_LOOK = np.dtype([("decoded", "?"), ("sha256", "u1", (32,)), ("thumb", "u1", (THUMB_PX, THUMB_PX))])


@dataclass(frozen=True)
class Fingerprints:
    """Digests and thumbnails of N images."""

    sha256: tuple[bytes, ...]
    """Of shape and decoded pixels; empty where the file could not be read."""
    thumbs: np.ndarray = field(repr=False)
    """(N, 64, 64) uint8."""


def fingerprint_images(
    dataset: Dataset, items: tuple[Item, ...], cache: Path, progress: Progress = no_progress
) -> Fingerprints:
    """Fingerprint every image, or load it from the cache; what cannot be decoded is marked and skipped.

    Raises:
        UsageError: the cache cannot be written.
    """
    parts = []
    for start in range(0, len(items), _PART):
        part = items[start : start + _PART]
        path = cache / "audit" / f"{dataset.name}-{_name(part)}.npy"
        looks = _load(path, len(part))
        if looks is None:
            tell = functools.partial(_tell, progress, dataset.name, start, len(items))
            looks = _look(dataset, part, tell)
            with atomic.aside(path) as aside, aside.open("wb") as file:
                np.save(file, looks)
        parts.append(looks)
    all_looks = np.concatenate([*parts, np.empty(0, _LOOK)])
    return Fingerprints(
        tuple(look["sha256"].tobytes() if look["decoded"] else b"" for look in all_looks), all_looks["thumb"]
    )


def _tell(progress: Progress, name: str, start: int, total: int, done: int) -> None:
    progress(f"decoding {name}", start + done, total)


def _name(part: tuple[Item, ...]) -> str:
    files = [[item.id, str(item.image.absolute()), *_stamp(item.image)] for item in part]
    return digest([_VERSION, files])[:24]


def _stamp(file: Path) -> tuple[int, int, int]:
    try:
        return file_stamp(file)
    except OSError:  # reading it will say so
        return 0, 0, 0


def _load(path: Path, count: int) -> np.ndarray | None:
    try:
        looks = np.load(path)
    except UNREADABLE:
        return None
    return looks if looks.dtype == _LOOK and looks.shape == (count,) else None


def _look(dataset: Dataset, part: tuple[Item, ...], tell: Callable[[int], None]) -> np.ndarray:
    looks = np.zeros(len(part), _LOOK)

    def work(number: int) -> None:
        try:
            image = dataset.read_image(part[number])
        except (EdenError, OSError):
            return
        pixels = np.ascontiguousarray(image)
        sha = hashlib.sha256(f"{pixels.shape}".encode() + pixels.data)
        looks[number] = True, np.frombuffer(sha.digest(), np.uint8), thumbnail(pixels)

    for _ in in_threads(work, len(part), tell):
        pass
    return looks
