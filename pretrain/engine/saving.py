"""Save a run in the background: a snapshot is taken at once, and one thread writes it.

Training waits for the snapshot alone, a copy in memory (on CUDA in pinned memory, issued without waiting for the
device). A second save waits until the first one is on the disk, so there are never more than two states in memory. What
goes wrong in the thread is raised in the training thread, at the next look at it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from pretrain.engine import history as histories
from pretrain.engine import state
from pretrain.engine.state import TrainingState

T = TypeVar("T")


class Copies(Protocol):
    """Copies in host memory that may still be on their way."""

    def synchronize(self) -> None:
        """Wait until they are complete."""
        ...


class Saver:
    """Writes the states and the history of a run, in the order they were given."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "saving")
        self._running: deque[Future[None]] = deque()

    def save(self, at: TrainingState) -> None:
        """Take a snapshot of a state and begin to write it, after the last one has been written.

        Raises:
            EdenError, OSError: writing failed, this time or before.
        """
        self.wait()
        self._submit(_write, self._folder, *snapshot(at))

    def note(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Begin to write the history."""
        self._submit(histories.write, self._folder, list(history))

    def look(self) -> None:
        """Raise what went wrong so far, without waiting."""
        while self._running and self._running[0].done():
            self._running.popleft().result()

    def wait(self) -> None:
        """Wait until everything has been written; raise what went wrong."""
        while self._running:
            self._running.popleft().result()

    def close(self) -> None:
        """Wait for the thread to end; what went wrong in it has been raised, or something else has."""
        self._thread.shutdown()

    def _submit(self, write: Callable[..., None], *arguments: object) -> None:
        self.look()
        self._running.append(self._thread.submit(write, *arguments))


def snapshot(at: TrainingState) -> tuple[TrainingState, Copies | None]:
    """Copy what training goes on to change to host memory; the second value is waited for before the copy is read."""
    devices: set[torch.device] = set()

    def copied(value: Tensor) -> Tensor:
        if value.device.type != "cuda":
            return value.detach().to("cpu", copy=True)
        devices.add(value.device)
        host = torch.empty_like(value, device="cpu", pin_memory=True)
        return host.copy_(value.detach(), non_blocking=True)

    kept = replace(
        at,
        method=_each(at.method, copied),
        optimisers=_each(at.optimisers, copied),
        sums=_each(at.sums, copied),
        history=list(at.history),
    )
    return kept, torch.cuda.current_stream(devices.pop()).record_event() if devices else None


def _each(found: T, copied: Callable[[Tensor], Tensor]) -> T:
    """Copy every tensor in nested dicts and lists."""
    made: Any = found
    if isinstance(found, Tensor):
        made = copied(found)
    elif isinstance(found, dict):
        made = {key: _each(value, copied) for key, value in found.items()}
    elif isinstance(found, list | tuple):
        made = type(found)(_each(value, copied) for value in found)
    return made


def _write(folder: Path, at: TrainingState, copies: Copies | None) -> None:
    if copies is not None:
        copies.synchronize()
    state.save(folder, at)
