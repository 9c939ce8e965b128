"""Lock cells and pretrainings between processes that share an output folder. Kernel locks end with their process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from eden_bench.errors import StoreFailed
from eden_bench.files import atomic, mounts
from eden_bench.weights.checkpoints import CARD, STATE

_WRITTEN = ("records", "failures", "checkpoints", "networks", "report", "report/figures", "audit")
"""Folders in OUT in which files are written aside; a folder that is not ours is left alone."""


@contextlib.contextmanager
def claim(out: Path, name: str, *, wait: bool) -> Iterator[bool]:
    """Lock one cell or pretraining; yield whether the lock was acquired."""
    with atomic.locked(_lock(out, name), wait=wait) as got:
        yield got


def forget(out: Path, name: str) -> None:
    """Delete the lock of a stored cell while holding it: a process that waits on it finds the record."""
    with atomic.explained(out):
        _lock(out, name).unlink(missing_ok=True)


def exists(out: Path, name: str) -> bool:
    """Return whether there is such a lock; whoever does not see the driver's works in another folder."""
    return _lock(out, name).is_file()


@contextlib.contextmanager
def presence(out: Path) -> Iterator[None]:
    """Mark this process as a writer of out; the first one alone removes temporary files of killed processes.

    Raises:
        StoreFailed: out cannot be written, or is on a network file system whose locks other machines do not see.
    """
    lock = _lock(out, "run")
    mounts.refuse_local_locks(out)
    with atomic.explained(out), atomic.locked(lock, wait=False) as alone:
        if alone:
            _sweep(out, lock)
    with atomic.locked(lock, shared=True):
        yield


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """Hold off the sweep while another command than a run writes into out; no more where no run could sweep."""
    with contextlib.ExitStack() as stack:
        if _lock(out, "run").is_file():
            with contextlib.suppress(StoreFailed, OSError):  # may only be read, or has no locks
                stack.enter_context(atomic.locked(_lock(out, "run"), shared=True))
        yield


def _sweep(out: Path, keep: Path) -> None:
    checkpoints = list((out / "checkpoints").glob("*/"))
    for folder in (out, *(out / name for name in _WRITTEN), *checkpoints):
        atomic.sweep(folder)
    for folder in checkpoints:
        if (folder / CARD).is_file():
            (folder / STATE).unlink(missing_ok=True)
    for stale in (out / "locks").glob("*.lock"):
        if stale != keep:
            stale.unlink(missing_ok=True)


def _lock(out: Path, name: str) -> Path:
    return out / "locks" / f"{name}.lock"


class Claims:
    """What a driver has claimed: cells and pretrainings, until their results are stored."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._held: dict[str, contextlib.ExitStack] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def take(self, name: str) -> bool:
        """Claim a cell or a pretraining; return whether it was free."""
        stack = contextlib.ExitStack()
        if not stack.enter_context(claim(self._out, name, wait=False)):
            stack.close()
            return False
        self._held[name] = stack
        return True

    def release(self, name: str, *, done: bool = False) -> None:
        """Let go; with done, delete the lock too."""
        if done:
            forget(self._out, name)
        self._held.pop(name).close()

    def close(self) -> None:
        """Let everything go."""
        for name in list(self._held):
            self.release(name)
