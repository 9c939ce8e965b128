"""Noise-contrastive estimation against a queue, with a normaliser that the first batch fixes.

Tian et al., ECCV 2020, arXiv:1906.05849 (CMC), after Gutmann and Hyvärinen, AISTATS 2010: each positive and each of
the K negatives is told from noise on its own, where InfoNCE tells one positive among K + 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-5


def densities(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Compute e^{s/τ} of each query's cosine with its key and with each queued one, (B, 1 + K) float32.

    Args:
        query: (B, C), unit length.
        key: (B, C), unit length, the positives.
        queue: (C, K), columns of unit length.
        temperature: τ.
    """
    with torch.autocast(query.device.type, enabled=False):
        positive = (query.float() * key.float()).sum(1, keepdim=True)
        return (torch.cat([positive, query.float() @ queue.detach().float()], dim=1) / temperature).exp()


def normaliser(found: Tensor, images: int) -> Tensor:
    """Estimate Z, the mean density times the number of images, a scalar without gradient."""
    return found.detach().mean() * images


def nce_loss(found: Tensor, z: Tensor, images: int) -> Tensor:
    """Return −[log P⁺/(P⁺ + K/n + ε) + Σ_j log (K/n)/(P_j + K/n + ε)], the mean over queries, with P = density / Z.

    Args:
        found: (B, 1 + K), from ``densities``; the positive comes first.
        z: Z.
        images: n; it cancels but for ε, since Z grows with it.
    """
    probability = found / z
    noise = (found.shape[1] - 1) / images
    positive, negatives = probability[:, 0], probability[:, 1:]
    of_data = torch.log(positive / (positive + noise + EPSILON))
    of_noise = torch.log(noise / (negatives + noise + EPSILON)).sum(1)
    return -(of_data + of_noise).mean()
