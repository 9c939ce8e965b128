"""Views on an accelerator, a batch at once: the chain of ``render_opencv`` on the same draws, equal within rounding.

Anchors go up as uint8; everything after that is a few passes over the batch. Which samples are jittered, blurred or
turned is known on the host, so nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import ViewRecipe
from pretrain.drawing import UNCHANGED, Draws, upright_maps
from pretrain.pixels import adjust, blur_kernels, normalisation, reductions


def render(cells: Tensor, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """Render one view of each anchor, normalised.

    Args:
        cells: (B, h, w) or (B, h, w, 3) uint8, on the device that renders.
        draws: their parameters.
        recipe: size, threshold, mean and standard deviation.

    Returns:
        (B, 3, S, S) float32, channels last.
    """
    views = render_levels(cells, draws, recipe)
    scale, shift = (_send(values, views)[:, None, None] for values in normalisation(recipe))
    return (views * scale + shift).contiguous(memory_format=torch.channels_last)


def render_levels(cells: Tensor, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """Render one view of each anchor: (B, 1 or 3, S, S) float32 of whole levels in [0, 255]."""
    anchors = cells[:, None] if cells.ndim == 3 else cells.permute(0, 3, 1, 2)
    views = crop_and_resize(anchors, draws.crop, recipe.size_px)
    _jitter(views, draws)
    if views.shape[1] == 3:
        _apply(views, draws.grey, lambda chosen, _: _grey(chosen).expand_as(chosen))
    kernels = blur_kernels(draws.sigma_px)
    _apply(views, draws.sigma_px > 0, lambda chosen, rows: _blur(chosen, _send(kernels[rows], chosen)))
    _apply(views, draws.solarise, lambda chosen, _: _solarise(chosen, recipe.solarise_threshold))
    maps = upright_maps(draws, recipe.size_px)
    turned = draws.flip | (draws.angle_deg != 0)
    _apply(views, turned, lambda chosen, rows: _turn(chosen, _send(maps[rows], chosen)))
    return views


def crop_and_resize(anchors: Tensor, crop: np.ndarray, size_px: int) -> Tensor:
    """Resample crops to (B, C, size_px, size_px) whole levels, averaging anchors down first where crops are large.

    Args:
        anchors: (B, C, h, w) uint8.
        crop: (B, 4) top, left, height, width.
        size_px: side of the result.
    """
    factors = reductions(crop, size_px)
    views = torch.empty(*anchors.shape[:2], size_px, size_px, device=anchors.device)
    for by in np.unique(factors, axis=0):
        rows = np.flatnonzero((factors == by).all(axis=1))
        index = torch.from_numpy(rows).to(anchors.device, non_blocking=True)
        small = anchors[index].float()
        if by.max() > 1:
            small = _round(functional.avg_pool2d(small, tuple(by.tolist())))
        views[index] = _resample(small, crop[rows] / np.tile(by, 2), size_px)
    return views


def _resample(images: Tensor, crop: np.ndarray, size_px: int) -> Tensor:
    low_y, high_y, weight_y = _taps(crop[:, 0], crop[:, 2], images.shape[2], size_px)
    low_x, high_x, weight_x = _taps(crop[:, 1], crop[:, 3], images.shape[3], size_px)
    rows = _blend(images, low_y, high_y, weight_y, dim=2)
    return _round(_blend(rows, low_x, high_x, weight_x, dim=3))


def _taps(start: np.ndarray, length: np.ndarray, available: int, size_px: int) -> tuple[np.ndarray, ...]:
    """Return the two neighbours (B, S) of each view pixel along one axis and the weight of the second.

    Neighbours stay within the crop: what lies beside it is no part of the view.
    """
    start, length = start[:, None], length[:, None]
    first, last = np.floor(start), np.minimum(np.ceil(start + length), available) - 1
    at = np.clip((np.arange(size_px) + 0.5) * length / size_px + start - 0.5, first, last)
    low = np.floor(at)
    return low.astype(np.int64), np.minimum(low + 1, last).astype(np.int64), (at - low).astype(np.float32)


def _blend(images: Tensor, low: np.ndarray, high: np.ndarray, weight: np.ndarray, *, dim: int) -> Tensor:
    shape = (len(low), 1, -1, 1) if dim == 2 else (len(low), 1, 1, -1)
    near, far, share = (
        torch.from_numpy(values).to(images.device, non_blocking=True).view(shape) for values in (low, high, weight)
    )
    return torch.lerp(torch.take_along_dim(images, near, dim), torch.take_along_dim(images, far, dim), share)


def _jitter(views: Tensor, draws: Draws) -> None:
    changes = (_brighten, _contrast, _saturate, _turn_hue) if views.shape[1] == 3 else (_brighten, _contrast)
    for step in range(draws.order.shape[1]):
        for jitter, change in enumerate(changes):
            factors = draws.factors[:, jitter, None, None, None]
            chosen = (draws.order[:, step] == jitter) & (draws.factors[:, jitter] != UNCHANGED[jitter])
            _apply(views, chosen, partial(_jitter_by, change=change, factors=factors))


def _jitter_by(
    views: Tensor, rows: np.ndarray, *, change: Callable[[Tensor, Tensor], Tensor], factors: np.ndarray
) -> Tensor:
    return change(views, _send(factors[rows], views))


def _brighten(views: Tensor, factor: Tensor) -> Tensor:
    return adjust(views, 0.0, factor)


def _contrast(views: Tensor, factor: Tensor) -> Tensor:
    mean = _grey(views).double().mean(dim=(1, 2, 3), keepdim=True).float()
    return adjust(views, _round(mean), factor)


def _saturate(views: Tensor, factor: Tensor) -> Tensor:
    return adjust(views, _grey(views), factor)


def _turn_hue(views: Tensor, factor: Tensor) -> Tensor:
    """Shift the hue; hue and saturation are whole levels in between, and scaled, as in OpenCV's 8-bit HSV."""
    value, spread = views.amax(1, keepdim=True), views.amax(1, keepdim=True) - views.amin(1, keepdim=True)
    saturation = _round(255 * spread / value.clamp(min=1))
    hue = _round(_hue(views, value, spread.clamp(min=1)) * 256 / 6) + torch.trunc(factor * 255)
    sextants = hue % 256 * 6 / 255 + torch.tensor([5.0, 3.0, 1.0], device=views.device)[:, None, None]
    wave = sextants % 6
    return _round(value * (1 - saturation / 255 * torch.minimum(wave, 4 - wave).clamp(0, 1)))


