"""Render views on an accelerator, a batch at once, from the same draws as on the CPU, equal within rounding.

Windows go up as uint8, padded to one shape; everything after that is a few passes over the batch. Which samples are
jittered, blurred or turned is known on the host, so nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import ViewRecipe
from pretrain.views.draws import UNCHANGED, Draws, upright_maps
from pretrain.views.pixels import adjust, blur_kernels, normalisation
from pretrain.views.windows import Window, antialiasing


class Stack(NamedTuple):
    """Windows of a batch padded into one tensor, each in the upper left corner."""

    pixels: Tensor
    """(B, H, W) or (B, H, W, 3) uint8; what lies beside a window is any value."""
    windows: Sequence[Window]

    def to(self, device: torch.device) -> Stack:
        """Move the pixels to a device."""
        return self._replace(pixels=self.pixels.to(device, non_blocking=True))


def stack(windows: Sequence[Window], *, pinned: bool = False) -> Stack:
    """Pad windows into one tensor, of the largest height and width."""
    height, width = np.max([window.pixels.shape[:2] for window in windows], axis=0).tolist()
    shape = (len(windows), height, width, *windows[0].pixels.shape[2:])
    pixels = torch.empty(shape, dtype=torch.uint8, pin_memory=pinned)
    filled = pixels.numpy()
    for place, window in zip(filled, windows, strict=True):
        place[: window.pixels.shape[0], : window.pixels.shape[1]] = window.pixels
    return Stack(pixels, windows)


def render(windows: Stack, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """Render one view of each window, normalised.

    Args:
        windows: as the draws' crops cut them, on the device that renders.
        draws: the other parameters.
        recipe: size, threshold, mean and standard deviation.

    Returns:
        (B, 3, S, S) float32, channels last.
    """
    views = render_levels(windows, draws, recipe)
    scale, shift = (_send(values, views)[:, None, None] for values in normalisation(recipe))
    return (views * scale + shift).contiguous(memory_format=torch.channels_last)


def render_levels(windows: Stack, draws: Draws, recipe: ViewRecipe) -> Tensor:
    """Render one view of each window: (B, 1 or 3, S, S) float32 of whole levels in [0, 255]."""
    views = resample(windows, recipe.size_px)
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


def resample(windows: Stack, size_px: int) -> Tensor:
    """Smooth windows and resample their crops bilinearly to (B, C, size_px, size_px) whole levels."""
    pixels = windows.pixels
    images = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    places = np.array([(*window.crop, *window.pixels.shape[:2]) for window in windows.windows], np.float64)
    top, left, height, width, *ends = torch.from_numpy(places.T).to(images.device, non_blocking=True)
    along_y, along_x = (_send(weights, images) for weights in antialiasing(windows.windows, size_px))
    rows = _blend(images, *_taps(top, height, ends[0], along_y, size_px), dim=2)
    return _round(_blend(rows, *_taps(left, width, ends[1], along_x, size_px), dim=3))


def _taps(start: Tensor, length: Tensor, available: Tensor, smoothing: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Return the neighbours (B, K + 1, S) of each view pixel along one axis, and their weights, on the device.

    Smoothing (B, K) and linear interpolation in one, in float64. Neighbours stay within the window; its edge pixel goes
    on outside. Made there, since their upload would take longer than the windows'.
    """
    step, last, radius = length[:, None] / size_px, available[:, None] - 1, smoothing.shape[1] // 2
    centres = torch.arange(size_px, dtype=torch.float64, device=start.device) + 0.5
    at = torch.minimum((centres * step + start[:, None] - 0.5).clamp(min=0), last)
    low = torch.floor(at)
    share = (at - low)[:, None]
    offsets = torch.arange(-radius, radius + 2, device=start.device)[:, None]
    index = torch.minimum((low[:, None] + offsets).clamp(min=0), last[:, None])
    near, far = (functional.pad(smoothing, ends)[:, :, None] for ends in ((0, 1), (1, 0)))
    return index.long(), ((1 - share) * near + share * far).float()


def _blend(images: Tensor, index: Tensor, weights: Tensor, *, dim: int) -> Tensor:
    shape = (len(index), 1, -1, 1) if dim == 2 else (len(index), 1, 1, -1)
    blended: Tensor | float = 0.0
    for at, by in zip(index.unbind(1), weights.unbind(1), strict=True):
        blended = blended + by.reshape(shape) * torch.take_along_dim(images, at.reshape(shape), dim)
    return torch.as_tensor(blended)


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
    """Shift the hue; hue and saturation are quantised as in OpenCV's 8-bit HSV."""
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
    """Apply change in place to the chosen views; it receives them and their row numbers."""
    rows = np.flatnonzero(chosen)
    if rows.size:
        index = torch.from_numpy(rows).to(views.device, non_blocking=True)
        views[index] = change(views[index], rows)


def _round(levels: Tensor) -> Tensor:
    return torch.floor(levels + 0.5)


def _send(values: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(values).to(like.device, torch.float32, non_blocking=True)
