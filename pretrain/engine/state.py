"""Training state: one file, written atomically, from which an interrupted run resumes.

Its first line names the format; then come the SHA-256 of the rest, and the rest: tensors and plain values, read
without unpickling code.
"""

from __future__ import annotations

import hashlib
import io
import logging
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from eden_bench.errors import UsageError
from eden_bench.files import atomic
from eden_bench.weights.checkpoints import STATE

FILE = STATE
_MAGIC = b"eden-bench training state 1\n"
_DIGEST_BYTES = 32
_log = logging.getLogger("eden_bench")


@dataclass
class TrainingState:
    """Resumable state of a run: position, tensors, optimisers, history and best encoder."""

    recipe: str
    """Identity of the run; a state of another recipe is refused."""
    stage: int = 0
    """Number of the stage that goes on, from 0."""
    epoch: int = 0
    """Epoch of that stage that goes on, from 0."""
    step: int = 0
    """Next step of that epoch, from 0."""
    method: dict[str, torch.Tensor] = field(default_factory=dict)
    optimisers: dict[str, dict[str, Any]] = field(default_factory=dict)
    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    """Losses and metrics summed over the steps of the epoch that goes on; scalars."""
    seconds: float = 0.0
    """Time spent on the epoch that goes on."""
    waited_s: float = 0.0
    """Part of it spent waiting for views."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each finished epoch."""
    best: dict[str, Any] | None = None
    """Lowest validation loss of the last stage: "loss", "epoch" and "encoder"."""

    def begin_epoch(self, epoch: int) -> None:
        """Reset the counters to the first step of an epoch."""
        self.epoch, self.step, self.sums, self.seconds, self.waited_s = epoch, 0, {}, 0.0, 0.0

    def where(self) -> str:
        """Return the stage, epoch and step to resume at, for messages."""
        return f"stage {self.stage + 1}, epoch {self.epoch + 1}, step {self.step}"


def save(folder: Path, state: TrainingState) -> None:
    """Replace the state in a folder, atomically and durably."""
    buffer = io.BytesIO()
    torch.save({f.name: getattr(state, f.name) for f in fields(state)}, buffer)
    payload = buffer.getbuffer()
    with atomic.aside(folder / FILE) as path, path.open("wb") as file:
        file.write(_MAGIC)
        file.write(hashlib.sha256(payload).digest())
        file.write(payload)


def load(folder: Path, recipe: str) -> TrainingState:
    """Load the state of a folder to resume from; a fresh one if it is absent or damaged (which is logged).

    Raises:
        UsageError: the state belongs to another recipe.
    """
    path = folder / FILE
    if not path.is_file():
        return TrainingState(recipe)
    content = _verified(path.read_bytes())
    if content is None:
        _log.warning("%s is damaged and is not used: pretraining starts again from the beginning", path)
        return TrainingState(recipe)
    state = TrainingState(**torch.load(io.BytesIO(content), weights_only=True, map_location="cpu"))
    if state.recipe != recipe:
        raise UsageError(
            f"{path} belongs to another run ({state.recipe[:12]}, expected {recipe[:12]}): choose another folder, or "
            "delete the file to start again"
        )
    return state


def discard(folder: Path) -> None:
    """Delete the state after its checkpoint has been written."""
    (folder / FILE).unlink(missing_ok=True)


def _verified(content: bytes) -> bytes | None:
    """Return the payload after validating its digest."""
    start = len(_MAGIC) + _DIGEST_BYTES
    stated, payload = content[len(_MAGIC) : start], content[start:]
    whole = content.startswith(_MAGIC) and hashlib.sha256(payload).digest() == stated
    return payload if whole else None
