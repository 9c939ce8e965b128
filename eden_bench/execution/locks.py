"""Lock cells and pretrainings between processes that share an output folder. Kernel locks end with their process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from eden_bench.files import atomic


@contextlib.contextmanager
def claim(out: Path, name: str, *, wait: bool) -> Iterator[bool]:
    """Lock one cell or pretraining; yield whether the lock was acquired."""
    with atomic.locked(_lock(out, name), wait=wait) as got:
        yield got


def forget(out: Path, name: str) -> None:
    """Delete the lock of a stored cell while holding it: a process that waits on it finds the record."""
    with atomic.explained(out):
        _lock(out, name).unlink(missing_ok=True)


@contextlib.contextmanager
def presence(out: Path) -> Iterator[None]:
    """Mark this process as a writer of out; the first one alone removes temporary files of killed processes.

    Raises:
        StoreFailed: out cannot be written.
    """
    lock = _lock(out, "run")
    with atomic.explained(out), atomic.locked(lock, wait=False) as alone:
        if alone:
            _sweep(out, lock)
    with atomic.locked(lock, shared=True):
        yield


def _sweep(out: Path, keep: Path) -> None:
    for folder in (out / "records", out / "failures", out / "checkpoints", *(out / "checkpoints").glob("*/")):
        atomic.sweep(folder)
    for stale in (out / "locks").glob("*.lock"):
        if stale != keep:
            stale.unlink(missing_ok=True)


def _lock(out: Path, name: str) -> Path:
    return out / "locks" / f"{name}.lock"
