"""Broken DICOM files: headers that cannot be true, sequences without end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.tasks.hostile.content import Change, to_bytes
from tests.tasks.hostile.pictures import picture


def tagged(name: str, harmless: str = "", **values: Any) -> Change:
    """Return a change of a DICOM file's elements; None deletes one."""

    def do(path: Path) -> None:
        from pydicom import dcmread

        header = dcmread(path)
        for keyword, value in values.items():
            if value is None:
                delattr(header, keyword)
            else:
                setattr(header, keyword, value)
        header.save_as(path)

    return Change(name, do, harmless)


def _syntax(uid: bytes) -> Callable[[bytes], bytes]:
    """Return a change of the transfer syntax to another, padded or cut to the length of the old."""

    def change(content: bytes) -> bytes:
        place = content.find(b"\x02\0\x10\0UI") + 8
        length = int.from_bytes(content[place - 2 : place], "little")
        return content[:place] + uid.ljust(length, b"\0")[:length] + content[place + length :]

    return change


def _nested(content: bytes) -> bytes:
    """Put 3,000 sequences into each other before the pixels' description."""
    item = b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    place = content.find(b"\x10\0\x20\0LO")
    return content[:place] + item * 3000 + content[place:]


def _long(content: bytes) -> bytes:
    """Say that the Patient ID has 60,000 bytes."""
    place = content.find(b"\x10\0\x20\0LO") + 6
    return content[:place] + b"\x60\xea" + content[place + 2 :]


DICOM_LIES = (
    tagged("claims 65535×65535", Rows=65_535, Columns=65_535),
    tagged("claims 8000×8000", Rows=8000, Columns=8000),
    tagged("claims no rows", Rows=0),
    tagged("no rows", Rows=None),
    tagged("no pixels", PixelData=None),
    tagged("32 bits", BitsAllocated=32),
    tagged("stores 99 bits", BitsStored=99),
    tagged("10^9 frames", NumberOfFrames=10**9),
    tagged("three samples", SamplesPerPixel=3),
    tagged("palette", PhotometricInterpretation="PALETTE COLOR"),
    tagged("window without width", "a window that is none is passed over", WindowCenter=100, WindowWidth=0),
    tagged("slope of 1e308", RescaleSlope="1e308", RescaleIntercept="1e308"),
    to_bytes("unknown transfer syntax", _syntax(b"1.2.3.4")),
    to_bytes("deflated, it says", _syntax(b"1.2.840.10008.1.2.1.99")),
    to_bytes("big endian, it says", _syntax(b"1.2.840.10008.1.2.2")),
    to_bytes("3,000 nested sequences", _nested),
    to_bytes("length beyond its end", _long),
    to_bytes("PNG under its name", lambda _: picture((64, 64))),
)
