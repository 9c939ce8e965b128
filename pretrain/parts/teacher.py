"""The teacher: a network that follows the student as an exponential moving average and receives no gradient."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def make_teacher(student: M) -> M:
    """Return a copy of the student that no optimiser and no gradient can reach."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Set ξ ← m·ξ + (1 − m)·θ for parameters only, in one fused launch.

    Batch-norm statistics are not averaged: the teacher's come from its own forward passes. Called after the
    optimiser's step, which is the same as before the next step's key forward (He et al., Algorithm 1).
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
