"""PCRL's batches: mixed with partners, transformed by flips and quarter turns, with holes cut out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from pretrain.parts.distortions import Blocks, integers, scaled, table
from pretrain.views.uploading import uploaded

HOLES, HOLE_PX = 3, 32


class Mixing(NamedTuple):
    """Mixing partners and coefficients of a batch; each is max(β, 1 − β) with β uniform, so at least a half."""

    share: float
    """Of each image, against its partner's."""
    partners: Tensor
    """(B,) int64, a permutation; the same for both views."""
    transformed: float
    """α₁: the student's share in the features that restore the transformed view."""
    mixed: float
    """α₂: the same for the mixed image."""

    def of(self, values: Tensor) -> Tensor:
        """Mix a batch with its partners."""
        return blended(values, values[self.partners], self.share)


def blended(values: Tensor, others: Tensor, share: float) -> Tensor:
    """Interpolate: share · values + (1 − share) · others."""
    return share * values + (1 - share) * others


def draw_mixing(count: int, generator: torch.Generator | None, device: torch.device) -> Mixing:
    """Draw partners and the three coefficients of a batch."""
    share, transformed, mixed = (max(beta, 1 - beta) for beta in table(1, 3, generator)[0].tolist())
    return Mixing(share, uploaded(torch.randperm(count, generator=generator), device), transformed, mixed)


def draw_moves(count: int, generator: torch.Generator | None) -> Tensor:
    """Draw transformations: (B, 6) float32 of [upside down, mirrored, one-hot quarter turns 0 to 3]."""
    numbers = torch.from_numpy(table(count, 3, generator))
    turns = F.one_hot((numbers[:, 2] * 4).long(), 4)
    return torch.cat([numbers[:, :2] < 0.5, turns], dim=1).float()


def moved(images: Tensor, moves: Tensor) -> Tensor:
    """Flip images (B, 3, S, S) upside down, mirror them and turn them by quarters, each by its row of moves (B, 6)."""
    upside_down, mirrored = (moves[:, i].bool()[:, None, None, None] for i in (0, 1))
    images = torch.where(upside_down, images.flip(2), images)
    images = torch.where(mirrored, images.flip(3), images)
    for quarters in (1, 2, 3):
        turned = moves[:, 2 + quarters].bool()[:, None, None, None]
        images = torch.where(turned, torch.rot90(images, quarters, (2, 3)), images)
    return images


def cut_out(images: Tensor, generator: torch.Generator | None) -> Tensor:
    """Set three square holes to 0, after normalisation; centres are anywhere, so a hole may overlap the border.

    DeVries and Taylor, arXiv:1708.04552.
    """
    size, side = images.shape[3], scaled(HOLE_PX, images.shape[3])
    corners = integers(table(len(images), 2 * HOLES, generator), 0, size - 1) - side // 2
    sides = np.full((len(images), HOLES), side)
    holes = Blocks(corners[:, :HOLES], corners[:, HOLES:], sides, sides)
    return images.masked_fill(holes.mask(size, images.device), 0.0)
