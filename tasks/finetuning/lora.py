"""Low-rank updates of attention projections (Hu et al., ICLR 2022, arXiv:2106.09685): W + (α / r) B A."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from eden_bench.encoders import Encoder
from eden_bench.errors import UsageError

PROJECTIONS = ("qkv", "q_proj", "k_proj", "v_proj", "proj")
"""Names of the linear layers of an attention: queries, keys and values, together or apart, and the output."""


class LowRank(nn.Module):
    """A linear layer that is not trained, and its update of rank r: A drawn as a linear layer's weights are, B zero."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.layer, self.scale = layer, alpha / rank
        self.down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    @property
    def weight(self) -> Tensor:
        """W + (α / r) B A, for networks that take a layer's weight and multiply by it themselves."""
        return self.layer.weight + self.scale * self.up @ self.down

    @property
    def bias(self) -> Tensor | None:
        """The layer's bias, which is not updated."""
        return self.layer.bias

    def forward(self, features: Tensor) -> Tensor:
        """Return W x + b + (α / r) B A x."""
        updated: Tensor = self.layer(features) + (features @ self.down.T) @ self.up.T * self.scale
        return updated


def add(encoder: Encoder, rank: int, alpha: float) -> None:
    """Give every attention projection of an encoder a low-rank update.

    Raises:
        UsageError: it has none, as a convolutional network.
    """
    found = [
        (attention, name, layer)
        for path, attention in encoder.named_modules()
        if path.rpartition(".")[2].startswith("attn")
        for name, layer in attention.named_children()
        if name in PROJECTIONS and isinstance(layer, nn.Linear)
    ]
    if not found:
        raise UsageError(
            f"lora: {encoder.arch} has no attention projections, expected a transformer: choose a frozen protocol"
        )
    for attention, name, layer in found:
        setattr(attention, name, LowRank(layer, rank, alpha))
