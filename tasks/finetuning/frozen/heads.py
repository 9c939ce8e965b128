"""Heads on the maps of a frozen encoder: an attentive classifier, and a linear segmentation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.encoders import Encoder, seeded

_CHANNELS_A_HEAD = 64


class AttentiveHead(nn.Module):
    """One multi-head attention layer that a learned query reads a map's positions by, and a linear layer."""

    def __init__(self, channels: int, labels: int, heads: int, seed: int) -> None:
        super().__init__()
        with seeded(seed, "head"):
            self.query = nn.Parameter(torch.randn(1, 1, channels) * channels**-0.5)
            self.attention = nn.MultiheadAttention(channels, heads, batch_first=True)
            self.linear = nn.Linear(channels, labels)

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits (B, L) of maps (B, D, h, w)."""
        positions = maps.flatten(2).transpose(1, 2)
        read, _ = self.attention(self.query.expand(len(maps), -1, -1), positions, positions, need_weights=False)
        logits: Tensor = self.linear(read[:, 0])
        return logits


class MapHead(nn.Module):
    """Batch norm and a 1 × 1 convolution, resized bilinearly."""

    def __init__(self, channels: int, structures: int, size_px: int, seed: int) -> None:
        super().__init__()
        self.size_px = size_px
        with seeded(seed, "head"):
            self.norm = nn.BatchNorm2d(channels)
            self.linear = nn.Conv2d(channels, structures, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return logits (B, S, size, size) of maps (B, D, h, w)."""
        return functional.interpolate(
            self.linear(self.norm(maps)), (self.size_px, self.size_px), mode="bilinear", align_corners=False
        )


def heads_of(encoder: Encoder, channels: int) -> int:
    """Return the encoder's own number of heads in its last attention; without one, a head for 64 channels.

    >>> heads_of(nn.Identity(), 2048), heads_of(nn.Identity(), 24)
    (32, 1)
    """
    found = [getattr(module, "num_heads", None) for module in encoder.modules()]
    own = [count for count in found if isinstance(count, int)]
    wanted = own[-1] if own else max(1, channels // _CHANNELS_A_HEAD)
    return next(count for count in range(wanted, 0, -1) if channels % count == 0)
