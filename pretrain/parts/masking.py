"""Masked-image modelling: random masks, patches, and the view.

Masks are drawn from a step's own generator, on the CPU, so they are the same on every device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from eden_bench.contracts import ViewRecipe


def masking_recipe(size_px: int, crop_scale: tuple[float, float]) -> ViewRecipe:
    """Return the view of masked-image methods: a random resized crop and a flip, nothing else."""
    return ViewRecipe(size_px=size_px, crop_scale=crop_scale, flip_p=0.5)


def shuffled_places(count: int, places: int, generator: torch.Generator | None) -> Tensor:
    """Permute the places of each of count images at random, (count, places) int64, on the CPU."""
    return torch.rand(count, places, generator=generator).argsort(dim=1)


def draw_mask(count: int, side: int, masked: int, generator: torch.Generator | None) -> Tensor:
    """Draw masks that hide exactly ``masked`` of side × side units: (count, side, side) bool, True if hidden."""
    ranks = shuffled_places(count, side * side, generator)
    return (ranks < masked).view(count, side, side)


def enlarged(mask: Tensor, times: int) -> Tensor:
    """Upsample masks (B, h, w) by repeating every unit times × times: (B, h·times, w·times)."""
    return mask.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)


def patchify(images: Tensor, patch_px: int) -> Tensor:
    """Cut images (B, C, H, W) into patches, row by row: (B, N, patch_px² · C), channels last within a patch."""
    batch, channels, height, width = images.shape
    rows, columns = height // patch_px, width // patch_px
    cut = images.reshape(batch, channels, rows, patch_px, columns, patch_px)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, rows * columns, patch_px**2 * channels)
