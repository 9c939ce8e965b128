"""Broken pictures: PNG, GIF, TIFF and JPEG files that lie about themselves."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

from tests.tasks.hostile.content import instead, noise, to_bytes


def picture(size: tuple[int, int], mode: str = "L", kind: str = "PNG", **options: Any) -> bytes:
    """Return a grey picture of (width, height) pixels."""
    file = io.BytesIO()
    Image.new(mode, size, 0 if mode in "LP" else None).save(file, kind, **options)
    return file.getvalue()


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(*chunks: bytes, header: tuple[int, ...] = (64, 64, 8, 0, 0, 0, 0)) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", *header)) + b"".join(chunks)


def _with_header(content: bytes, *header: int) -> bytes:
    """Return a PNG whose header says something else; from width on, as many fields as are given."""
    kept = struct.unpack(">IIBBBBB", content[16:29])
    return _png(content[33:], header=(*header, *kept[len(header) :]))


def _flipped(content: bytes, place: float) -> bytes:
    at = int(place * len(content))
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


_IDAT, _IEND = _chunk(b"IDAT", zlib.compress(bytes(64 * 65))), _chunk(b"IEND", b"")
_TEXT_BOMB = _chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20), 9))
_PROFILE_BOMB = _chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(200 << 20), 9))

PNG_LIES = (
    to_bytes("claims 60000×60000", lambda content: _with_header(content, 60_000, 60_000)),
    to_bytes("claims 2^31−1 wide", lambda content: _with_header(content, 2**31 - 1, 1)),
    to_bytes("claims no rows", lambda content: _with_header(content, 64, 0)),
    to_bytes("claims 3 bits", lambda content: _with_header(content, 64, 64, 3)),
    to_bytes("claims colour kind 5", lambda content: _with_header(content, 64, 64, 8, 5)),
    to_bytes("claims more rows than it has", lambda content: _with_header(content, 64, 6400, 8, 0)),
    to_bytes("bit flipped in its header", lambda content: _flipped(content[:64], 0.3) + content[64:]),
    to_bytes("bit flipped in its pixels", lambda content: _flipped(content, 0.5)),
    instead("text that unpacks to 200 MiB", lambda: _png(_TEXT_BOMB, _IDAT, _IEND)),
    instead("profile that unpacks to 200 MiB", lambda: _png(_PROFILE_BOMB, _IDAT, _IEND)),
    instead("pixels that unpack to 200 MiB", lambda: _png(_chunk(b"IDAT", zlib.compress(bytes(200 << 20))), _IEND)),
    instead("chunk of 2^31 bytes", lambda: _png(b"\x7f\xff\xff\xffIDAT" + bytes(99))),
    instead("palette that is absent", lambda: _png(_IDAT, _IEND, header=(64, 64, 8, 3, 0, 0, 0))),
    instead("10^9 frames", lambda: _png(_chunk(b"acTL", struct.pack(">II", 10**9, 0)), _IDAT, _IEND)),
)
PNG_SIZES = (
    instead("one pixel", lambda: picture((1, 1))),
    instead("bomb of 64 megapixels", lambda: picture((8000, 8000), compress_level=1)),
    instead("colour bomb of 64 megapixels", lambda: picture((8000, 8000), "RGBA", compress_level=1)),
    instead("bomb of 400 megapixels", lambda: picture((20_000, 20_000), "1", compress_level=1)),
    instead("JPEG under its name", lambda: picture((64, 64), kind="JPEG")),
    instead("one row", lambda: picture((4000, 1))),
)


# ── GIF, TIFF, JPEG ──────────────────────────────────────────────────────────────────────────────


def _gif(size: tuple[int, int], pixels: bytes) -> bytes:
    sizes = struct.pack("<HH", *size)
    return b"GIF89a" + sizes + b"\x80\0\0" + b"\0\0\0\xff\xff\xff" + b",\0\0\0\0" + sizes + b"\0\x08" + pixels + b"\0;"


GIF_LIES = (
    instead("claims 65535×65535", lambda: _gif((65_535, 65_535), b"\x04\0\x51\0\0")),
    instead("claims 8000×8000", lambda: _gif((8000, 8000), b"\x04\0\x51\0\0")),
    instead("pixels that are noise", lambda: _gif((1024, 1024), b"".join(b"\xff" + noise(255) for _ in range(99)))),
    instead("PNG under its name, of one pixel", lambda: picture((1, 1))),
    instead("one pixel", lambda: picture((1, 1), kind="GIF")),
    instead("bomb of 64 megapixels", lambda: picture((8000, 8000), kind="GIF")),
    instead("TIFF under its name", lambda: picture((64, 64), kind="TIFF")),
)


def _tiff(**fields: tuple[int, int]) -> bytes:
    """Return a TIFF of 64×64 grey pixels; each field given is a count and a value that replace its own."""
    tags = {
        "width": (256, 1, 64),
        "length": (257, 1, 64),
        "bits": (258, 1, 8),
        "compression": (259, 1, 1),
        "photometric": (262, 1, 1),
        "strips": (273, 1, 200),
        "samples": (277, 1, 1),
        "rows": (278, 1, 64),
        "bytes": (279, 1, 4096),
    }
    entries = [struct.pack("<HHII", tag, 4, *fields.get(name, rest)) for name, (tag, *rest) in tags.items()]
    head = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(entries)
    return (head + struct.pack("<I", 8)).ljust(200, b"\0") + bytes(4096)


TIFF_LIES = (
    instead("claims 60000×60000", lambda: _tiff(width=(1, 60_000), length=(1, 60_000))),
    instead("strips beyond its end", lambda: _tiff(strips=(1, 2**31))),
    instead("strips counted to 2^32", lambda: _tiff(strips=(2**32 - 1, 200))),
    instead("strip of 2^31 bytes", lambda: _tiff(bytes=(1, 2**31))),
    instead("unknown compression", lambda: _tiff(compression=(1, 4242))),
    instead("99 bits a pixel", lambda: _tiff(bits=(1, 99))),
    instead("directory that leads to itself", lambda: _tiff()),
    instead("one pixel", lambda: picture((1, 1), "RGB", "TIFF")),
    instead("packed bomb of 64 megapixels", lambda: picture((8000, 8000), "RGB", "TIFF", compression="tiff_lzw")),
    instead("JPEG under its name", lambda: picture((64, 64), kind="JPEG")),
)


def _jpeg_of(content: bytes, width: int, height: int) -> bytes:
    place = max(content.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2"))
    return content[: place + 5] + struct.pack(">HH", height, width) + content[place + 9 :]


def _many_scans() -> bytes:
    """Return a progressive JPEG of 16 megapixels whose last scan stands there 2,000 times."""
    content = picture((4000, 4000), kind="JPEG", progressive=True)
    last = content.rfind(b"\xff\xda")
    return content[:last] + content[last:-2] * 2000 + b"\xff\xd9"


JPEG_LIES = (
    to_bytes("claims 65500×65500", lambda content: _jpeg_of(content, 65_500, 65_500)),
    to_bytes("claims 8000×8000", lambda content: _jpeg_of(content, 8000, 8000)),
    to_bytes("claims no columns", lambda content: _jpeg_of(content, 0, 64)),
    to_bytes("no tables", lambda content: content[:20] + content[content.find(b"\xff\xda") :]),
    instead("2,000 scans", _many_scans),
    instead("black all over", lambda: picture((64, 64), "RGB", "JPEG")),
    instead("TIFF under its name", lambda: picture((64, 64), kind="TIFF")),
)
