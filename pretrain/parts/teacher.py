"""Momentum teacher: an exponential moving average of the student, without gradients."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def make_teacher(student: M) -> M:
    """Copy the student to a teacher that no optimiser and no gradient reaches."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Update the teacher, ξ ← m·ξ + (1 − m)·θ, parameters only, in one fused launch.

    Batch-norm statistics are not averaged: the teacher's come from its own forward passes. Called after the
    optimiser's step, which is the same as before the next step's key forward (He et al., Algorithm 1).
    """
    torch._foreach_lerp_(list(teacher.parameters()), list(student.parameters()), 1 - momentum)
