"""Barlow Twins: the two views' embeddings agree, feature by feature and no more (Zbontar et al., arXiv:2103.03230).

Not as in the paper: SGD with momentum instead of LARS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import nn

from eden_bench import (
    MethodCard,
    PretrainConfig,
    PretrainMethod,
    Stage,
    ViewRecipe,
    Views,
    build_encoder,
    register_method,
)


@dataclass(frozen=True, kw_only=True)
class BarlowTwinsConfig(PretrainConfig):
    """The paper's values."""

    epochs: int = 1000
    batch_size: int = 2048
    lr: float = 1.6
    weight_decay: float = 1.5e-6
    warmup_epochs: int = 10
    off_diagonal: float = 0.005
    width: int = 8192

    quick: ClassVar[Mapping[str, Any]] = {"lr": 0.02, "width": 64, "warmup_epochs": 1}
    """A narrow projector: an epoch of the quick phantom has a handful of batches."""


@register_method("barlow-twins")
class BarlowTwins(PretrainMethod):
    """The cross-correlation of two views' embeddings is driven to the identity."""

    Config = BarlowTwinsConfig
    config: BarlowTwinsConfig
    card = MethodCard(
        title="Barlow Twins",
        paper="Zbontar et al., ICML 2021, arXiv:2103.03230",
        licence="MIT (original code)",
        backbone="ResNet-50",
        data="ImageNet",
        differences=("SGD with momentum instead of LARS",),
    )

    def __init__(self, config: BarlowTwinsConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = build_encoder(config.arch)
        sizes = [self.encoder.out_channels] + [config.width] * 2
        layers = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU()]
        self.projector = nn.Sequential(*layers, nn.Linear(config.width, config.width, bias=False))

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        size_px = self.config.size_px
        both = ViewRecipe(
            size_px=size_px, crop_scale=(0.08, 1.0), jitter_p=0.8, brightness=0.4, contrast=0.4, saturation=0.2,
            hue=0.1, grey_p=0.2, flip_p=0.5,
        )  # fmt: skip
        return replace(both, blur_p=1.0), replace(both, blur_p=0.1, solarise_p=0.2)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        config = self.config
        return {
            "main": torch.optim.SGD(self.parameters(), config.lr, config.momentum, weight_decay=config.weight_decay)
        }

    def losses(self, views: Views, turn: str = "main") -> dict[str, torch.Tensor]:
        first, second = (self.projector(self.encoder.embed(image)) for image in views.images)
        matrix = cross_correlation(first, second)
        diagonal = torch.diagonal(matrix)
        invariance = (1 - diagonal).square().sum()
        redundancy = matrix.square().sum() - diagonal.square().sum()
        return {"invariance": invariance, "redundancy": self.config.off_diagonal * redundancy}


def cross_correlation(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Eq. 2: C_ij of embeddings (B, D) that are centred along the batch."""
    first, second = (z - z.mean(dim=0) for z in (first, second))
    norms = [z.square().sum(dim=0).sqrt().clamp_min(1e-6) for z in (first, second)]
    return (first / norms[0]).T @ (second / norms[1])
