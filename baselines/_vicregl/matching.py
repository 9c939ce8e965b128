"""Match cells of two maps by features or places (Bardes et al., VICRegL, NeurIPS 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines._vicregl.terms import Terms, vic_terms
from eden_bench.contracts import View


def matched_terms(
    first: Tensor, second: Tensor, distances: Tensor, counts: Sequence[int | None], *, share: bool = False
) -> Terms:
    """Return the terms of matched cells, the mean over both directions and over the counts.

    This is the mean over both orders of the pair of ½ (v(i → j), counts[0] closest + v(j → i), counts[1] closest).

    Args:
        first: (B, P, D) cells of one view.
        second: (B, Q, D) cells of the other.
        distances: (B, P, Q) between them.
        counts: matches kept; None keeps all.
        share: as in ``vic_terms``.
    """
    found = []
    for cells, others, apart in ((first, second, distances), (second, first, distances.mT)):
        for count in counts:
            at, to = closest_matches(apart, count)
            found.append(vic_terms(_taken(cells, at), _taken(others, to), share=share))
    return Terms(*(torch.stack(parts).mean() for parts in zip(*found, strict=True)))


def closest_matches(distances: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """Match each cell to the nearest of the other view, and keep the closest pairs.

    Variance and covariance are of a slot over the batch, so the order of the pairs is part of the loss.

    Args:
        distances: (B, P, Q).
        count: pairs kept, at most P; None keeps all P.

    Returns:
        Indices of the cells, ascending, and of their partners, (B, n) int64 each; a partner may serve several.
    """
    partners = distances.argmin(dim=2)
    if count is None:
        return torch.arange(partners.shape[1], device=partners.device).expand_as(partners), partners
    nearest = distances.gather(2, partners[..., None])[..., 0]
    at = nearest.argsort(dim=1, stable=True)[:, :count].sort(dim=1).values
    return at, partners.gather(1, at)


def cell_centres(view: View, side: int, *, flip_grid: bool = True) -> Tensor:
    """Return the centres of a map's cells in the anchor, row by row: (B, side², 2), x before y, in pixels.

    Args:
        view: tells by ``to_anchor`` where its pixels come from: crop, rotation and flip.
        side: cells in a row, and rows.
        flip_grid: False leaves the cells of a mirrored view where they would lie without the mirror.
    """
    size_px = view.image.shape[-1]
    along = (torch.arange(side, device=view.image.device) + 0.5) * (size_px / side)
    y, x = (part.flatten().expand(len(view.image), -1) for part in torch.meshgrid(along, along, indexing="ij"))
    if not flip_grid:
        x = torch.where(view.flipped[:, None], size_px - x, x)
    return torch.stack([x, y, torch.ones_like(x)], dim=2) @ view.to_anchor.mT


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Compute Euclidean distances of cells, (B, P, Q).

    Not by products, as the official code's, which do not put a cell at distance 0 from itself: where cells are equally
    near (both crops at whole pixels), rounding would choose between them.
    """
    return torch.cdist(first, second, compute_mode="donot_use_mm_for_euclid_dist")


def _taken(cells: Tensor, index: Tensor) -> Tensor:
    return cells.gather(1, index[..., None].expand(-1, -1, cells.shape[2]))
