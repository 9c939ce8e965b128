"""Optimisers and numeric precision that methods and the engine share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from eden_bench.contracts import PretrainConfig
from eden_bench.devices import fast_precision


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


def autocast(device: torch.device) -> torch.autocast:
    """Return a context in which layers compute in ``autocast_dtype``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=autocast_dtype(device) == torch.bfloat16)
