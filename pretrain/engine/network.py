"""Wrap a method as the network that a step runs: in one process or several, in channels-last layout."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eden_bench.contracts import Method, PretrainConfig, Views
from eden_bench.errors import UsageError
from pretrain.engine import distributed
from pretrain.engine.optimisation import autocast


class Losses(nn.Module):
    """A method's losses as a module's forward, which is what DistributedDataParallel wraps."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, views: Views, turn: str) -> dict[str, Tensor]:
        """Return the losses of a turn."""
        return self.method.losses(views, turn)


def refuse_misfit(config: PretrainConfig, processes: int) -> None:
    """Validate that a batch and its groups divide among the processes; raise UsageError if not."""
    if config.batch_size % processes:
        raise UsageError(f"batch_size {config.batch_size} does not divide among {processes} processes")
    groups = config.bn_groups or processes
    if groups % processes:
        raise UsageError(
            f"bn_groups {groups} does not divide among {processes} processes, which would normalise in other groups "
            "than the config says: start as many processes as divide it, or change bn_groups"
        )


def clip(optimiser: torch.optim.Optimizer, clip_norm: float | None) -> None:
    """Clip the gradients of an optimiser's parameters to a norm; None disables clipping."""
    if clip_norm is not None:
        nn.utils.clip_grad_norm_([p for group in optimiser.param_groups for p in group["params"]], clip_norm)


def parallel(network: nn.Module, turns: int) -> nn.Module:
    """Average gradients over processes, if there are several; other turns' parameters are ignored."""
    if distributed.size() == 1:
        return network
    with warnings.catch_warnings():  # torch 2.15 renames broadcast_buffers, 2.10 does not know the new name
        warnings.simplefilter("ignore", FutureWarning)
        return DistributedDataParallel(network, broadcast_buffers=False, find_unused_parameters=turns > 1)


def laid_out(views: Views) -> Views:
    """Convert views to the channels-last layout, in which convolutions are fast."""
    images = (view.image.contiguous(memory_format=torch.channels_last) for view in views.views)
    return replace(views, views=tuple(replace(v, image=image) for v, image in zip(views.views, images, strict=True)))


def losses(module: nn.Module, views: Views, turn: str) -> dict[str, Tensor]:
    """Return the losses of a step that is only looked at: it draws the numbers that the step itself then draws."""
    draws = None if views.generator is None else views.generator.clone_state()
    with autocast(views.images[0].device):
        found: dict[str, Tensor] = module(replace(views, generator=draws), turn)
    return found
