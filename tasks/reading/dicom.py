"""Decode untrusted DICOM radiographs: header claims are validated against bounds and pixels first.

The grey levels follow the standard's pipeline (PS3.3 C.11): modality LUT or rescale, then VOI LUT or window, then
MONOCHROME1 turned over. Where a file has neither LUT nor window, 8-bit pixels stay as they are and deeper ones are
stretched from the image's lowest value to its highest.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tasks.reading.dicom_greys import Claims, greys_of, mapped
from tasks.reading.files import NoDecoder, damaged, readable, size_of
from tasks.reading.noticing import Seen, notice
from tasks.reading.pictures import MOST_PIXELS, need_content

if TYPE_CHECKING:
    from pydicom import Dataset

warnings.filterwarnings("ignore", module=r"pydicom\.")
# What pydicom tolerates with a warning is no news to a user. Set once, here: filters are the process's.

_REMEDY = "download it again"
_INSTALL = "download it again, or install what decodes it: pip install 'eden-bench[jpeg]' (GPL-3)"
_MOST_BYTES = 160 << 20
"""64 million pixels of two bytes, and a header."""
_HEADER_BYTES = 1 << 20
"""What stands before the pixels."""
_PATIENT_BYTES = 1 << 14
"""Who a film is of stands near its start; datasets of thousands of files are asked for it."""
_MOST_ITEMS = 4096
"""Of all sequences together, fragments of the compressed image, or its tiles: each costs far more than its bytes."""
_UNDEFINED = 0xFFFFFFFF
_ITEM = b"\xfe\xff\x00\xe0"
_PIXEL_DATA = 0x7FE00010

_DEFLATED = "1.2.840.10008.1.2.1.99"
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")
_JPEG = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 57, 70, 80, 81))
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_SYNTAXES = "no compression, JPEG, JPEG-LS or JPEG 2000"

_FRAME_HEADERS = (0xC0, 0xC1, 0xC3, 0xF7)
"""JPEG baseline, extended, lossless, and JPEG-LS. Progressive ones are not DICOM, and slow on purpose at worst."""

_TAGS = (
    "PatientID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
)

_DECODERS_RAISE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    AssertionError,
    struct.error,
    Warning,
)
"""What pydicom and its pixel handlers were seen to raise, beside pydicom's own; warnings where they are errors."""


class _Pixels(NamedTuple):
    """Offset of the pixels in the file, and the length that the file claims."""

    start: int
    length: int


def read_dicom(dataset: str, path: Path, window: tuple[float, float] | None = None) -> np.ndarray:
    """Decode a radiograph to (H, W) uint8, air dark and bone bright.

    Args:
        dataset: name for messages.
        path: the file.
        window: centre and width that are shown, in place of the file's own LUT or window.

    Raises:
        DataDamaged: no DICOM file, no pixels or too few, a colour or multi-frame image, more than 64 million pixels,
            a compression that is not read, a compressed stream that is broken or of another size, or one grey alone.
    """
    content = _content(dataset, path)
    with _decodable(dataset, path):
        header, pixels = _header(dataset, path, content)
        if pixels is None:
            found = "holds no pixels" if len(content) <= _HEADER_BYTES else f"has no pixels in {_HEADER_BYTES:,} bytes"
            raise damaged(dataset, path, found, "an image", _REMEDY)
        claims = _claims(dataset, path, header)
        codes = _codes(dataset, path, header, claims, content, pixels)
        notice(Seen(path, max(8, claims.bits_stored)))
        image = mapped(codes, greys_of(header, claims, int(codes.min()), int(codes.max()), window))
    return need_content(dataset, path, image)


def read_patient(dataset: str, path: Path) -> str:
    """Read the Patient ID of a file's header, "" if it has none; no pixel is read.

    Raises:
        DataDamaged: it is no DICOM file.
    """
    size_of(dataset, path)
    with readable(dataset, path), path.open("rb") as file:
        content = file.read(_PATIENT_BYTES)
    with _decodable(dataset, path):
        header, _ = _header(dataset, path, content)
        return str(header.get("PatientID") or "").strip()


