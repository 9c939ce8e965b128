"""Segmentation augmentation: the paper's five transformations (F.2) in batches, as one warp.

Gamma or brightness and contrast change the grey values; one of elastic, grid and optical distortion bends the
image, then a square crop may be enlarged. Bending and cropping are composed into one map of source coordinates, by
which image (bilinear) and mask (nearest) are sampled once each, so that they stay aligned exactly. Which sample gets
what depends on (seed, epoch, sample) only. On a GPU a batch is one sampling; on a CPU OpenCV makes the same of the same
draws (`tasks.finetuning.augmentation_opencv`).

Strengths and chances are those of the released code. Not as there: grey values are not rounded between the
transformations, the elastic field is drawn on a grid as fine as its smoothing and not per pixel (its moments are
the same), and the optical distortion's half-pixel shift is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from eden_bench import seeds
from tasks.finetuning.augmentation_opencv import augment
from tasks.finetuning.device_images import put
from tasks.finetuning.protocol import SegmentationProtocol
from tasks.finetuning.warps import (
    affine_matrix,
    affine_of,
    cropped,
    field_deviation,
    knot_weights,
    knots,
    radial,
    sample,
    smooth_field,
    stretched,
)

_REFERENCE_PX = 224
"""Side of the input for which the protocol's pixel strengths are given."""
_UNIT = np.float32(math.sqrt(12))
"""Times numbers uniform in ± 0.5 has variance 1."""
_NUMBERS = 16
"""Uniform numbers a sample takes, less the grid's."""

Elastic = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], None]
"""Fills (2, H, H) with the x and y that the elastic distortion reads at, from columns and rows (H,), affine moves
(3, 2) and the sample's place in the batch."""


@dataclass(frozen=True)
class SegmentationDraws:
    """Random augmentation parameters of B samples, on the CPU; uniform in [0, 1) by default."""

    brightens: np.ndarray
    """(B,) bool: brightness and contrast change."""
    brightness: np.ndarray
    """(B,) added, as a share of white."""
    contrast: np.ndarray
    """(B,) factor."""
    bends: np.ndarray
    """(B,) bool: gamma changes."""
    gamma: np.ndarray
    """(B,) exponent."""
    distortion: np.ndarray
    """(B,) str: "elastic", "grid", "optical" or "" for none."""
    affine: np.ndarray
    """(B, 3, 2) moves of three corners in [-1, 1)."""
    stretch: np.ndarray
    """(B, 2, cells) factors of the grid's columns and rows."""
    optical: np.ndarray
    """(B,) radial distortion k."""
    crop: np.ndarray
    """(B, 3): left, top and side of the crop as shares of the image's side; (0, 0, 1) keeps all."""


class Augmentation:
    """Draws and applies the augmentation of one run.

    Args:
        protocol: chances and strengths.
        seed: the cell's.
        device: where batches live.
    """

    def __init__(self, protocol: SegmentationProtocol, seed: int, device: torch.device) -> None:
        self.protocol = protocol
        self.seed = seed
        self.device = device
        self._room = [torch.empty(0), torch.empty(0)]

    def __call__(self, images: Tensor, masks: Tensor, rows: np.ndarray, epoch: int) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: (B, C, H, H) uint8.
            masks: (B, S, H, H) uint8 in {0, 1}.
            rows: (B,) dataset positions of the samples.
            epoch: which pass over the images this is.

        Returns:
            Images (B, C, H, H) in [0, 1] and masks (B, S, H, H) in {0, 1}, float32. On a CPU the next call writes into
            the same memory: fresh memory costs more than the augmentation.
        """
        draws = draw(self.protocol, self.seed, epoch, rows)
        if self.device.type == "cpu":
            return self._on_cpu(images, masks, draws, self._elastic_of(rows, epoch, images.shape[-1]))
        grey, masks = intensities(images.float() / 255, draws), masks.float()
        moved = np.flatnonzero((draws.distortion != "") | (draws.crop[:, 2] < 1))
        if len(moved):
            at = put(moved, self.device)
            source = self.source(draws, moved, rows, epoch, images.shape[-1])
            grey[at], masks[at] = sample(grey[at], source, "bilinear"), sample(masks[at], source, "nearest")
        return grey, masks

    def _on_cpu(
        self, images: Tensor, masks: Tensor, draws: SegmentationDraws, elastic: Elastic
    ) -> tuple[Tensor, Tensor]:
        self._room = [_room_for(of, kept) for of, kept in zip((images, masks), self._room, strict=True)]
        grey, moved = (room[: len(images)] for room in self._room)
        augment(images.numpy(), masks.numpy(), draws, elastic, grey.numpy(), moved.numpy())
        return grey, moved

    def source(self, draws: SegmentationDraws, moved: np.ndarray, rows: np.ndarray, epoch: int, size_px: int) -> Tensor:
        """Compose the source map of the moved samples: (M, H, H, 2) x and y in source pixels, centres at integers."""
        x, y = cropped(self._put(draws.crop[moved]), size_px)
        source = torch.stack((x[:, None, :].expand(-1, size_px, -1), y[:, :, None].expand(-1, -1, size_px)), dim=-1)
        source = source.clone()
        kinds = draws.distortion[moved]
        for kind in np.unique(kinds[kinds != ""]):
            here = np.flatnonzero(kinds == kind)
            at, which = put(here, self.device), moved[here]
            if kind == "grid":
                source[at] = stretched(x[at], y[at], self._put(draws.stretch[which]), size_px)
            elif kind == "optical":
                source[at] = radial(source[at], self._put(draws.optical[which]), size_px)
            else:
                noise = self._put(self._noise(rows[which], epoch, size_px))
                source[at] = self._elastic(x[at], y[at], source[at], self._put(draws.affine[which]), noise, size_px)
        return source

    def _elastic(self, x: Tensor, y: Tensor, source: Tensor, corners: Tensor, noise: Tensor, size_px: int) -> Tensor:
        scale = size_px / _REFERENCE_PX
        sigma, alpha = self.protocol.elastic_sigma_px, self.protocol.elastic_alpha_px
        bent = source + smooth_field(x, y, noise, sigma * scale) * (field_deviation(alpha, sigma) * scale)
        return affine_of(bent, corners * (self.protocol.elastic_affine_px * scale), size_px)

    def _elastic_of(self, rows: np.ndarray, epoch: int, size_px: int) -> Elastic:
        """Compute a sample's elastic map: the affine map mixes the noise, and one product adds its moves."""
        scale = size_px / _REFERENCE_PX
        sigma = self.protocol.elastic_sigma_px
        deviation = np.float32(field_deviation(self.protocol.elastic_alpha_px, sigma) * scale)
        places = knots(size_px, sigma * scale)

        def elastic(maps: np.ndarray, x: np.ndarray, y: np.ndarray, corners: np.ndarray, which: int) -> None:
            noise = self._noise(rows[which : which + 1], epoch, size_px)[0] * deviation
            matrix, shift = affine_matrix(corners * (self.protocol.elastic_affine_px * scale), size_px)
            lines, columns = (knot_weights(at, places, sigma * scale) for at in (y, x))
            left = np.empty((2, size_px, len(places) + 2), np.float32)
            left[..., :-2] = lines @ np.tensordot(matrix, noise, 1)
            left[..., -2], left[..., -1] = matrix[:, 1:] * y + shift[:, None], matrix[:, :1]
            right = np.concatenate((columns.T, np.ones_like(x)[None], x[None]))
            rows_of_both, into = (torch.from_numpy(array).flatten(0, 1) for array in (left, maps))
            torch.mm(rows_of_both, torch.from_numpy(right), out=into)

        return elastic

    def _noise(self, rows: np.ndarray, epoch: int, size_px: int) -> np.ndarray:
        count = len(knots(size_px, self.protocol.elastic_sigma_px * size_px / _REFERENCE_PX))
        generators = (seeds.generator(self.seed, "elastic", epoch, int(row)) for row in rows)
        uniform = np.stack([each.random((2, count, count), dtype=np.float32) for each in generators])
        noise: np.ndarray = (uniform - np.float32(0.5)) * _UNIT
        return noise

    def _put(self, values: np.ndarray) -> Tensor:
        return put(np.asarray(values, dtype=np.float32), self.device)


