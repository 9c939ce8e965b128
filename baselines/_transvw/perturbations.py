"""Perturbations of Models Genesis and TransVW, which the network learns to undo.

Zhou et al., MICCAI 2019, arXiv:1908.06912; Haghighi et al., TMI 2021, arXiv:2102.10680: an elastic deformation always,
then one of: pixels shuffled within small blocks, intensities bent by a Bézier curve, a block filled with noise
(in-painting), or all but a block (out-painting), each as likely. Lengths are shares of the patch's side.
Not as in the papers: two dimensions; a patch is deformed as strongly as a slice of theirs. Chosen: a Bézier map is
monotone, both its coordinates sorted, and a falling one is a rising one mirrored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from pretrain.parts.distortions import Blocks, draw_blocks, integers, table, taken
from pretrain.views.uploading import uploaded

ALPHA, SIGMA_PX, FIELD_PX, DEPTH_PX = 991.0, 8.0, 64, 32
"""Strength and smoothness of the deformation on the patches they are published for, 64 px square and 32 deep."""
SHUFFLED_BLOCKS = 5
SHUFFLE, BEND, IN_PAINT, OUT_PAINT = range(4)
_CURVE = 256
"""Levels at which an intensity map is known; linear in between."""


def perturbed(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Deform patches (B, 3, S, S) in [0, 1], and do to each one thing more, in full precision also under autocast."""
    with torch.autocast("cpu", enabled=False), torch.autocast(patches.device.type, enabled=False):
        return _perturbed(patches, generator)


def _perturbed(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    which = integers(table(len(patches), 1, generator)[:, 0], 0, 3)
    bent = elastic(patches, generator)
    for kind, change in enumerate((shuffled, bezier, in_painted, out_painted)):
        rows = uploaded(torch.from_numpy(np.flatnonzero(which == kind)), patches.device)
        if len(rows):
            bent = bent.index_copy(0, rows, change(bent[rows], generator))
    return bent


def elastic(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Move each pixel by a smooth random field (Simard et al., ICDAR 2003), the same for all channels.

    The field is drawn on the 64-px grid that its constants are for, and enlarged with the patch. The published one is
    smoothed along the depth too, which leaves so much less of its strength to a slice.
    """
    size = patches.shape[3]
    noise = 2 * torch.rand(len(patches), 2, FIELD_PX, FIELD_PX, generator=generator) - 1
    smooth = _smoothing(FIELD_PX)
    left_by_depth = _smoothing(DEPTH_PX).square().sum(dim=1).mean().sqrt()
    shift_px = ALPHA * left_by_depth * (smooth @ noise @ smooth.T)
    shift = F.interpolate(shift_px * 2 / FIELD_PX, (size, size), mode="bilinear", align_corners=False)
    centres = (2 * torch.arange(size) + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    places = uploaded((torch.stack([x, y]) + shift).permute(0, 2, 3, 1), patches.device)
    return F.grid_sample(patches, places.to(patches), padding_mode="reflection", align_corners=False)


def shuffled(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Shuffle the pixels within five blocks, each at most a tenth of the side high and wide."""
    size = patches.shape[3]
    numbers = table(len(patches), SHUFFLED_BLOCKS * 4, generator).reshape(len(patches), SHUFFLED_BLOCKS, 4)
    blocks = draw_blocks(numbers, (1, max(2, size // 10)), size)
    keys = table(len(patches), size * size, generator).reshape(-1, size, size)
    source = np.tile(np.arange(size * size).reshape(size, size), (len(patches), 1, 1))
    for sample, rows in enumerate(source):
        for top, left, height, width in zip(*(part[sample].tolist() for part in blocks), strict=True):
            window = slice(top, top + height), slice(left, left + width)
            order = np.argsort(keys[sample][window], axis=None)
            rows[window] = rows[window].reshape(-1)[order].reshape(height, width)
    return taken(patches, torch.from_numpy(source).flatten(1))


def bezier(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Map intensities by a cubic Bézier curve from (0, 0) to (1, 1), falling instead of rising for half the patches."""
    numbers = table(len(patches), 5, generator)
    curves = np.stack([_curve(row[:2], row[2:4], falling=row[4] < 0.5) for row in numbers])
    levels = uploaded(torch.from_numpy(curves), patches.device).to(patches)
    at = patches.clamp(0, 1).flatten(1) * (_CURVE - 1)
    low = at.floor().clamp(max=_CURVE - 2)
    near, far = levels.gather(1, low.long()), levels.gather(1, low.long() + 1)
    return torch.lerp(near, far, at - low).view_as(patches)


def in_painted(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fill one block, a sixth to a third of the side high and wide, with uniform noise."""
    size = patches.shape[3]
    return _filled(patches, _block(len(patches), (size // 6, size // 3), size, generator), generator, outside=False)


def out_painted(patches: Tensor, generator: torch.Generator | None) -> Tensor:
    """Fill all but one block, 3/7 to 4/7 of the side high and wide, with uniform noise."""
    size = patches.shape[3]
    return _filled(
        patches, _block(len(patches), (3 * size // 7, 4 * size // 7), size, generator), generator, outside=True
    )


def _block(count: int, sides_px: tuple[int, int], size: int, generator: torch.Generator | None) -> Blocks:
    return draw_blocks(table(count, 4, generator)[:, None], sides_px, size)


def _filled(patches: Tensor, blocks: Blocks, generator: torch.Generator | None, *, outside: bool) -> Tensor:
    mask = blocks.mask(patches.shape[3], patches.device)
    noise = torch.rand(len(patches), 1, *patches.shape[2:], generator=generator)
    return torch.where(mask != outside, uploaded(noise, patches.device).to(patches), patches)


def _curve(x: np.ndarray, y: np.ndarray, *, falling: bool) -> np.ndarray:
    """Return a curve's height at even steps of [0, 1], (256,) float32, from its two inner control points."""
    t = np.linspace(0, 1, 4 * _CURVE)
    weights = 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t)
    across, up = (weights[0] * inner[0] + weights[1] * inner[1] + t**3 for inner in (x, y))
    rising = np.interp(np.linspace(0, 1, _CURVE), np.sort(across), np.sort(up))
    return (rising[::-1] if falling else rising).astype(np.float32)


def _smoothing(length_px: int) -> Tensor:
    """Return the matrix that smooths a column by a Gaussian, (length_px, length_px); what lies outside counts as 0."""
    distance = torch.arange(length_px)[:, None] - torch.arange(length_px)
    offsets = torch.arange(-4 * int(SIGMA_PX), 4 * int(SIGMA_PX) + 1)
    total = torch.exp(-0.5 * (offsets / SIGMA_PX) ** 2).sum()
    weights = torch.exp(-0.5 * (distance / SIGMA_PX) ** 2) / total
    return torch.where(distance.abs() <= 4 * SIGMA_PX, weights, 0.0)
