"""Variance, invariance and covariance of two embeddings (Bardes et al., VICReg, ICLR 2022, arXiv:2105.04906)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from pretrain.engine.distributed import gathered_with_gradient

_STABLE = 1e-4


class Terms(NamedTuple):
    """The three terms of a loss, unweighted; scalars."""

    invariance: Tensor
    variance: Tensor
    covariance: Tensor


def vic_terms(first: Tensor, second: Tensor, *, share: bool = False) -> Terms:
    """Compute the three terms of two embeddings of one batch (Bardes et al., ICLR 2022, arXiv:2105.04906).

    Args:
        first: (B, ..., D), an embedding of each image, or one for each match slot, whose statistics stay apart.
        second: as first, of the other view.
        share: variance and covariance over the batches of all processes together; the invariance is averaged anyway.
    """
    everyone = [gathered_with_gradient(z) if share else z for z in (first, second)]
    return Terms(
        invariance=F.mse_loss(first, second),
        variance=torch.stack([hinge(z) for z in everyone]).mean(),
        covariance=torch.stack([off_diagonal(z) for z in everyone]).mean(),
    )


def hinge(z: Tensor) -> Tensor:
    """Return the mean over dimensions (and slots) of max(0, 1 − √(Var + 1e-4)); variance over z's first axis."""
    variance = (z - z.mean(dim=0)).square().sum(dim=0) / _freedom(z)
    return F.relu(1 - (variance + _STABLE).sqrt()).mean()


def off_diagonal(z: Tensor) -> Tensor:
    """Return Σ_{a≠b} C[a, b]² / D, the mean over slots; C is the covariance over z's first axis, divisor N − 1.

    ‖ZᵀZ‖² = ‖ZZᵀ‖², so the smaller of the two products is formed: (N, N) where the batch is smaller than D.
    """
    centred = (z - z.mean(dim=0)).flatten(1, -2).transpose(0, 1) if z.ndim > 2 else (z - z.mean(dim=0))[None]
    slots, count, dim = centred.shape
    product = centred @ centred.mT if count < dim else centred.mT @ centred
    on_diagonal = centred.square().sum(dim=1).square().sum()
    return (product.square().sum() - on_diagonal) / (_freedom(z) ** 2 * dim * slots)


def _freedom(z: Tensor) -> int:
    return max(1, len(z) - 1)
