"""Adam-v2's schedules and optimiser: rates per step, each parameter tensor clipped by itself, one held at first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

_SMALL = 1e-6


def cosine(step: int, steps: int, start: float, end: float) -> float:
    """Return end + ½ (start − end) (1 + cos(π step / steps)): the end is neared and not hit.

    >>> [round(cosine(step, 10, 0.04, 0.4), 5) for step in (0, 1, 5, 9)]
    [0.04, 0.04881, 0.22, 0.39119]
    """
    return end + 0.5 * (start - end) * (1 + math.cos(math.pi * step / steps))


def warmed_up(step: int, steps: int, warmup: int, base: float, end: float) -> float:
    """Return the rate of a step: evenly from 0 to base over the warm-up, both reached, then a cosine.

    >>> [round(warmed_up(step, 10, 2, 1.0, 0.1), 5) for step in range(5)]
    [0.0, 1.0, 1.0, 0.96575, 0.8682]
    """
    if step < warmup:
        return base * step / max(1, warmup - 1)
    return cosine(step - warmup, steps - warmup, base, end)


class ClippedAdamW(torch.optim.AdamW):
    """AdamW that clips each tensor's gradient by itself to a norm; it can leave one parameter out of a step.

    Attributes:
        held: a parameter whose gradient is dropped, so that neither decay nor moments reach it; None for none.
    """

    held: nn.Parameter | None = None

    def __init__(self, groups: Iterable[dict[str, Any]], lr: float, clip_norm: float) -> None:
        super().__init__(list(groups), lr=lr)
        self.clip_norm = clip_norm

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step."""
        if self.held is not None:
            self.held.grad = None
        grads = [p.grad for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms = torch._foreach_norm(grads)
        torch._foreach_mul_(grads, [(self.clip_norm / (norm + _SMALL)).clamp(max=1.0) for norm in norms])
        super().step()

    def set(self, lr: float, weight_decay: float) -> None:
        """Set the learning rate of every group, and the decay of the groups that decay."""
        for group in self.param_groups:
            group["lr"] = lr
            group["weight_decay"] = weight_decay if group["decays"] else 0.0


def grouped(modules: Iterable[nn.Module]) -> list[dict[str, Any]]:
    """Return the trained parameters in two groups: those of two dimensions and more decay, biases and gains do not."""
    trained = [p for module in modules for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "decays": True},
        {"params": [p for p in trained if p.ndim <= 1], "decays": False},
    ]