def _hue(views: Tensor, value: Tensor, spread: Tensor) -> Tensor:
    """Return the hue in sixths of a turn, (B, 1, H, W) in [0, 6)."""
    red, green, blue = views[:, :, None].unbind(1)
    of_green, of_blue = (blue - red) / spread + 2, (red - green) / spread + 4
    return torch.where(value == red, (green - blue) / spread % 6, torch.where(value == green, of_green, of_blue))


def _grey(views: Tensor) -> Tensor:
    """Return ITU-R 601 luma in whole levels, (B, 1, H, W)."""
    if views.shape[1] == 1:
        return views
    red, green, blue = views[:, :, None].unbind(1)
    return _round(0.299 * red + 0.587 * green + 0.114 * blue)


def _blur(views: Tensor, kernels: Tensor) -> Tensor:
    """Blur each view along x, then y, with its own kernel (B, K); the edge pixel goes on outside."""
    size, radius = views.shape[3], kernels.shape[1] // 2
    padded = functional.pad(views, (radius, radius, radius, radius), mode="replicate")
    taps = kernels.T[:, :, None, None, None]
    along_x = sum((tap * padded[..., i : i + size] for i, tap in enumerate(taps)), views.new_zeros(()))
    return _round(sum((tap * along_x[..., i : i + size, :] for i, tap in enumerate(taps)), views.new_zeros(())))


def _solarise(views: Tensor, threshold: int) -> Tensor:
    return torch.where(views >= threshold, 255 - views, views)


def _turn(views: Tensor, to_upright: Tensor) -> Tensor:
    """Rotate and flip: take the pixel that each centre falls into, black outside; to_upright is (B, 2, 3)."""
    size = views.shape[3]
    centres = torch.arange(size, device=views.device) + 0.5
    x, y, shift = (to_upright[:, :, i, None, None] for i in range(3))
    at_x, at_y = torch.floor(x * centres + y * centres[:, None] + shift).unbind(1)
    inside = (at_x >= 0) & (at_x < size) & (at_y >= 0) & (at_y < size)
    index = (at_y * size + at_x).long().clamp_(0, size * size - 1)
    taken = torch.take_along_dim(views.flatten(2), index.flatten(1)[:, None], 2)
    return taken.view_as(views) * inside[:, None]


def _apply(views: Tensor, chosen: np.ndarray, change: Callable[[Tensor, np.ndarray], Tensor]) -> None:
    """Change the chosen views in place; change gets them and their row numbers."""
    rows = np.flatnonzero(chosen)
    if rows.size:
        index = torch.from_numpy(rows).to(views.device, non_blocking=True)
        views[index] = change(views[index], rows)


def _round(levels: Tensor) -> Tensor:
    return torch.floor(levels + 0.5)


def _send(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device, torch.float32, non_blocking=True)
