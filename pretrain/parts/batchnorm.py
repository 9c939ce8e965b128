"""Grouped and shuffled batch norm, so that a query and its key are normalised beside different images.

Batch statistics otherwise tell the network which key belongs to which query (He et al., CVPR 2020, arXiv:1911.05722,
section 3.3). The paper's four GPUs normalise 64 images each; on one device the batch is cut into as many groups. A CPU
runs group by group, which costs what one pass costs; a GPU, which likes large batches, runs once and cuts at the batch
norms alone (``grouped_norm``). With several processes keys are shuffled across all of them.
Running statistics follow the first group alone, as those of the paper's first GPU, which are saved, follow its images.
In eval mode batch norm uses its running statistics, and both functions simply call the network.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pretrain.engine import distributed
from pretrain.parts import grouped_norm
from pretrain.views.uploading import uploaded


def in_groups(network: nn.Module, images: Tensor, groups: int, *maps: tuple[Tensor, ...]) -> Any:  # noqa: ANN401 - what the network returns
    """Run a network over images, each group of them normalised alone; return the outputs of all.

    Args:
        network: returns a tensor, or a (named) tuple of tensors, batch first.
        images: (B, 3, H, W), this process's part of the batch.
        groups: number of groups in the whole batch, over all processes.
        maps: what else the network takes, as a decoder does, batch first.
    """
    own = max(1, groups // distributed.size())
    if own == 1 or not network.training:
        return network(images, *maps)
    if _at_once(images.device) and grouped_norm.allows(network):
        with grouped_norm.normalising_by_groups(network, own):
            return network(images, *maps)
    parts = (zip(*(one.tensor_split(own) for one in each), strict=True) for each in maps)
    first, *others = zip(images.tensor_split(own), *parts, strict=True)
    outputs = [network(*first)]
    with _statistics_kept(network):
        outputs += [network(*part) for part in others]
    return _join(outputs)


@torch.no_grad()
def shuffled_in_groups(network: nn.Module, images: Tensor, groups: int, generator: torch.Generator | None) -> Any:  # noqa: ANN401 - what the network returns
    """Run a network over shuffled images group by group, without gradients; outputs are unshuffled.

    Args:
        network: as in ``in_groups``.
        images: (B, 3, H, W), this process's part of the batch.
        groups: as in ``in_groups``.
        generator: where the permutation is drawn from (process 0's counts).
    """
    if not network.training:
        return network(images)
    everyone = distributed.gathered(images)
    order = distributed.from_first(uploaded(torch.randperm(len(everyone), generator=generator), images.device))
    own = slice(distributed.rank() * len(images), (distributed.rank() + 1) * len(images))
    mixed = everyone[order[own]].contiguous(memory_format=torch.channels_last)
    home = torch.argsort(order)[own]
    return _each(in_groups(network, mixed, groups), lambda rows: distributed.gathered(rows)[home])


def _at_once(device: torch.device) -> bool:
    """Return whether a device runs groups in one pass; a CPU keeps the order of its sums."""
    return device.type == "cuda"


@contextlib.contextmanager
def _statistics_kept(network: nn.Module) -> Iterator[None]:
    """Normalise by each batch as usual, without updating batch norm's running statistics."""
    tracking = [layer for layer in network.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    try:
        for layer in tracking:
            layer.track_running_stats = False
        yield
    finally:
        for layer in tracking:
            layer.track_running_stats = True


def _join(outputs: list[Any]) -> Any:  # noqa: ANN401
    if isinstance(outputs[0], Tensor):
        return torch.cat(outputs)
    return _like(outputs[0], [torch.cat(parts) for parts in zip(*outputs, strict=True)])


def _each(output: Any, change: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401
    if isinstance(output, Tensor):
        return change(output)
    return _like(output, [change(part) for part in output])


def _like(output: Any, parts: list[Tensor]) -> Any:  # noqa: ANN401
    return getattr(type(output), "_make", tuple)(parts)
