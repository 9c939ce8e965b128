"""Optimisers, schedules and numeric precision that methods and the engine share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from eden_bench.contracts import PretrainConfig, at_least, in_range
from eden_bench.devices import fast_precision


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a turn's learning rate moves through a stage; without changes a half cosine to 0, epoch by epoch.

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
        """Refuse values no schedule can mean."""
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
        """Whether the stage ends before its last epoch."""
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


def sgd(parameters: Iterable[nn.Parameter], config: PretrainConfig) -> torch.optim.SGD:
    """Return fused SGD over the trainable parameters; weight decay on all of them, batch norm and biases included."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    return torch.optim.SGD(
        trainable, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
    )


def adamw(
    module: nn.Module, config: PretrainConfig, *, betas: tuple[float, float], undecayed: tuple[str, ...] = ()
) -> torch.optim.AdamW:
    """Return fused AdamW over a module's trainable parameters, weight decay on weights only.

    Args:
        module: what is trained.
        config: learning rate and weight decay.
        betas: of the two moments.
        undecayed: parameters whose name ends so are not decayed either; vectors and biases never are.
    """
    named = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
    plain = [p for name, p in named if p.ndim <= 1 or name.endswith((".bias", *undecayed))]
    kept = {id(parameter) for parameter in plain}
    decayed = [parameter for _, parameter in named if id(parameter) not in kept]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, betas=betas, fused=True)


def set_lr(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every parameter group's learning rate to factor times the one it was made with."""
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor


def autocast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies it faster than float32, else float32."""
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[fast_precision(device.type)]
