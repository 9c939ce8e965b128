"""LARS: momentum whose step on each weight is proportional to the weight's own length (You et al., arXiv:1708.03888).

Written as VICReg and Barlow Twins use it: weight decay joins the gradient, the trust ratio scales their sum, momentum
collects the scaled sums. Vectors (biases, batch norm) have neither weight decay nor trust ratio.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from eden_bench.contracts import at_least


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling: v ← m·v + η‖w‖/‖g + d·w‖·(g + d·w), then w ← w − lr·v."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust: float = 0.001,
    ) -> None:
        """Validate the settings and build the parameter groups.

        Args:
            parameters: what is trained; those that receive no gradient are passed over.
            lr: learning rate.
            momentum: m.
            weight_decay: d, of tensors with two axes or more.
            trust: η.

        Raises:
            ValueError: a value is negative.
        """
        settings = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust}
        for name, value in settings.items():
            at_least(name, value, 0)
        super().__init__([p for p in parameters if p.requires_grad], settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step, without synchronising with the device. There is no closure: losses are computed before."""
        for group in self.param_groups:
            held = [parameter for parameter in group["params"] if parameter.grad is not None]
            updates = _scaled([p for p in held if p.ndim > 1], group["weight_decay"], group["trust"])
            updates |= {p: p.grad for p in held if p.ndim <= 1 and p.grad is not None}
            self._move(updates, group["momentum"], group["lr"])

    def _move(self, updates: dict[Tensor, Tensor], momentum: float, lr: float) -> None:
        if not updates:
            return
        for parameter in updates:
            if "momentum_buffer" not in self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        velocities = [self.state[parameter]["momentum_buffer"] for parameter in updates]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, list(updates.values()))
        torch._foreach_add_(list(updates), velocities, alpha=-lr)


def _scaled(weights: list[nn.Parameter], weight_decay: float, trust: float) -> dict[Tensor, Tensor]:
    """Return η‖w‖/‖u‖·u for u = g + d·w; u itself where either length is 0, as at the start of a zeroed weight."""
    if not weights:
        return {}
    updates = torch._foreach_add([w.grad for w in weights if w.grad is not None], list(weights), alpha=weight_decay)
    size, pull = torch.stack(torch._foreach_norm(list(weights))), torch.stack(torch._foreach_norm(updates))
    ratios = torch.where((size > 0) & (pull > 0), trust * size / pull, 1.0).unbind()
    return dict(zip(weights, torch._foreach_mul(updates, ratios), strict=True))
