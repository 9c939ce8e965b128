"""Decode and validate masks that are pictures: black and one other colour, nothing else, for all readers.

A mask smoothed or saved as JPEG has greys between, one drawn in the alpha channel has one colour all over, and a label
map has many: each would be read as another shape than was drawn, so each is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.reading.files import damaged
from tasks.reading.noticing import notice
from tasks.reading.pictures import alpha_of, opened, size_of_picture

_MOST_LABELS = 64
"""Of a label map; one that was smoothed has more."""
_TWO = "black and one other value"
_SHARPEN = "threshold it at half of its maximum and save it as PNG (a label map in a task of your own: say mask_value)"


def read_foreground(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a mask to (H, W) bool: what is not black, before any rounding to grey or to 8 bits.

    Raises:
        DataDamaged: as ``pictures.read_grey``; it has values beside black and one other, or transparent pixels that
            are another shape.
    """
    with opened(dataset, path, formats) as (picture, seen):
        notice(seen)
        alpha, bands = alpha_of(picture), _bands(dataset, path, picture, seen.bits)
    mask = _of_two(dataset, path, bands, "values")
    if alpha is not None and (_of_two(dataset, path, [alpha], "degrees of transparency") != mask).any():
        found = "shows one shape by its colours and another by its transparency"
        raise damaged(dataset, path, found, "the same", "save it without transparency, white on black")
    return mask


def read_binary(dataset: str, path: Path, formats: tuple[str, ...], size_px: tuple[int, int]) -> np.ndarray:
    """Decode a mask to (H, W) bool: what is not black is foreground, so {0, 1} and {0, 255} read alike.

    Raises:
        DataDamaged: as `read_foreground`, or its (height, width) is not size_px.
    """
    height, width = size_of_picture(dataset, path, formats)
    if (height, width) != size_px:
        found = f"has {width}×{height} pixels"
        raise damaged(dataset, path, found, f"{size_px[1]}×{size_px[0]}", "put the original mask back")
    return read_foreground(dataset, path, formats)


def read_values(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a label map to (H, W) integers as they are stored: indices where there is a palette.

    Raises:
        DataDamaged: as ``pictures.read_grey``; it has colours, or more values than a label map.
    """
    with opened(dataset, path, formats) as (picture, seen):
        notice(seen)
        values = np.array(picture)
    if values.ndim != 2:
        found = f"has {values.shape[2]} values a pixel"
        raise damaged(dataset, path, found, "one", "save the mask as a grey picture or with a palette")
    if (count := _count(values)) > _MOST_LABELS:
        expected, remedy = f"at most {_MOST_LABELS}, one a label", "save the labels without smoothing them"
        raise damaged(dataset, path, f"holds {count:,} values", expected, remedy)
    return values


def _bands(dataset: str, path: Path, picture: Image.Image, bits: int) -> list[np.ndarray]:
    """Return the shown values, all 0 where black: grey, or red, green and blue, each (H, W)."""
    if picture.mode.startswith("I"):
        return [np.asarray(picture)]
    if bits > 8:
        raise damaged(dataset, path, "has colours of 16 bits", "a grey picture or one of 8 bits", "convert it")
    if picture.mode in ("1", "L"):
        return [np.asarray(picture).view(np.uint8)]
    picture.info.pop("transparency", None)
    colours = np.asarray(picture.convert("L" if picture.mode == "LA" else "RGB"))
    return [colours] if colours.ndim == 2 else list(np.moveaxis(colours, 2, 0))


def _of_two(dataset: str, path: Path, bands: Sequence[np.ndarray], what: str) -> np.ndarray:
    """Validate that bands have one value, or colour, where they are not 0; return where that is, (H, W) bool."""
    mask = np.asarray(bands[0] != 0)
    for band in bands[1:]:
        mask |= band != 0
    place = np.unravel_index(int(mask.argmax()), mask.shape)
    if not all(((band == band[place]) | ~mask).all() for band in bands):
        codes = sum(band.astype(np.int64) << 8 * shift for shift, band in enumerate(bands))
        count = _count(bands[0]) if len(bands) == 1 else len(np.unique(np.asarray(codes)))
        raise damaged(dataset, path, f"holds {count:,} {what}", _TWO, _SHARPEN)
    return mask


def _count(values: np.ndarray) -> int:
    return int(np.count_nonzero(np.bincount(values.ravel()))) if values.dtype == np.uint8 else len(np.unique(values))