def _content(dataset: str, path: Path) -> bytes:
    size = size_of(dataset, path)
    if size > _MOST_BYTES:
        raise damaged(dataset, path, f"has {size:,} bytes", f"at most {_MOST_BYTES:,}", "put the original file back")
    with readable(dataset, path):
        return path.read_bytes()


@contextmanager
def _decodable(dataset: str, path: Path) -> Iterator[None]:
    from pydicom.errors import BytesLengthException, InvalidDicomError

    try:
        yield
    except (*_DECODERS_RAISE, BytesLengthException, InvalidDicomError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        remedy = _INSTALL if reason.startswith(("Unable to decompress", "Unable to decode as")) else _REMEDY
        told = damaged(dataset, path, f"cannot be decoded ({reason})", "a whole DICOM image", remedy)
        lacks = any(words in str(error) for words in ("missing dependencies", "does not support"))
        raise (NoDecoder(str(told)) if lacks else told) from error


def _header(dataset: str, path: Path, content: bytes) -> tuple[Dataset, _Pixels | None]:
    """Parse the header before the pixels; sequences that are not needed are skipped."""
    from pydicom import config
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    config.settings.reading_validation_mode = config.IGNORE
    stream, found = BytesIO(content[:_HEADER_BYTES]), []
    bare = content[128:132] != b"DICM"
    if bare and int.from_bytes(content[:2], "little") not in (2, 8):
        raise damaged(dataset, path, "is no DICOM file", "one", _REMEDY)
    if content.count(_ITEM, 0, _HEADER_BYTES) > _MOST_ITEMS:
        raise damaged(dataset, path, "has too many sequence items", f"at most {_MOST_ITEMS:,}", _REMEDY)
    if _DEFLATED.encode() in content[:_HEADER_BYTES]:
        raise damaged(dataset, path, "is deflated as a whole", _SYNTAXES, "convert it")

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag == _PIXEL_DATA:
            found.append(_Pixels(stream.tell(), length))
        return tag >= _PIXEL_DATA

    header = read_partial(stream, at_pixels, force=bare, specific_tags=[Tag(name) for name in _TAGS])
    return header, found[0] if found else None


def _claims(dataset: str, path: Path, header: Dataset) -> Claims:
    """Read the header's claims and validate them against bounds of any radiograph."""
    frames, samples = int(header.get("NumberOfFrames") or 1), int(header.get("SamplesPerPixel") or 1)
    photometric = str(header.PhotometricInterpretation)
    claims = Claims(
        rows=int(header.Rows),
        columns=int(header.Columns),
        bits_allocated=int(header.BitsAllocated),
        bits_stored=int(header.get("BitsStored") or header.BitsAllocated),
        signed=bool(header.get("PixelRepresentation")),
        photometric=photometric,
    )
    high = int(header.get("HighBit") or claims.bits_stored - 1)
    sizes, area = f"{claims.columns:,}×{claims.rows:,}", claims.rows * claims.columns
    for fine, found, expected in (
        (frames == 1, f"claims {frames:,} frames", "one"),
        (samples == 1 and photometric in ("MONOCHROME1", "MONOCHROME2"), f"is {photometric}", "a grey image"),
        (0 < area <= MOST_PIXELS, f"claims {sizes} pixels", f"1 to {MOST_PIXELS / 1e6:.0f} million"),
        (claims.bits_allocated in (8, 16), f"has {claims.bits_allocated} bits a pixel", "8 or 16"),
        (
            0 < claims.bits_stored <= claims.bits_allocated and high == claims.bits_stored - 1,
            f"stores {claims.bits_stored} bits below bit {high} of {claims.bits_allocated}",
            "the lowest ones",
        ),
    ):
        if not fine:
            raise damaged(dataset, path, found, expected, "put the original file back")
    return claims


def _codes(dataset: str, path: Path, header: Dataset, claims: Claims, content: bytes, pixels: _Pixels) -> np.ndarray:
    """Return the stored bits as (H, W) unsigned integers that rise with the value: signed ones have half added."""
    syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
    if syntax in _PLAIN or not syntax:
        stored = _plain(dataset, path, claims, content, pixels)
    elif syntax in _JPEG + _JPEG_2000:
        stored = _decoded(dataset, path, syntax, claims, content, pixels)
    else:
        raise damaged(dataset, path, f"has the transfer syntax {syntax[:64]!r}", _SYNTAXES, "convert it")
    half = 1 << (claims.bits_stored - 1) if claims.signed else 0
    mask = stored.dtype.type((1 << claims.bits_stored) - 1)
    return np.asarray((stored & mask) ^ stored.dtype.type(half))


def _plain(dataset: str, path: Path, claims: Claims, content: bytes, pixels: _Pixels) -> np.ndarray:
    kind = np.dtype("<u1" if claims.bits_allocated == 8 else "<u2")
    count = claims.rows * claims.columns
    there = min(pixels.length, len(content) - pixels.start)
    if there < count * kind.itemsize:
        found = f"has {there:,} bytes of pixels"
        raise damaged(dataset, path, found, f"{count * kind.itemsize:,} ({claims.columns}×{claims.rows})", _REMEDY)
    return np.frombuffer(content, kind, count, pixels.start).reshape(claims.rows, claims.columns)


def _decoded(dataset: str, path: Path, syntax: str, claims: Claims, content: bytes, pixels: _Pixels) -> np.ndarray:
    """Decompress the one frame, after validating that its own header claims the same size as the file's."""
    from pydicom.encaps import encapsulate, generate_frames
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.uid import UID

    if pixels.length != _UNDEFINED or content.count(_ITEM, pixels.start) > _MOST_ITEMS:
        raise damaged(dataset, path, "does not pack its compressed pixels as DICOM does", "one frame", _REMEDY)
    frame = next(generate_frames(content[pixels.start :], number_of_frames=1))
    size = _jpeg_2000_size(frame) if syntax in _JPEG_2000 else _jpeg_size(frame)
    if size != (claims.rows, claims.columns):
        found = f"holds a compressed image of {size[1]}×{size[0]} pixels" if size else "holds no such compressed image"
        raise damaged(dataset, path, found, f"{claims.columns}×{claims.rows}", _REMEDY)
    options: dict[str, Any] = {
        "rows": claims.rows,
        "columns": claims.columns,
        "bits_allocated": claims.bits_allocated,
        "bits_stored": claims.bits_stored,
        "pixel_representation": int(claims.signed),
        "samples_per_pixel": 1,
        "photometric_interpretation": claims.photometric,
        "number_of_frames": 1,
        "pixel_keyword": "PixelData",
    }
    array, _ = get_decoder(UID(syntax)).as_array(encapsulate([frame]), raw=True, **options)
    return np.asarray(array).view(f"u{claims.bits_allocated // 8}")


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Parse rows and columns from a grey JPEG or JPEG-LS stream; None if it is neither."""
    place = 2
    while frame[:2] == b"\xff\xd8" and place + 9 < len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4])
        if marker in _FRAME_HEADERS:
            rows, columns, components = struct.unpack_from(">HHB", frame, place + 5)
            return (rows, columns) if components == 1 else None
        place += 1 if marker == 0xFF else 2 + length
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int] | None:
    """Parse rows and columns from a grey JPEG 2000 stream of few tiles; None if it is none."""
    place = frame.find(b"\xff\x4f\xff\x51", 0, 4096)
    if place < 0 or len(frame) < place + 42:
        return None
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", frame, place + 8)
    components = struct.unpack_from(">H", frame, place + 40)[0]
    tiles = -(-right // max(tile_width, 1)) * -(-bottom // max(tile_height, 1))
    return (bottom - top, right - left) if components == 1 and tiles <= _MOST_ITEMS else None
