"""Optimisers, schedules and numeric precision that methods and the engine share."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn

from eden_bench.checkpoints import autocast_precision
from eden_bench.contracts import PretrainConfig


def sgd(parameters: Iterable[nn.Parameter], config: PretrainConfig) -> torch.optim.SGD:
    """Return fused SGD over the trainable parameters; weight decay on all of them, batch norm and biases included."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    return torch.optim.SGD(
        trainable, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
    )


def lr_factor(epoch: int, epochs: int, warmup_epochs: int = 0) -> float:
    """Return the share of the base learning rate in an epoch (from 0): linear warm-up, then half a cosine to 0.

    Without warm-up this is ½(1 + cos(π e / E)), constant within an epoch, as in MoCo's and Adam's code.
    """
    if epoch < warmup_epochs:
        return (epoch + 1) / (warmup_epochs + 1)
    return 0.5 * (1 + math.cos(math.pi * (epoch - warmup_epochs) / max(1, epochs - warmup_epochs)))


def set_lr(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Set every parameter group's learning rate to factor times the one it was made with."""
    for group in optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor


def autocast_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the hardware multiplies it faster than float32, else float32."""
    return {"bfloat16": torch.bfloat16, "float32": torch.float32}[autocast_precision(device.type)]