def draw(protocol: SegmentationProtocol, seed: int, epoch: int, rows: np.ndarray) -> SegmentationDraws:
    """Draw the parameters of a batch; a sample's depend on (seed, epoch, sample) only."""
    cells = protocol.grid_cells
    u = seeds.uniforms(seed, "augmentation", epoch, rows=rows, width=_NUMBERS + 2 * cells)
    changed, either, bent = u[:, 0] < protocol.intensity_p, u[:, 1] < 0.5, u[:, 4] < protocol.distortion_p
    kinds = np.array([*protocol.distortions, ""])
    which = kinds[np.minimum((u[:, 5] * len(protocol.distortions)).astype(int), len(kinds) - 1)]
    side = np.where(u[:, 6] < protocol.crop_p, _between(u[:, 7], protocol.crop_min_share, 1), 1.0)
    low, high = protocol.gamma
    return SegmentationDraws(
        brightens=changed & either,
        brightness=_between(u[:, 2], -protocol.brightness, protocol.brightness),
        contrast=1 + _between(u[:, 3], -protocol.contrast, protocol.contrast),
        bends=changed & ~either,
        gamma=_between(u[:, 2], low, high),
        distortion=np.where(bent, which, ""),
        affine=_between(u[:, 8:14], -1, 1).reshape(-1, 3, 2),
        stretch=1 + _between(u[:, _NUMBERS:], -protocol.grid_limit, protocol.grid_limit).reshape(-1, 2, cells),
        optical=_between(u[:, 8], -protocol.optical_limit, protocol.optical_limit),
        crop=np.stack((u[:, 14] * (1 - side), u[:, 15] * (1 - side), side), axis=1),
    )


def intensities(grey: Tensor, draws: SegmentationDraws) -> Tensor:
    """Change brightness and contrast (contrast · v + brightness), or gamma (v ** gamma), of images in [0, 1]."""
    brightened, bent = np.flatnonzero(draws.brightens), np.flatnonzero(draws.bends)
    if len(brightened):
        at = put(brightened, grey.device)
        factor, added = _per_image(draws.contrast[brightened], grey), _per_image(draws.brightness[brightened], grey)
        grey[at] = (grey[at] * factor + added).clamp(0, 1)
    if len(bent):
        at = put(bent, grey.device)
        grey[at] = grey[at] ** _per_image(draws.gamma[bent], grey)
    return grey


def _between(uniform: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + (high - low) * uniform


def _room_for(batch: Tensor, kept: Tensor) -> Tensor:
    """Return a float32 buffer for a batch; the kept one is reused if it is large enough."""
    return kept if kept.shape[1:] == batch.shape[1:] and len(kept) >= len(batch) else torch.empty(batch.shape)


def _per_image(values: np.ndarray, like: Tensor) -> Tensor:
    return put(values.astype(np.float32), like.device)[:, None, None, None]
