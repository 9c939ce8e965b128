"""Reading a small text file that a user named, which may be anything: a pipe, a device, a disk image."""

from __future__ import annotations

import stat
from pathlib import Path

_MOST_BYTES = 32 << 20


def read(path: Path) -> str:
    """Read UTF-8, with or without a byte order mark.

    Raises:
        OSError: it is absent or may not be read.
        ValueError: it is no regular file (reading a pipe would wait for ever, a device never end), too large, no
            UTF-8, or holds zero bytes.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    if found.st_size > _MOST_BYTES:
        raise ValueError(f"it has {found.st_size:,} bytes, expected at most {_MOST_BYTES:,}")
    text = path.read_text(encoding="utf-8-sig")
    if "\0" in text:
        raise ValueError("it holds zero bytes")
    return text
