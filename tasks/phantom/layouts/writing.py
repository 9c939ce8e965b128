"""Shared parts of the writers: films rendered in threads, files in a fixed order, PHANTOM.json last."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from PIL import Image

from eden_bench.contracts import PHANTOM, Progress
from eden_bench.errors import EdenError
from eden_bench.files import atomic
from eden_bench.settings import available_cores
from tasks.phantom import VERSION

T = TypeVar("T")
R = TypeVar("R")


def for_each(jobs: Sequence[T], do: Callable[[T], R], what: str, progress: Progress) -> list[R]:
    """Run every job in a few threads (NumPy and OpenCV release the lock); the first failure stops the rest.

    Returns:
        What each job returned, in their order.
    """
    with ThreadPoolExecutor(max_workers=min(4, available_cores())) as pool:
        futures = [pool.submit(do, job) for job in jobs]
        made: list[R] = []
        try:
            for done, future in enumerate(futures, 1):
                made.append(future.result())
                progress(what, done, len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return made


def start(root: Path, folders: Sequence[str]) -> None:
    """Create the folders and remove an old ``PHANTOM.json``: from here on the phantom is incomplete.

    Raises:
        EdenError: the folder cannot be written to.
    """
    try:
        for name in folders:
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / PHANTOM).unlink(missing_ok=True)
    except OSError as error:
        raise EdenError(f"{root} cannot be written ({error.strerror}): choose a folder you may write to.") from error


def seal(root: Path, *, dataset: str, patients: int, images: int, seed: int, version: int = VERSION) -> None:
    """Write ``PHANTOM.json``, last and atomically: a folder that has it is complete."""
    content = {"phantom": dataset, "version": version, "seed": seed, "patients": patients, "images": images}
    atomic.write_json(root / PHANTOM, content)


def write_gif(path: Path, mask: np.ndarray, *, palette: bool = False) -> None:
    """Write a bool mask (H, W) as a GIF with values 0 and 255, or 0 and 1 with a palette of black and white."""
    picture = Image.fromarray(mask.astype(np.uint8) * np.uint8(1 if palette else 255))
    if palette:
        picture.putpalette([0, 0, 0, 255, 255, 255])
    _save(path, picture, "GIF", optimize=False)


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write a colour image (H, W, 3) uint8 as JPEG."""
    _save(path, Image.fromarray(image), "JPEG", quality=90)


def write_tif(path: Path, image: np.ndarray) -> None:
    """Write a colour image (H, W, 3) uint8 as TIFF, uncompressed."""
    _save(path, Image.fromarray(image), "TIFF")


def write_png(path: Path, image: np.ndarray, *, mode: Literal["L", "P", "RGB", "RGBA"] = "L") -> None:
    """Write a grey image (H, W) uint8 as PNG: of mode L, with equal colours (alpha 255), or by a reversed palette."""
    if mode == "P":
        picture = Image.fromarray(255 - image)
        picture.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    else:
        picture = Image.fromarray(image).convert(mode)
    _save(path, picture, "PNG", compress_level=1)


def _save(path: Path, picture: Image.Image, kind: str, **options: int) -> None:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    path.write_bytes(content.getvalue())
