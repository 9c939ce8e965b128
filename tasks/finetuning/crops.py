"""Classification augmentation: random resized crop, flip and rotation in batches as one warp; ten test crops.

The order is the released code's: crop, enlarge, flip, rotate, with black where the rotated crop does not reach.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench import seeds
from tasks.finetuning.device_images import put
from tasks.finetuning.protocol import ClassificationProtocol

_ATTEMPTS = 10
"""Crops that torchvision's RandomResizedCrop draws before it falls back to the centre."""
_NUMBERS = 2 * _ATTEMPTS + 4


class CropDraws(NamedTuple):
    """Random crop, flip and rotation of each of B samples, on the CPU."""

    box: np.ndarray
    """(B, 4): left, top, width, height of the crop in source pixels."""
    flips: np.ndarray
    """(B,) bool."""
    angle: np.ndarray
    """(B,) rotation in radians, counter-clockwise."""


def draw(protocol: ClassificationProtocol, seed: int, epoch: int, rows: np.ndarray) -> CropDraws:
    """Draw the parameters of a batch; a sample's depend on (seed, epoch, sample) only."""
    u = seeds.uniforms(seed, "augmentation", epoch, rows=rows, width=_NUMBERS)
    width, height = _crop_sizes(u, protocol)
    left = np.floor(u[:, -4] * (protocol.source_px - width + 1))
    top = np.floor(u[:, -3] * (protocol.source_px - height + 1))
    angle = np.deg2rad(protocol.rotation_deg) * (2 * u[:, -1] - 1)
    return CropDraws(np.stack((left, top, width, height), axis=1), u[:, -2] < protocol.flip_p, angle)


def random_crops(images: Tensor, draws: CropDraws, size_px: int) -> Tensor:
    """Crop, enlarge, flip and rotate each image by one warp.

    Args:
        images: (B, C, P, P) uint8.
        draws: what to do with each.
        size_px: side H of what is returned.

    Returns:
        (B, C, H, H) float32 in [0, 1].
    """
    source, inside = _source(draws, size_px, images.device)
    grid = source * (2 / (images.shape[-1] - 1)) - 1
    cut = functional.grid_sample(images.float() / 255, grid, padding_mode="border", align_corners=True)
    return cut * inside[:, None]


def centre_crop(images: Tensor, size_px: int) -> Tensor:
    """Return the middle (B, C, size_px, size_px) of images (B, C, P, P)."""
    start = round((images.shape[-1] - size_px) / 2)
    return images[..., start : start + size_px, start : start + size_px]


def ten_crops(images: Tensor, size_px: int) -> list[Tensor]:
    """Return four corners and the centre, each (B, C, size_px, size_px), then the mirror images of the five."""
    far = images.shape[-1] - size_px
    corners = [images[..., y : y + size_px, x : x + size_px] for y in (0, far) for x in (0, far)]
    crops = [*corners, centre_crop(images, size_px)]
    return crops + [crop.flip(-1) for crop in crops]


def _crop_sizes(u: np.ndarray, protocol: ClassificationProtocol) -> tuple[np.ndarray, np.ndarray]:
    """Return width and height in source pixels of the first of ten draws that fits the image, else all of it."""
    (low, high), ratio, side = protocol.crop_scale, protocol.crop_ratio, protocol.source_px
    area = side**2 * (low + (high - low) * u[:, :_ATTEMPTS])
    log_low, log_high = math.log(ratio[0]), math.log(ratio[1])
    aspect = np.exp(log_low + (log_high - log_low) * u[:, _ATTEMPTS : 2 * _ATTEMPTS])
    widths, heights = np.round(np.sqrt(area * aspect)), np.round(np.sqrt(area / aspect))
    fits = (widths <= side) & (heights <= side) & (np.minimum(widths, heights) >= 1)
    first, row = fits.argmax(axis=1), np.arange(len(u))
    any_fits = fits.any(axis=1)
    return np.where(any_fits, widths[row, first], side), np.where(any_fits, heights[row, first], side)


def _source(draws: CropDraws, size_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return source pixels (B, H, H, 2), and (B, H, H) float 1 where the rotated crop reaches, else 0."""
    box, angle = _put(draws.box, device)[:, None, None], _put(draws.angle, device)[:, None, None]
    sign = _put(1 - 2 * draws.flips.astype(np.float32), device)[:, None, None]
    axis = torch.arange(size_px, device=device) - (size_px - 1) / 2
    x, y = axis[None, None, :], axis[None, :, None]
    turned = torch.stack((x * angle.cos() - y * angle.sin(), y * angle.cos() + x * angle.sin()), dim=-1)
    inside = (turned.abs() <= size_px / 2).all(dim=-1).float()
    share = torch.stack((turned[..., 0] * sign, turned[..., 1]), dim=-1) / size_px + 0.5
    return box[..., :2] + share * box[..., 2:] - 0.5, inside


def _put(values: np.ndarray, device: torch.device) -> Tensor:
    return put(np.asarray(values, dtype=np.float32), device)
