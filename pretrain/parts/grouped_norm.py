"""Batch norm by groups of a batch, within one pass of a network over the whole batch.

A network that runs group by group launches every kernel once a group, on a small batch. Where only batch norm sees
more than one image at a time, the groups matter to batch norm alone: everything else runs once over the whole batch,
and each batch norm normalises its groups one after the other, straight into one output. That is the same arithmetic as
group by group, and the running statistics follow the first group alone there too.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

_norm = torch.ops.aten.native_batch_norm


def allows(network: nn.Module) -> bool:
    """Return whether all batch norms of a network are torch's own, each with a fixed momentum."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm)]
    return all(type(layer).forward is _BatchNorm.forward and layer.momentum is not None for layer in layers)


@contextlib.contextmanager
def normalising_by_groups(network: nn.Module, groups: int) -> Iterator[None]:
    """Let the batch norms of a network that are training normalise each group of a batch alone, inside the block."""
    layers = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and _uses_batch(layer)]
    counted: Counter[Tensor] = Counter()
    try:
        for layer in layers:
            layer.forward = partial(_normalised, layer, groups, counted)  # type: ignore[method-assign]
        yield
    finally:
        for layer in layers:
            del layer.forward
        for times in set(counted.values()):
            torch._foreach_add_([batches for batches, found in counted.items() if found == times], times)


def _uses_batch(layer: _BatchNorm) -> bool:
    return layer.training or layer.running_mean is None


def _normalised(layer: _BatchNorm, groups: int, counted: Counter[Tensor], images: Tensor) -> Tensor:
    layer._check_input_dim(images)  # type: ignore[no-untyped-call]
    if len(images) // groups * images[0, 0].numel() < 2:
        raise ValueError(
            f"Expected more than 1 value per channel in each of {groups} groups, got {tuple(images.shape)}"
        )
    running: tuple[Tensor | None, Tensor | None] = (None, None)
    if layer.training and layer.track_running_stats and layer.num_batches_tracked is not None:
        counted[layer.num_batches_tracked] += 1  # one launch at the end instead of one a layer
        running = (layer.running_mean, layer.running_var)
    apply = cast(Any, _Normalise.apply)
    normalised: Tensor = apply(images, layer.weight, layer.bias, *running, groups, layer.momentum, layer.eps)
    return normalised


class _Normalise(torch.autograd.Function):
    """Each group's batch norm, written into one tensor of the images' own layout."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's own context
        images: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        groups: int,
        momentum: float,
        eps: float,
    ) -> Tensor:
        out = torch.empty_like(images)
        kind = torch.promote_types(images.dtype, torch.float32)
        means, scales = images.new_empty(2, groups, images.shape[1], dtype=kind)
        parts = zip(images.tensor_split(groups), out.tensor_split(groups), means, scales, strict=True)
        for number, (part, normalised, mean, scale) in enumerate(parts):
            running = (None, None) if number else (running_mean, running_var)
            saved = {"out": normalised, "save_mean": mean, "save_invstd": scale}
            _norm.out(part, weight, bias, *running, True, momentum, eps, **saved)
        ctx.save_for_backward(images, weight, means, scales)
        ctx.groups, ctx.eps = groups, eps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_out: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        images, weight, means, scales = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        by_images = torch.empty_like(images) if wanted[0] else None
        by_parameters: list[Tensor] = []
        parts = zip(*(whole.tensor_split(ctx.groups) for whole in (by_out, images)), means, scales, strict=True)
        for number, (by_part, part, mean, scale) in enumerate(parts):
            found = torch.ops.aten.native_batch_norm_backward(
                by_part, part, weight, None, None, mean, scale, True, ctx.eps, wanted
            )
            if by_images is not None:
                by_images.tensor_split(ctx.groups)[number].copy_(found[0])
            by_parameters += [each for each, needed in zip(found[1:], wanted[1:], strict=True) if needed]
        sums = iter(torch.stack(by_parameters).view(ctx.groups, -1, len(mean)).sum(0)) if any(wanted[1:]) else iter(())
        by_weight, by_bias = (next(sums) if needed else None for needed in wanted[1:])
        return by_images, by_weight, by_bias, None, None, None, None, None
