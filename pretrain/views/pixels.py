"""Pixel arithmetic that both renderers share: levels, blur kernels, integer weights, normalisation."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from eden_bench.contracts import ViewRecipe

Levels = TypeVar("Levels")

_KERNEL_UNIT = 256


def adjust(levels: Levels, pivot: Levels | float, factor: Levels | float) -> Levels:
    """Scale levels about a pivot by a factor, rounded down and clipped to [0, 255], as PIL's ``blend`` does.

    Brightness pivots on 0, contrast on the mean grey level, saturation on each pixel's grey level.

    Args:
        levels: float32 array or tensor of whole levels.
        pivot: broadcastable with levels.
        factor: broadcastable with levels; 1 changes nothing.
    """
    plain: Any = levels  # arrays and tensors share the few operations below
    adjusted: Levels = (pivot + factor * (plain - pivot)).clip(0, 255) // 1
    return adjusted


def blur_kernels(sigma_px: np.ndarray) -> np.ndarray:
    """Return a Gaussian kernel per sample, cut at three s.d. and padded with zeros to the widest.

    Args:
        sigma_px: (B,); 0 gives the kernel that changes nothing.

    Returns:
        (B, K) float32, K odd.
    """
    radius = int(np.ceil(3 * sigma_px.max(initial=0.3)))
    offsets = np.arange(-radius, radius + 1)
    sigma = np.maximum(sigma_px, 1e-3)[:, None]
    weights = np.exp(-0.5 * (offsets / sigma) ** 2) * (np.abs(offsets) <= np.ceil(3 * sigma))
    return whole_weights(weights)


def whole_weights(weights: np.ndarray) -> np.ndarray:
    """Quantise weights (B, K), K odd, to 256ths that sum to 1, float32; the middle one absorbs the rounding.

    OpenCV rounds the weights of 8-bit images so, and a sum beside 1 would change the brightness.
    """
    whole = np.rint(weights / weights.sum(axis=1, keepdims=True) * _KERNEL_UNIT)
    whole[:, weights.shape[1] // 2] += _KERNEL_UNIT - whole.sum(axis=1)
    kernels: np.ndarray = (whole / _KERNEL_UNIT).astype(np.float32)
    return kernels


def normalisation(recipe: ViewRecipe) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and shift, (3,) float32 each: a normalised value is level · scale + shift."""
    mean, std = np.array(recipe.mean), np.array(recipe.std)
    return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)
