"""Adam-v2's losses: pure functions of tensors, each with the constants of the released code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Reduction = Literal["mean", "sum"]
"""Of squared differences over features: the released code's mean, or their sum, d times as much."""


def localisability(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    centre: Tensor,
    *,
    student_temperature: float,
    teacher_temperature: float,
    skip_same: bool,
) -> Tensor:
    """Compute the mean over pairs of views of −Σ_k q_k log p_k, q = softmax((h_t − c)/τ_t), p = softmax(h_s/τ_s).

    Args:
        student: each (B, K).
        teacher: each (B, K); receives no gradient.
        centre: (1, K).
        student_temperature: τ_s.
        teacher_temperature: τ_t.
        skip_same: leave out the pairs of equal index, which are one view.
    """
    targets = [((each.detach().float() - centre) / teacher_temperature).softmax(1) for each in teacher]
    logs = [(each.float() / student_temperature).log_softmax(1) for each in student]
    pairs = [(q, p) for i, q in enumerate(targets) for j, p in enumerate(logs) if not (skip_same and i == j)]
    return torch.stack([-(q * p).sum(1).mean() for q, p in pairs]).mean()


def composability(composed: Tensor, whole: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Compute the squared difference of a whole's direction and that composed of its parts: (2 − 2 cos) / d.

    Args:
        composed: (B, d), from the student's parts.
        whole: (B, d), the teacher's; receives no gradient.
        reduction: over features.
    """
    return _squared(F.normalize(composed.float(), dim=1), F.normalize(whole.detach().float(), dim=1), reduction)


def decomposability(
    decomposed: Tensor, parts: Sequence[Tensor], norm: Literal["joint", "each"] = "joint", reduction: Reduction = "mean"
) -> Tensor:
    """Compute the mean over n parts of the squared difference between what is decomposed from a whole and the part.

    In the released code what is decomposed is normalised once over all parts together ("joint"), so that the least
    value is (1 − 1/√n)² / d and not 0.

    Args:
        decomposed: (B, n·d), from the student's whole.
        parts: n tensors (B, d), the teacher's; receive no gradient.
        norm: "joint", or "each" slice by itself.
        reduction: over features.
    """
    whole = F.normalize(decomposed.float(), dim=1) if norm == "joint" else decomposed.float()
    slices = whole.chunk(len(parts), dim=1)
    found = slices if norm == "joint" else [F.normalize(each, dim=1) for each in slices]
    pairs = zip(found, parts, strict=True)
    return torch.stack([_squared(u, F.normalize(p.detach().float(), dim=1), reduction) for u, p in pairs]).mean()


def _squared(found: Tensor, wanted: Tensor, reduction: Reduction) -> Tensor:
    mean = (found - wanted).square().mean()
    return mean if reduction == "mean" else mean * found.shape[1]
