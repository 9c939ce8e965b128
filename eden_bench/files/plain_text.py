"""Read and validate a small untrusted file: no pipe, no device, limited in size, finite JSON."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MOST_BYTES = 32 << 20


def read(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark.

    Raises:
        OSError: it is absent or may not be read.
        ValueError: it is no regular file, too large, no UTF-8, or holds zero bytes.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("it is no UTF-8 text: save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("it holds zero bytes")
    return text


def read_bytes(path: Path, most: int = _MOST_BYTES) -> bytes:
    """Read a regular file, limited in size. A pipe or device, which would never end, is refused.

    Raises:
        OSError: it is absent or may not be read.
        ValueError: it is no regular file, or has more bytes than most.
    """
    descriptor, size = _opened(path)
    try:
        if size > most:
            raise ValueError(f"it has {size:,} bytes, expected at most {most:,}")
        return _read(descriptor, size or most)  # what is there, unless the system does not tell it
    finally:
        os.close(descriptor)


def read_head(path: Path, count: int) -> bytes:
    """Read the first bytes of a regular file. Raises as ``read_bytes``."""
    descriptor, _ = _opened(path)
    try:
        return _read(descriptor, count)
    finally:
        os.close(descriptor)


def _opened(path: Path) -> tuple[int, int]:
    """Open a regular file; return its descriptor, to be closed, and its size."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # so that a pipe is not waited for
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        return descriptor, found.st_size
    os.close(descriptor)
    raise ValueError("it is no regular file")


def _read(descriptor: int, count: int) -> bytes:
    """Read so many bytes, or what there is."""
    content = os.read(descriptor, count)
    while len(content) < count and (more := os.read(descriptor, count - len(content))):
        content += more
    return content


def read_json(path: Path, parse: Callable[[str], Any] = json.loads, *, digested: bool = False) -> dict[str, Any]:
    """Read and validate a JSON object: finite numbers, text that is Unicode.

    Args:
        path: of the file.
        parse: parses the text, as ``json.loads`` does.
        digested: the caller takes its digest, which refuses numbers that are not finite: they are not looked for here.

    Raises:
        OSError, ValueError: as ``read``, or it is no such JSON.
    """
    try:
        text = read(path)
        content = parse(text)
        if not digested or "\\u" in text:  # without escapes there is no half of a pair of surrogates
            json.dumps(content, allow_nan=False, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__}, expected an object")
    return content
