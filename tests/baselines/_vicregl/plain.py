"""VICRegL's terms and matches as plain loops, written from the formulas."""

import math

import numpy as np
import torch

from eden_bench.contracts import View
from pretrain.views.draws import Draws, anchor_maps


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def plain_invariance(first, second):
    pairs = list(zip(first.flatten().tolist(), second.flatten().tolist(), strict=True))
    return sum((a - b) ** 2 for a, b in pairs) / len(pairs)


def plain_hinge(z):
    """The mean over dimensions of max(0, 1 − sqrt(var + 1e-4)); z is (N, D)."""
    columns = [z[:, d].tolist() for d in range(z.shape[1])]
    return sum(max(0.0, 1 - math.sqrt(np.var(c, ddof=1) + 1e-4)) for c in columns) / len(columns)


def plain_covariance(z):
    """Σ_{a≠b} C[a, b]² / D; z is (N, D)."""
    count, dim = z.shape
    centred = (z - z.mean(dim=0)).tolist()
    total = 0.0
    for a in range(dim):
        for b in range(dim):
            if a != b:
                total += (sum(row[a] * row[b] for row in centred) / (count - 1)) ** 2
    return total / dim


def plain_terms(first, second):
    return (
        plain_invariance(first, second),
        (plain_hinge(first) + plain_hinge(second)) / 2,
        (plain_covariance(first) + plain_covariance(second)) / 2,
    )


def plain_matches(cells, others, count):
    """The closest matches of one image, row by row: a mask over the cells says which are kept; plain lists."""
    pairs = []
    for p, cell in enumerate(cells):
        apart = [math.dist(cell, other) for other in others]
        pairs.append((min(apart), p, apart.index(min(apart))))
    kept = [rank in sorted(pairs)[:count] for rank in pairs]
    return [(p, q) for (_, p, q), keep in zip(pairs, kept, strict=True) if keep]


def plain_matched(cells, others, by_cells, by_others, count):
    """The terms of matched cells: each slot's statistics over the batch, then the mean over slots."""
    matched = [plain_matches(a.tolist(), b.tolist(), count) for a, b in zip(by_cells, by_others, strict=True)]
    slots = []
    for slot in range(len(matched[0])):
        x = torch.stack([cells[i, pairs[slot][0]] for i, pairs in enumerate(matched)])
        y = torch.stack([others[i, pairs[slot][1]] for i, pairs in enumerate(matched)])
        slots.append(plain_terms(x, y))
    return np.mean(slots, axis=0)


def plain_local(cells, by, counts):
    """Mean over both ordered pairs of ½ (v(i → j) + v(j → i)): counts[0] from i to j, counts[1] back."""
    pairs = []
    for i, j in ((0, 1), (1, 0)):
        there = plain_matched(cells[i], cells[j], by[i], by[j], counts[0])
        back = plain_matched(cells[j], cells[i], by[j], by[i], counts[1])
        pairs.append((there + back) / 2)
    return np.mean(pairs, axis=0)


def plain_centres(view, side):
    """Centres of the cells in the anchor, through crop, rotation and flip."""
    step = view.image.shape[-1] / side
    points = [((c + 0.5) * step, (r + 0.5) * step, 1.0) for r in range(side) for c in range(side)]
    maps = view.to_anchor.double().numpy()
    return np.array([[m @ point for point in points] for m in maps])


def view_of(crop, *, flip=False, angle_deg=0.0, size_px=56):
    """One view of one anchor, as the stream makes it: crop is top, left, height, width."""
    unused, angles = np.zeros(1), np.array([angle_deg])
    draws = Draws(np.array([crop]), unused, unused, unused, unused, unused, angles, np.array([flip]))
    maps = torch.from_numpy(anchor_maps(draws, size_px).astype(np.float32))
    return View(torch.zeros(1, 3, size_px, size_px), maps, torch.tensor([flip]))
