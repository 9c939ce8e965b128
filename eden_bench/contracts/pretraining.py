"""Pretraining data and learning-rate schedules, as methods receive and declare them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

from eden_bench.contracts.checks import at_least, in_range


class Anchor(NamedTuple):
    """A part of an image from which views are cropped, with the whole image at every available size."""

    levels: tuple[np.ndarray, ...]
    """Finest first, each (s, s) or (s, s, 3) uint8."""
    box: tuple[float, float, float, float]
    """Top, left, height and width of the part, in pixels of the finest level."""
    px: tuple[int, int]
    """Height and width of the part in the pixels that crops are drawn in, the same for all images of a pyramid."""


class Pyramid(Protocol):
    """Images at several sizes from which anchors are cut: a dataset's, or made by a method."""

    def levels(self, sample: int) -> tuple[np.ndarray, ...]:
        """Return an image at its sizes, finest first, each (s, s) or (s, s, 3) uint8."""
        ...

    def anchor(self, sample: int, row: float, column: float, rows: int, columns: int) -> Anchor:
        """Return one cell of a rows × columns grid over an image; ``Anchor.px`` is the same for all.

        A row or column between whole numbers is a window of a cell's size between two cells.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class PretrainData:
    """Images to pretrain on, split into training and held-out validation rows."""

    pyramid: Pyramid
    train: np.ndarray
    """(n,) int64, indices into the pyramid, ascending."""
    validation: np.ndarray
    """(m,) int64, of other patients than ``train``, ascending."""
    digest: str
    """Of pixels, ids, labels and split: all that can change a run."""
    labels: np.ndarray | None = None
    """(N, L) float32 in {0, 1}, or None where the dataset has none."""
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning-rate schedule of a turn through a stage; by default half a cosine to 0, epoch by epoch.

    A method that wants another has ``schedule(turn) -> Schedule``.
    """

    shape: Literal["cosine", "constant", "falls", "plateau"] = "cosine"
    """After the warm-up: half a cosine, no change, times ``fall_to`` every ``fall_every_epochs``, or that whenever so
    many epochs and one more have not lowered the validation loss."""
    per: Literal["epoch", "step"] = "epoch"
    """Whether the rate is constant within an epoch or changes with every optimiser step."""
    warmup_epochs: float = 0.0
    warmup_counts: bool = False
    """Whether the cosine's course began with the warm-up, so that the rate drops a little where that ends."""
    floor: float = 0.0
    """Share of the base rate that the cosine ends at."""
    fall_every_epochs: int = 1
    fall_to: float = 0.1
    stop_after_epochs: int | None = None
    """The stage ends early when more epochs than this have passed without a lower validation loss."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        if self.shape not in ("cosine", "constant", "falls", "plateau"):
            raise ValueError(f"shape must be 'cosine', 'constant', 'falls' or 'plateau', not {self.shape!r}")
        if self.per not in ("epoch", "step"):
            raise ValueError(f"per must be 'epoch' or 'step', not {self.per!r}")
        at_least("warmup_epochs", self.warmup_epochs, 0)
        at_least("fall_every_epochs", self.fall_every_epochs, 1)
        in_range("floor", self.floor, 0, 1)
        in_range("fall_to", self.fall_to, 0, 1)

    def factor(self, epoch: float, epochs: int, losses: Sequence[float] = ()) -> float:
        """Return the share of the base learning rate at a time of the stage.

        Args:
            epoch: epochs since the stage began, its fraction the share of the running epoch's steps.
            epochs: of the stage.
            losses: validation loss of each finished epoch of the stage; a plateau is one of them.
        """
        now = epoch if self.per == "step" else math.floor(epoch)
        if now < self.warmup_epochs:  # step by step from 0, as in MAE and VICReg; epoch by epoch never 0
            return now / self.warmup_epochs if self.per == "step" else (now + 1) / (self.warmup_epochs + 1)
        if self.shape == "constant":
            return 1.0
        if self.shape == "plateau":
            return self.fall_to ** plateaus(losses, self.fall_every_epochs)
        if self.shape == "falls":
            return self.fall_to ** (now // self.fall_every_epochs)
        before = 0 if self.warmup_counts else self.warmup_epochs
        cosine = 0.5 * (1 + math.cos(math.pi * (now - before) / max(1, epochs - before)))
        return self.floor + (1 - self.floor) * cosine

    def is_over(self, losses: Sequence[float]) -> bool:
        """Return whether the stage ends before its last epoch."""
        if self.stop_after_epochs is None or not losses:
            return False
        return len(losses) - 1 - losses.index(min(losses)) > self.stop_after_epochs


def plateaus(losses: Sequence[float], patience: int, threshold: float = 1e-4) -> int:
    """Count how often more than ``patience`` epochs in a row were no better: torch's ReduceLROnPlateau, its defaults.

    Args:
        losses: of each epoch; better is below (1 − threshold) times the best so far.
        patience: epochs that may pass without.
        threshold: relative.
    """
    best, waited, found = math.inf, 0, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best * (1 - threshold) else (best, waited + 1)
        if waited > patience:
            waited, found = 0, found + 1
    return found
