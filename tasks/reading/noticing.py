"""Collect properties of decoded files beside their pixels, for ``data check``; readers return pixels alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seen:
    """Properties of one decoded picture."""

    path: Path
    bits: int = 8
    """Of one value in the file; 8 where it has fewer."""
    scaled: bool = False
    """Its deep values were made 8 bits by a range that is not its own."""
    turned: bool = False
    """Its EXIF orientation turned or mirrored it."""
    transparent: bool = False
    """Some of its pixels are transparent, which is passed over."""


_watched: ContextVar[list[Seen] | None] = ContextVar("watched", default=None)


@contextmanager
def watching() -> Iterator[list[Seen]]:
    """Collect the pictures that this thread decodes inside the block."""
    seen: list[Seen] = []
    token = _watched.set(seen)
    try:
        yield seen
    finally:
        _watched.reset(token)


def notice(seen: Seen) -> None:
    """Record a decoded picture for the surrounding `watching` block; a no-op outside one."""
    watched = _watched.get()
    if watched is not None:
        watched.append(seen)
