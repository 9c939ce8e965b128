"""Distortions of methods that restore images: blocks cut out, kept, swapped or filled.

All lengths are those of a 224-px view and scale with the view's side, so that a block covers as much of the anatomy.
Every number comes from one generator, drawn for the whole batch at once, so a sample's blocks depend on the step alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pretrain.views.uploading import uploaded

REFERENCE_PX = 224


class Blocks(NamedTuple):
    """Up to N rectangles in each sample of a batch, in pixels; an absent one has no area."""

    top: np.ndarray
    """(B, N) int64."""
    left: np.ndarray
    """(B, N) int64."""
    height: np.ndarray
    """(B, N) int64, 0 where absent."""
    width: np.ndarray
    """(B, N) int64, 0 where absent."""

    def mask(self, size_px: int, device: torch.device) -> Tensor:
        """Return the union of the blocks, (B, 1, size_px, size_px) bool."""
        pixels = np.arange(size_px)
        rows, columns = (
            torch.from_numpy(((pixels >= start[..., None]) & (pixels < (start + length)[..., None])).astype(np.float32))
            for start, length in ((self.top, self.height), (self.left, self.width))
        )
        return torch.bmm(uploaded(rows, device).transpose(1, 2), uploaded(columns, device))[:, None] > 0

    def where(self, chosen: np.ndarray) -> Blocks:
        """Return the blocks with those not chosen, (B, 1) or (B, N) bool, made absent."""
        return self._replace(height=self.height * chosen, width=self.width * chosen)


def table(count: int, width: int, generator: torch.Generator | None) -> np.ndarray:
    """Draw (count, width) uniform numbers in [0, 1), float64."""
    return np.asarray(torch.rand(count, width, generator=generator, dtype=torch.float64).numpy())


def integers(uniform: np.ndarray, low: int | np.ndarray, high: int | np.ndarray) -> np.ndarray:
    """Convert uniform numbers to integers in [low, high], both included, equally likely."""
    return np.asarray(np.floor(low + uniform * (high - low + 1))).astype(np.int64)


def scaled(length_px: float, size_px: int) -> int:
    """Scale a length of a 224-px view to a view of another size, at least 1 px."""
    return max(1, round(length_px * size_px / REFERENCE_PX))


def draw_blocks(uniform: np.ndarray, sides_px: tuple[int, int], size_px: int, border_px: int = 0) -> Blocks:
    """Draw blocks within the view, height and width independently.

    Args:
        uniform: (B, N, 4) in [0, 1).
        sides_px: shortest and longest side.
        size_px: side of the view.
        border_px: pixels along its edges that no block covers.
    """
    height, width = (integers(uniform[..., i], *sides_px) for i in (0, 1))
    top, left = (
        integers(uniform[..., i], border_px, size_px - border_px - side) for i, side in ((2, height), (3, width))
    )
    return Blocks(top, left, height, width)


def swapped(first: Blocks, second: Blocks, size_px: int) -> Tensor:
    """Return the source pixel of each pixel when pairs of blocks are swapped.

    All are read from the untouched view and written one pair after another, the second block of a pair last.

    Args:
        first: blocks.
        second: as many, of the same sides.
        size_px: side of the view.

    Returns:
        (B, size_px²) int64, indices into the flattened view.
    """
    untouched = np.arange(size_px * size_px).reshape(size_px, size_px)
    source = np.tile(untouched, (len(first.top), 1, 1))
    for sample, rows in enumerate(source):
        for pair in range(first.top.shape[1]):
            here, there = (_window(*(part[sample, pair] for part in blocks)) for blocks in (first, second))
            rows[here], rows[there] = untouched[there], untouched[here]
    return torch.from_numpy(source).flatten(1)


def taken(images: Tensor, source: Tensor) -> Tensor:
    """Gather images (B, C, S, S) from source pixels (B, S²)."""
    flat = images.flatten(2)
    moved = torch.take_along_dim(flat, uploaded(source[:, None], images.device), 2)
    return moved.view_as(images).contiguous(memory_format=torch.channels_last)


def stop_at_random(uniform: np.ndarray, stop_p: float) -> np.ndarray:
    """Draw which blocks of a row are used, (B, N) bool: the first always, and each may be the last.

    Args:
        uniform: (B, N) in [0, 1).
        stop_p: chance to stop after a block.
    """
    goes_on = uniform[:, :-1] >= stop_p
    return np.concatenate([np.ones((len(uniform), 1), bool), np.logical_and.accumulate(goes_on, axis=1)], axis=1)


def _window(top: int, left: int, height: int, width: int) -> tuple[slice, slice]:
    return slice(top, top + height), slice(left, left + width)
