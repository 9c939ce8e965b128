"""What hostile files hold: changes of one file, each a function of its path. What they make is the same every time."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HTML = b"<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head>\n<body>Log in, please.</body></html>\n"
_NOTHING = 40 << 20


class Change(NamedTuple):
    """One way to break a file."""

    name: str
    do: Callable[[Path], object]
    harmless: str = ""
    """Why the file may be read nevertheless; "" where it must be refused."""


def to_bytes(name: str, change: Callable[[bytes], bytes], harmless: str = "") -> Change:
    """Return a change of the file's bytes."""
    return Change(name, lambda path: path.write_bytes(change(path.read_bytes())), harmless)


def to_text(name: str, change: Callable[[str], str], harmless: str = "") -> Change:
    """Return a change of the file's text."""
    return to_bytes(name, lambda content: change(content.decode()).encode(), harmless)


def to_json(name: str, change: Callable[[Any], Any], harmless: str = "") -> Change:
    """Return a change of what a JSON file holds."""
    return to_text(name, lambda text: json.dumps(change(json.loads(text))), harmless)


def replaced(name: str, old: str, new: str, harmless: str = "") -> Change:
    """Return a change of the first place in a text; the place must be there."""

    def change(text: str) -> str:
        if old not in text:
            raise LookupError(f"{name}: {old!r} is not in the file")
        return text.replace(old, new, 1)

    return to_text(name, change, harmless)


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("file", content)
    return file.getvalue()


def noise(count: int) -> bytes:
    return np.random.default_rng(3).integers(0, 256, count, np.uint8).tobytes()


def _instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        path.unlink()
        make(path)

    return do


def _sparse(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, _NOTHING)


FORMS = (
    to_bytes("empty", lambda _: b""),
    to_bytes("cut to a byte", lambda content: content[:1]),
    to_bytes("cut to 40 bytes", lambda content: content[:40]),
    to_bytes("cut in half", lambda content: content[: len(content) // 2]),
    to_bytes("cut by a tenth", lambda content: content[: len(content) * 9 // 10]),
    to_bytes("random bytes", lambda _: noise(5000)),
    to_bytes("random bytes of its length", lambda content: noise(len(content))),
    to_bytes("html page", lambda _: HTML),
    to_bytes("zipped", _zipped),
    to_bytes("gzipped", lambda content: gzip.compress(content, 1, mtime=0)),
    to_bytes("zero bytes of its length", lambda content: bytes(len(content))),
    Change("40 MiB of zero bytes", _sparse),
)
"""What any file may turn out to hold."""

PLACES = (
    Change("folder", _instead(Path.mkdir)),
    Change("pipe", _instead(os.mkfifo)),
    Change("link to itself", _instead(lambda path: path.symlink_to(path.name))),
    Change("link to nowhere", _instead(lambda path: path.symlink_to("nowhere"))),
    Change("device", _instead(lambda path: path.symlink_to("/dev/zero"))),
    Change("unreadable", lambda path: path.chmod(0)),
)
"""What may stand where a file should be."""


def instead(name: str, make: Callable[[], bytes], harmless: str = "") -> Change:
    """Return a change to other bytes, made when they are wanted."""
    once = cache(make)
    return to_bytes(name, lambda _: once(), harmless)
