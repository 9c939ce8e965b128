"""Geometry of segmentation augmentation: source maps, and sampling by them."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tasks.finetuning.device_images import put


def cropped(crop: Tensor, size_px: int) -> tuple[Tensor, Tensor]:
    """Return source x and y (B, H) of the columns and rows of a crop (left, top, side) enlarged to the full size."""
    centres = torch.arange(size_px, device=crop.device) + 0.5
    left, top, side = (crop[:, column, None] for column in range(3))
    return left * size_px + centres * side - 0.5, top * size_px + centres * side - 0.5


def stretched(x: Tensor, y: Tensor, stretch: Tensor, size_px: int) -> Tensor:
    """Distort the grid: columns and rows of equal width are read from columns and rows of stretched width.

    Args:
        x: (B, H) source columns.
        y: (B, H) source rows.
        stretch: (B, 2, cells) factors of the columns' and rows' widths.
        size_px: side H.

    Returns:
        (B, H, H, 2).
    """
    columns, rows = _piecewise(x, stretch[:, 0], size_px), _piecewise(y, stretch[:, 1], size_px)
    return torch.stack((columns[:, None, :].expand(-1, size_px, -1), rows[:, :, None].expand(-1, -1, size_px)), -1)


def radial(source: Tensor, k: Tensor, size_px: int) -> Tensor:
    """Distort radially: read at 1 + k r² + k r⁴ times the distance from the centre, r in image sides."""
    centre = (size_px - 1) / 2
    away = source - centre
    r2 = (away / size_px).square().sum(dim=-1, keepdim=True)
    return centre + away * (1 + k[:, None, None, None] * (r2 + r2.square()))


def smooth_field(x: Tensor, y: Tensor, noise: Tensor, sigma_px: float) -> Tensor:
    """Return a smooth random field of unit variance at given columns and rows.

    It is white noise on a grid of knots, seen through a Gaussian of sigma_px whose weights are normalised to unit
    length at every point, so that the variance is 1 everywhere, and the correlation falls as it does for pixel
    noise under the same Gaussian.

    Args:
        x: (B, H) columns.
        y: (B, H) rows.
        noise: (B, 2, K, K) of mean 0 and variance 1, K = len(knots(H, sigma_px)).
        sigma_px: smoothing.

    Returns:
        (B, H, H, 2) displacement in x and y.
    """
    places = put(knots(x.shape[1], sigma_px), x.device)
    columns, rows = _weights(x, places, sigma_px), _weights(y, places, sigma_px)
    return (rows[:, None] @ noise @ columns[:, None].transpose(2, 3)).permute(0, 2, 3, 1)


def field_deviation(alpha_px: float, sigma_px: float) -> float:
    """Return the s.d. in pixels of noise, uniform in ± alpha_px, after a Gaussian: α / √3 / (2 σ √π)."""
    return alpha_px / math.sqrt(3) / (2 * sigma_px * math.sqrt(math.pi))


def knots(size_px: int, sigma_px: float) -> np.ndarray:
    """Return the noise's knots, one a sigma, from 3 sigma before the image to 3 sigma after it."""
    return np.arange(-3, math.ceil(size_px / sigma_px) + 4, dtype=np.float32) * sigma_px


def affine_of(points: Tensor, moves: Tensor, size_px: int) -> Tensor:
    """Apply the affine map that moves three corners of a square about the centre, a third of the image away.

    Args:
        points: (B, H, H, 2) x and y in pixels.
        moves: (B, 3, 2) pixels by which (+, +), (+, -) and (-, -) corners move.
        size_px: side H.
    """
    centre, reach = (size_px - 1) / 2, size_px / 3
    away = (points - centre) / reach
    first, second, third = (moves[:, None, None, corner] for corner in range(3))
    along_x, along_y = (second - third) / 2, (first - second) / 2
    return points + (first + third) / 2 + away[..., :1] * along_x + away[..., 1:] * along_y


def affine_matrix(moves: np.ndarray, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the map of `affine_of` for one image as a (2, 2) matrix and a shift (2,), float32."""
    centre, reach = (size_px - 1) / 2, size_px / 3
    first, second, third = moves
    slopes = np.stack(((second - third) / 2, (first - second) / 2), axis=1) / reach
    shift = (first + third) / 2 - centre * slopes.sum(axis=1)
    return (np.eye(2) + slopes).astype(np.float32), shift.astype(np.float32)


def sample(values: Tensor, source: Tensor, mode: str) -> Tensor:
    """Sample (B, C, H, H) values at source pixels (B, H, H, 2); beyond the border the image is mirrored."""
    grid = source * (2 / (values.shape[-1] - 1)) - 1
    return functional.grid_sample(values, grid, mode=mode, padding_mode="reflection", align_corners=True)


def _piecewise(values: Tensor, stretch: Tensor, size_px: int) -> Tensor:
    """Map [0, H) piecewise linearly: cell k of equal cells to a cell of stretch_k times the width."""
    cells = stretch.shape[1]
    ends = functional.pad(stretch.cumsum(dim=1), (1, 0))
    position = (values + 0.5) * (cells / size_px)
    cell = position.floor().clamp(0, cells - 1).long()
    inside = position - cell
    return (ends.gather(1, cell) + inside * stretch.gather(1, cell)) * (size_px / cells) - 0.5


def knot_weights(at: np.ndarray, places: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the weights of knots at points: (H,) and (K,) float32 to (H, K), Gaussian and of unit length."""
    away = (at[:, None] - places) / np.float32(sigma_px)
    weights = np.exp(np.float32(-0.5) * away * away)
    unit: np.ndarray = weights / np.sqrt(np.einsum("hk,hk->h", weights, weights))[:, None]
    return unit


def _weights(at: Tensor, places: Tensor, sigma_px: float) -> Tensor:
    weights = torch.exp(-0.5 * ((at[..., None] - places) / sigma_px).square())
    return functional.normalize(weights, dim=-1)
