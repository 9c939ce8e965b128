"""Adam-v2's heads: localisability with a weight-normalised last layer, composability and decomposability."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from eden_bench.encoders import Encoder


class LocalisabilityHead(nn.Module):
    """Linear, GELU, linear, GELU, linear, unit length; then the cosine with each of K directions.

    The last layer is a weight-normalised linear one without bias, its gain fixed to 1.
    """

    def __init__(self, width: int, hidden: int, bottleneck: int, directions: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, bottleneck)
        )
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.directions = nn.Parameter(nn.Linear(bottleneck, directions, bias=False).weight.detach().clone())

    def forward(self, features: Tensor) -> Tensor:
        """Return cosines (B, K) of features (B, d)."""
        return F.linear(F.normalize(self.mlp(features), dim=1), F.normalize(self.directions, dim=1))


class Branch(nn.Module):
    """An encoder and its localisability head: what the student is and the teacher a copy of."""

    def __init__(self, encoder: Encoder, head: LocalisabilityHead) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def features(self, images: Tensor) -> Tensor:
        """Return pooled features (B, d)."""
        return self.encoder.embed(images)

    def views(self, images: list[Tensor]) -> list[Tensor]:
        """Return the head's output of each view; consecutive views of one size go through the encoder together."""
        groups: list[list[Tensor]] = []
        for image in images:
            if groups and groups[-1][0].shape == image.shape:
                groups[-1].append(image)
            else:
                groups.append([image])
        found = torch.cat([self.features(torch.cat(group)) for group in groups])
        return list(self.head(found).split(len(images[0])))


def part_head(width: int, parts: int, *, composes: bool) -> nn.Sequential:
    """Return the composability head, (n·d → d → d), or the decomposability head, (d → d → n·d)."""
    first, last = (parts * width, width) if composes else (width, parts * width)
    return nn.Sequential(nn.Linear(first, width), nn.ReLU(), nn.Linear(width, last))
