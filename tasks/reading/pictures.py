"""Decoding pictures that nobody has checked: known formats only, a cap on pixels, one sentence for each failure."""

from __future__ import annotations

import mmap
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from tasks.reading.files import damaged, size_of

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Our own cap is the lower one and speaks. Set once, here: filters are the process's, and files are read in threads.

MOST_PIXELS = 64_000_000
"""No radiograph or fundus photograph of the nine datasets is larger; a picture that claims more is not decoded."""

_MOST_SCANS = 64
"""Of a progressive JPEG, which has about ten; each one goes over all the pixels again."""
_REMEDY = "unpack or copy it again"
_DECODERS_RAISE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    EOFError,
    LookupError,
    ArithmeticError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


def read_grey(dataset: str, path: Path, formats: tuple[str, ...], *, bits: int = 16) -> np.ndarray:
    """Decode a picture to (H, W) uint8 by its palette and colours, transparency ignored.

    A reversed palette is obeyed (its indices alone would be an inverted picture). A deep picture is scaled from the
    same range whatever its own maximum, or the grey scale would differ from one image of a dataset to the next.

    Args:
        dataset: name for messages.
        path: the file.
        formats: Pillow's names of the formats that are allowed, for example ("PNG",).
        bits: how many of 16 bits the dataset's deep pictures use.

    Raises:
        DataDamaged: no such format, cut short, broken, of real numbers, of values beyond its bits, or more than 64
            million pixels.
    """
    with _opened(dataset, path, formats) as picture:
        if picture.mode.startswith("I"):
            return _to_8_bits(dataset, path, np.asarray(picture), bits)
        picture.info.pop("transparency", None)
        return np.array(_in_mode(picture, "L"))


def read_colour(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a picture to (H, W, 3) uint8, red first, transparency ignored.

    Raises:
        DataDamaged: as `read_grey`.
    """
    with _opened(dataset, path, formats) as picture:
        if picture.mode.startswith("I"):
            return np.repeat(_to_8_bits(dataset, path, np.asarray(picture), 16)[:, :, None], 3, axis=2)
        picture.info.pop("transparency", None)
        return np.array(_in_mode(picture, "RGB"))


def read_foreground(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a mask to (H, W) bool: whatever is not black, before any rounding to grey or to 8 bits.

    Raises:
        DataDamaged: as `read_grey`.
    """
    with _opened(dataset, path, formats) as picture:
        if picture.mode.startswith("I") or picture.mode in ("1", "L"):
            return np.asarray(picture) > 0
        picture.info.pop("transparency", None)
        return np.asarray(np.asarray(_in_mode(picture, "RGB")).any(axis=2))


def read_binary(dataset: str, path: Path, formats: tuple[str, ...], size_px: tuple[int, int]) -> np.ndarray:
    """Decode a mask to (H, W) bool: whatever is not black is foreground, so {0, 1} and {0, 255} read alike.

    Raises:
        DataDamaged: as `read_grey`, or its (height, width) is not size_px.
    """
    height, width = size_of_picture(dataset, path, formats)
    if (height, width) != size_px:
        found = f"has {width}×{height} pixels"
        raise damaged(dataset, path, found, f"{size_px[1]}×{size_px[0]}", "put the original mask back")
    return read_foreground(dataset, path, formats)


def square(dataset: str, path: Path, image: np.ndarray, side_px: int) -> np.ndarray:
    """Return an image as it is where it is square, as the drawings on an original of side_px need.

    Raises:
        DataDamaged: it is not square.
    """
    height, width = image.shape[:2]
    if height != width:
        found = f"has {width}×{height} pixels"
        raise damaged(dataset, path, found, f"{side_px}×{side_px}", "put the original file back")
    return image


def size_of_picture(dataset: str, path: Path, formats: tuple[str, ...]) -> tuple[int, int]:
    """Return the height and width that a picture's header claims; no pixel is decoded.

    Raises:
        DataDamaged: no such format, or more than 64 million pixels.
    """
    with _opened(dataset, path, formats, decode=False) as picture:
        return picture.height, picture.width


def read_values(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a label map to (H, W) integers as they are stored: indices where there is a palette.

    Raises:
        DataDamaged: as `read_grey`, or it has colours.
    """
    with _opened(dataset, path, formats) as picture:
        values = np.array(picture)
    if values.ndim != 2:
        found = f"has {values.shape[2]} values a pixel"
        raise damaged(dataset, path, found, "one", "save the mask as a grey picture or with a palette")
    return values


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Return a picture in a mode; Pillow copies one that is."""
    return picture if picture.mode == mode else picture.convert(mode)


@contextmanager
def _opened(dataset: str, path: Path, formats: tuple[str, ...], *, decode: bool = True) -> Iterator[Image.Image]:
    size_of(dataset, path)
    expected = f"a whole {' or '.join(formats)} picture"
    try:
        with Image.open(path, formats=formats) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(dataset, path, f"claims {picture.width:,}×{picture.height:,} pixels")
            if picture.mode == "F":
                raise damaged(dataset, path, "holds real numbers", "whole ones of 8 or 16 bits", "convert it")
            if decode and "progressive" in picture.info:
                _need_few_scans(dataset, path)
            if decode:
                picture.load()
            yield picture
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(dataset, path, "claims more pixels than any radiograph has") from error
    except UnidentifiedImageError as error:
        raise damaged(dataset, path, "is no such picture", expected, _REMEDY) from error
    except _DECODERS_RAISE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise damaged(dataset, path, f"cannot be decoded ({reason})", expected, _REMEDY) from error


def _need_few_scans(dataset: str, path: Path) -> None:
    """Raise DataDamaged for a JPEG of many scans, which is short and takes minutes."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        scans = sum(1 for _ in re.finditer(rb"\xff\xda", content))
    if scans > _MOST_SCANS:
        raise damaged(dataset, path, f"has {scans:,} scans", f"at most {_MOST_SCANS}", _REMEDY)


def _too_large(dataset: str, path: Path, found: str) -> Exception:
    return damaged(dataset, path, found, f"at most {MOST_PIXELS / 1e6:.0f} million", "put the original file back")


def _to_8_bits(dataset: str, path: Path, pixels: np.ndarray, bits: int) -> np.ndarray:
    lowest, highest, most = int(pixels.min()), int(pixels.max()), 2**bits - 1
    if lowest < 0 or highest > most:
        found = f"holds values from {lowest} to {highest}"
        raise damaged(dataset, path, found, f"0 to {most} ({bits} bits)", "convert it from the original again")
    return np.rint(pixels * (255 / most)).astype(np.uint8)
