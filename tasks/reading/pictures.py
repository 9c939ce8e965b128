"""Decode untrusted pictures: known formats only, a limit on pixels, one sentence for each failure.

What is read is what a viewer shows: the palette's colours, turned as EXIF says. Transparency alone is passed over, and
``data check`` says so. A deep picture is read by the whole range of its bits, and refused where its values lie in the
lowest quarter of it: it then holds 10, 12 or 14 bits, and would be all but black.
"""

from __future__ import annotations

import mmap
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from eden_bench.errors import DataDamaged
from tasks.reading.depth import need_deep_colours, to_8_bits
from tasks.reading.files import damaged, size_of
from tasks.reading.noticing import Seen, notice

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", message="(Possibly c|C)orrupt EXIF data", category=UserWarning)
# Our own cap is the lower one and speaks. Set once, here: filters are the process's, and files are read in threads.

MOST_PIXELS = 64_000_000
"""No radiograph or fundus photograph of these datasets is larger; a picture that claims more is not decoded."""

_MOST_SCANS = 64
"""Of a progressive JPEG, which has about ten; each one goes over all the pixels again."""
_REMEDY = "unpack or copy it again, or remove it"
_ORIENTATION, _BITS_A_SAMPLE, _PHOTOMETRIC = 0x0112, 258, 262
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to what makes it upright; Pillow counts rotations the other way round."""
_PNG_EXIF = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")
"""Chunks that a PNG may have an orientation in, before its pixels or behind them."""
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


class FlatImage(DataDamaged):
    """Raised for an image whose pixels all have one value."""


def read_grey(dataset: str, path: Path, formats: tuple[str, ...], *, bits: int = 16, told: bool = False) -> np.ndarray:
    """Decode a picture to (H, W) uint8 by its palette, colours and EXIF orientation, transparency ignored.

    A reversed palette is obeyed (its indices alone would be an inverted picture). A deep picture is scaled from the
    same range whatever its own maximum, or the grey scale would differ from one image of a dataset to the next.

    Args:
        dataset: name for messages.
        path: the file.
        formats: Pillow's names of the formats that are allowed, for example ("PNG",).
        bits: how many of 16 bits the dataset's deep pictures use.
        told: the user said so, and a picture may be as dark as it likes.

    Raises:
        FlatImage: it has one value.
        DataDamaged: no such format, cut short, broken, of real numbers, of values beyond its bits or all in the lowest
            quarter of them, or more than 64 million pixels.
    """
    return _image(dataset, path, formats, "L", bits, told)


def read_colour(
    dataset: str, path: Path, formats: tuple[str, ...], *, bits: int = 16, told: bool = False
) -> np.ndarray:
    """Decode a picture to (H, W, 3) uint8, red first. Arguments and errors as `read_grey`."""
    image = _image(dataset, path, formats, "RGB", bits, told)
    return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)


def need_content(dataset: str, path: Path, image: np.ndarray) -> np.ndarray:
    """Validate that an image (H, W) or (H, W, 3) uint8 is not flat, and return it.

    Raises:
        FlatImage: all its pixels are alike.
    """
    first = image[0, 0]
    if (image[::61] == first).all() and (image == first).all():
        found = "is black all over" if not first.any() else f"has one value all over ({first})"
        remedy = "put the original file back, or remove it"
        raise FlatImage(str(damaged(dataset, path, found, "an image with content", remedy)))
    return image


def _image(
    dataset: str, path: Path, formats: tuple[str, ...], mode: Literal["L", "RGB"], bits: int, told: bool
) -> np.ndarray:
    """Decode to (H, W), or to (H, W, 3) where mode is RGB and the file is not deep and grey."""
    with opened(dataset, path, formats) as (picture, seen):
        if picture.mode.startswith("I"):
            bits, told = (seen.bits, True) if 8 < seen.bits < 16 else (bits, told)
            notice(replace(seen, scaled=True))
            return need_content(dataset, path, to_8_bits(dataset, path, np.asarray(picture), bits, told))
        alpha = alpha_of(picture)
        notice(replace(seen, scaled=seen.bits > 8, transparent=alpha is not None))
        picture.info.pop("transparency", None)
        image = need_content(dataset, path, np.array(_in_mode(picture, mode)))
        if seen.bits > 8:
            need_deep_colours(dataset, path, 257 * int(image.max()), bits, told)
        return image


def alpha_of(picture: Image.Image) -> np.ndarray | None:
    """Return each pixel's opacity, (H, W) uint8; None if all are opaque."""
    if "transparency" in picture.info and not picture.mode.startswith("I"):
        picture = picture.convert("RGBA")
    if "A" not in picture.getbands():
        return None
    alpha = picture.getchannel("A")
    return None if alpha.getextrema() == (255, 255) else np.asarray(alpha)


def square(dataset: str, path: Path, image: np.ndarray, side_px: int) -> np.ndarray:
    """Validate that an image is square, as drawings on an original of side_px need, and return it.

    Raises:
        DataDamaged: it is not square.
    """
    height, width = image.shape[:2]
    if height != width:
        found = f"has {width}×{height} pixels"
        raise damaged(dataset, path, found, f"{side_px}×{side_px}", "put the original file back")
    return image


