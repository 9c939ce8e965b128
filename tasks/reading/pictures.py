"""Decoding pictures that nobody has checked: known formats only, a cap on pixels, one sentence for each failure."""

from __future__ import annotations

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


def read_grey(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a picture to (H, W) uint8 by its palette and colours, transparency ignored.

    A reversed palette is obeyed (its indices alone would be an inverted picture). 16-bit pictures are scaled from
    their 12 or 16 bits.

    Args:
        dataset: name for messages.
        path: the file.
        formats: Pillow's names of the formats that are allowed, for example ("PNG",).

    Raises:
        DataDamaged: no such format, cut short, broken, or more than 64 million pixels.
    """
    with _opened(dataset, path, formats) as picture:
        if picture.mode.startswith("I"):
            return _from_16_bit(np.asarray(picture))
        picture.info.pop("transparency", None)
        return np.array(picture.convert("L"))


def read_colour(dataset: str, path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Decode a picture to (H, W, 3) uint8, red first, transparency ignored.

    Raises:
        DataDamaged: as `read_grey`.
    """
    with _opened(dataset, path, formats) as picture:
        picture.info.pop("transparency", None)
        return np.array(picture.convert("RGB"))


def read_binary(dataset: str, path: Path, formats: tuple[str, ...], size_px: tuple[int, int]) -> np.ndarray:
    """Decode a mask to (H, W) bool: whatever is not black is foreground, so {0, 1} and {0, 255} read alike.

    Raises:
        DataDamaged: as `read_grey`, or its (height, width) is not size_px.
    """
    mask = read_grey(dataset, path, formats) > 0
    if mask.shape != size_px:
        found = f"has {mask.shape[1]}×{mask.shape[0]} pixels"
        raise damaged(dataset, path, found, f"{size_px[1]}×{size_px[0]}", "put the original mask back")
    return mask


def size_of_picture(dataset: str, path: Path, formats: tuple[str, ...]) -> tuple[int, int]:
    """Return the height and width that a picture's header claims; no pixel is decoded.

    Raises:
        DataDamaged: no such format, or more than 64 million pixels.
    """
    with _opened(dataset, path, formats, decode=False) as picture:
        return picture.height, picture.width


def read_values(dataset: str, path: Path) -> np.ndarray:
    """Decode a label map to (H, W) integers as they are stored: indices where there is a palette.

    Raises:
        DataDamaged: as `read_grey`, or it has colours.
    """
    with _opened(dataset, path, ("PNG", "TIFF", "GIF", "BMP")) as picture:
        values = np.array(picture)
    if values.ndim != 2:
        found = f"has {values.shape[2]} values a pixel"
        raise damaged(dataset, path, found, "one", "save the mask as a grey picture or with a palette")
    return values


@contextmanager
def _opened(dataset: str, path: Path, formats: tuple[str, ...], *, decode: bool = True) -> Iterator[Image.Image]:
    size_of(dataset, path)
    expected = f"a whole {' or '.join(formats)} picture"
    try:
        with Image.open(path, formats=formats) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(dataset, path, f"claims {picture.width:,}×{picture.height:,} pixels")
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


def _too_large(dataset: str, path: Path, found: str) -> Exception:
    return damaged(dataset, path, found, f"at most {MOST_PIXELS / 1e6:.0f} million", "put the original file back")


def _from_16_bit(pixels: np.ndarray) -> np.ndarray:
    highest = 4095 if pixels.max(initial=0) <= 4095 else 65535
    return np.rint(np.clip(pixels, 0, highest) * (255 / highest)).astype(np.uint8)
