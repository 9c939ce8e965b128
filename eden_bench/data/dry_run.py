"""Looking only: while a plan is merely shown, nothing is decoded, drawn or written."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from eden_bench.errors import EdenError

_LOOKING = ContextVar("eden_bench_looking", default=False)


class NotBuilt(EdenError):
    """What a look would have had to build first."""


@contextlib.contextmanager
def looking(only: bool = True) -> Iterator[None]:
    """Let ``may_build`` refuse inside the block; changes nothing where only is False."""
    token = _LOOKING.set(_LOOKING.get() or only)
    try:
        yield
    finally:
        _LOOKING.reset(token)


def is_look() -> bool:
    """Tell whether this is inside ``looking``."""
    return _LOOKING.get()


def may_build(what: str) -> None:
    """Raise NotBuilt inside ``looking``: what is not there yet, and a look must not make it."""
    if is_look():
        raise NotBuilt(f"{what} is not in the cache yet: run the command without --dry-run to make it")