def size_of_picture(dataset: str, path: Path, formats: tuple[str, ...]) -> tuple[int, int]:
    """Return the height and width that a picture's header claims, turned as EXIF says.

    No pixel is decoded, but of a PNG that has EXIF, for this may stand behind them.

    Raises:
        DataDamaged: no such format, or more than 64 million pixels.
    """
    with opened(dataset, path, formats, decode=False) as (picture, _):
        return picture.height, picture.width


def _in_mode(picture: Image.Image, mode: str) -> Image.Image:
    """Convert a picture to a mode; one that has it is not copied."""
    return picture if picture.mode == mode else picture.convert(mode)


@contextmanager
def opened(
    dataset: str, path: Path, formats: tuple[str, ...], *, decode: bool = True
) -> Iterator[tuple[Image.Image, Seen]]:
    """Open a picture, decode it and rotate it upright; errors in the body are converted to a sentence too.

    Raises:
        DataDamaged: as `read_grey`, but for what its values are.
    """
    size_of(dataset, path)
    expected = f"a whole {' or '.join(formats)} picture"
    try:
        # By file and not by name: of a name, Pillow maps the pixels, and turns those of a TIFF wrongly.
        with path.open("rb") as file, Image.open(file, formats=formats) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise _too_large(dataset, path, f"claims {picture.width:,}×{picture.height:,} pixels")
            _need_readable_values(dataset, path, picture)
            _need_one_page(dataset, path, picture)
            if decode and "progressive" in picture.info:
                _need_few_scans(dataset, path)
            yield _upright(path, picture, decode)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(dataset, path, "claims more pixels than any radiograph has") from error
    except UnidentifiedImageError as error:
        raise damaged(dataset, path, "is no such picture", expected, _REMEDY) from error
    except _DECODERS_RAISE as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise damaged(dataset, path, f"cannot be decoded ({reason})", expected, _REMEDY) from error


def _need_readable_values(dataset: str, path: Path, picture: Image.Image) -> None:
    if picture.mode == "F":
        raise damaged(dataset, path, "holds real numbers", "whole ones of 8 or 16 bits", "convert it")
    if picture.mode.startswith("I") and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        raise damaged(dataset, path, "is deep and has white at 0", "black at 0", "convert it")


def _need_one_page(dataset: str, path: Path, picture: Image.Image) -> None:
    """Raise DataDamaged for a multi-page file, of which only the first page would be read."""
    if picture.format not in ("TIFF", "GIF"):
        return
    try:
        picture.seek(1)
    except EOFError:
        picture.seek(0)
        return
    raise damaged(dataset, path, "has several pages", "one", "save the one that is meant as a file of its own")


def _upright(path: Path, picture: Image.Image, decode: bool) -> tuple[Image.Image, Seen]:
    """Decode a picture and rotate it by its EXIF orientation; Pillow itself rotates a TIFF."""
    bits = _bits_of(picture)
    if picture.format == "TIFF":
        turn = getattr(picture, "tag_v2", {}).get(_ORIENTATION)
        if decode:
            picture.load()
        return picture, Seen(path, bits, turned=turn in _TURNS)
    if decode or (picture.format == "PNG" and _may_have_exif(path)):
        picture.load()
        decode = True
    turn = _TURNS.get(_orientation(picture)) if decode or picture.format != "PNG" else None
    return picture if turn is None else picture.transpose(turn), Seen(path, bits, turned=turn is not None)


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation; 1 if it is absent or the EXIF is broken, as viewers assume."""
    try:
        return int(picture.getexif().get(_ORIENTATION, 1))
    except _DECODERS_RAISE:
        return 1


def _bits_of(picture: Image.Image) -> int:
    """Return the bits of a value in the file, before decoding, since Pillow keeps 8 of 16 in colours."""
    if picture.format == "TIFF":
        return max(8, *getattr(picture, "tag_v2", {}).get(_BITS_A_SAMPLE, (8,)))
    return 16 if any(";16" in str(tile.args) for tile in getattr(picture, "tile", ())) else 8


def _may_have_exif(path: Path) -> bool:
    """Scan the chunks of a PNG for EXIF without reading their content."""
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
            if head[4:] in _PNG_EXIF:
                return True
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return False


def _need_few_scans(dataset: str, path: Path) -> None:
    """Raise DataDamaged for a JPEG of many scans, which is short and takes minutes."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        scans = sum(1 for _ in re.finditer(rb"\xff\xda", content))
    if scans > _MOST_SCANS:
        raise damaged(dataset, path, f"has {scans:,} scans", f"at most {_MOST_SCANS}", _REMEDY)


def _too_large(dataset: str, path: Path, found: str) -> Exception:
    return damaged(dataset, path, found, f"at most {MOST_PIXELS / 1e6:.0f} million", "put the original file back")
