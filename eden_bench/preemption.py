"""Stop at a safe point when the system asks for it: SIGTERM or SIGUSR1, as SLURM sends before it takes a node back.

The signals set a flag; long work calls ``check`` where it can stop with nothing lost: between the steps of a
fine-tuning (whose cell is dropped), between cells, and in a pretraining after its state is saved. What is at no safe
point within the grace is killed by whoever sent the signal, which loses no more than the cell that ran.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from eden_bench.errors import Preempted

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
GRACE_S = 30.0
"""Seconds from the signal to the end that a scheduler grants, as documented for SLURM (``--signal=USR1@30``)."""


class _Asked(NamedTuple):
    by: str
    at: float
    """On the monotonic clock, in seconds."""


_asked: _Asked | None = None


@contextlib.contextmanager
def heeded() -> Iterator[None]:
    """Heed the signals while a command works; a no-op off the main thread, where Python handles none."""
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    process = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:  # a fork, which nobody asks to stop at a safe point
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        else:
            _note(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _asked = None


def requested() -> bool:
    """Return whether the system has asked this process to stop."""
    return _asked is not None


def left_s() -> float:
    """Return the seconds of grace that are left; all of them while nobody has asked."""
    return GRACE_S if _asked is None else max(0.0, GRACE_S - (time.monotonic() - _asked.at))


def check() -> None:
    """Stop if the system has asked for it: call it where nothing is lost by that.

    Raises:
        Preempted: it has.
    """
    if _asked is not None:
        raise Preempted(_asked.by)


def _note(by: str) -> None:
    """Keep the first signal, and say so past the streams, which a handler may not enter twice."""
    global _asked
    if _asked is None:
        _asked = _Asked(by, time.monotonic())
        line = f"{by}: stopping at the next safe point; what has finished is stored\n"
        with contextlib.suppress(OSError):
            os.write(2, (("\n" if sys.stderr and sys.stderr.isatty() else "") + line).encode())
