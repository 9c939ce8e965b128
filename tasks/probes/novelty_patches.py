"""Novelty by patches, and of ordinary films that were only taken otherwise. Functions of an open novelty probe.

A patch is compared with those of films without a finding at about the same place, so that what is unusual is not the
place. What a probe of findings must not see is the film's exposure and pose: ordinary films turned, scaled and
brightened are told from the same films as they are, which should be told worse than findings are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from eden_bench import seeds
from eden_bench.statistics.ranking import auc
from tasks.probes import augmented, novelty_scores
from tasks.probes.patches import around, grid_centres

if TYPE_CHECKING:
    from eden_bench.contracts import Item
    from eden_bench.encoders import Encoder
    from tasks.probes.novelty import OpenNovelty

_NEAR = 0.1
"""How far the centre of a place may be from another's, in shares of the film's side, to be about the same."""
_TOP = 0.01
"""Share of a film's patches, the most novel ones, that its score is the mean of; at least one patch."""


def by_patches(probe: OpenNovelty, encoder: Encoder) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Score test films by their most novel patches, and where these lie.

    Returns:
        "novelty_patches" of each test film, NaN beyond ``patch_films``; and the scores that are had: AUROC of the
        films, and of boxed films AUROC of patches in a box against those outside and the share that the most novel
        patch lies in a box, patches that tie for it counting alike.
    """
    grid, bank_count = probe.protocol.patch_grid, min(probe.protocol.patch_films, len(probe.train))
    centres = grid_centres(grid, probe.protocol.film_px)
    test = range(min(probe.protocol.patch_films, len(probe.test)))
    rows = [*range(bank_count), *(len(probe.train) + k for k in test)]
    boxes = around(centres, probe.protocol.patch_share, probe.protocol.film_px)
    features = probe.embed(encoder, np.repeat(rows, len(boxes)), np.tile(boxes, (len(rows), 1)))
    novelty = novel_patches(features.reshape(len(rows), len(boxes), -1), bank_count, centres, probe)
    films = np.sort(novelty, axis=1)[:, -max(1, round(_TOP * len(boxes))) :].mean(axis=1)
    column = np.full(len(probe.test), np.nan)
    column[: len(films)] = films
    ill = probe.labels[: len(films)].any(axis=1).astype(int)
    scores = {"novelty_patches": auc(films, ill)} if 0 < ill.sum() < len(ill) else {}
    inside = in_boxes(probe, probe.test[: len(films)], centres)
    return {"novelty_patches": column}, scores | _where(novelty, inside)


def novel_patches(features: np.ndarray, bank_count: int, centres: np.ndarray, probe: OpenNovelty) -> np.ndarray:
    """Return the distance of test films' patches to the nearest of the bank at about the same place.

    Args:
        features: (bank_count + T, G, D), of the bank's films first.
        bank_count: films of the bank.
        centres: (G, 2) of the places, pixels.
        probe: whose protocol says how many neighbours count.

    Returns:
        (T, G).
    """
    flat = features.reshape(-1, features.shape[-1])
    white = novelty_scores.whitened(flat, flat[: bank_count * features.shape[1]]).reshape(features.shape)
    bank, test = white[:bank_count], white[bank_count:]
    apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) / probe.protocol.film_px
    found = np.empty(test.shape[:2])
    for place, near in enumerate(apart <= _NEAR):
        among = bank[:, near].reshape(-1, bank.shape[-1])
        found[:, place] = novelty_scores.distances(test[:, place], among, min(probe.protocol.neighbours, len(among)))
    return found


def nuisance(probe: OpenNovelty, encoder: Encoder, films: np.ndarray) -> dict[str, float]:
    """Return the AUROC of ordinary test films turned, scaled and brightened against the same films as they are.

    Args:
        probe: the open probe.
        encoder: what is probed.
        films: (N, D) features of the probe's films as they are.
    """
    ordinary = np.flatnonzero(~probe.labels.any(axis=1))[: probe.protocol.nuisance_films]
    side, first = probe.protocol.film_px, len(probe.train)
    views = [augmented.view(probe.films[first + k], *_otherwise(probe.test[k], probe)) for k in ordinary]
    bank, own = films[:first], films[first + ordinary]
    kept, probe.films = probe.films, np.stack(views)
    try:
        turned = probe.embed(encoder, np.arange(len(views)), np.tile([0, 0, side, side], (len(views), 1)))
    finally:
        probe.films = kept
    white = novelty_scores.whitened(np.concatenate([bank, own, turned]), bank)
    far = novelty_scores.distances(white[first:], white[:first], probe.protocol.neighbours)
    return {"nuisance": auc(np.roll(far, len(own)), np.repeat([1, 0], [len(turned), len(own)]))}


def in_boxes(probe: OpenNovelty, films: Sequence[Item], centres: np.ndarray) -> np.ndarray:
    """Return which places lie in a box of each film's findings, (T, G) bool; of films without a box none does."""
    found = np.zeros((len(films), len(centres)), bool)
    for k, item in enumerate(films):
        height, width = probe.native_px[len(probe.train) + k]
        x, y = (centres * np.array([width, height]) / probe.protocol.film_px).T
        for box in item.boxes or ():
            found[k] |= (box.left <= x) & (x < box.right) & (box.top <= y) & (y < box.bottom)
    return found


def _where(novelty: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    boxed = inside.any(axis=1) & ~inside.all(axis=1)
    if not boxed.any():
        return {}
    best = novelty[boxed] == novelty[boxed].max(axis=1, keepdims=True)
    hits = (best & inside[boxed]).sum(axis=1) / best.sum(axis=1)
    area = auc(novelty[boxed].ravel(), inside[boxed].ravel().astype(int))
    chance = float(inside[boxed].mean())
    return {"patches_in_boxes": area, "patches_pointing": float(hits.mean()), "pointing_chance": chance}


def _otherwise(item: Item, probe: OpenNovelty) -> tuple[np.ndarray, float]:
    """Draw how an ordinary film is taken otherwise: its map and its gamma."""
    draw = seeds.generator(probe.protocol.seed, "nuisance", item.id).random(3)
    degrees = probe.protocol.rotation_degrees * (2 * draw[0] - 1)
    return augmented.taken(degrees, draw[1:], probe.protocol)
