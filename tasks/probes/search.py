"""Search test films for landmarks: the place of a grid whose patch is most like a template of training patches."""

from __future__ import annotations

import numpy as np

from eden_bench.encoders import Encoder
from tasks.probes import landmark_scores
from tasks.probes.landmarks import OpenLandmarks
from tasks.probes.patches import around, grid_centres
from tasks.probes.ranks import cosine_table, directions


def errors(probe: OpenLandmarks, encoder: Encoder, found: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Return how far from each landmark of the searched films the best place lies, (n, L) in pixels of the files.

    Args:
        probe: its films, landmarks and grid.
        encoder: what embeds the places.
        found: (N · L, D) its features of the landmarks' patches.
        mean: (D,) that features are centred by.

    Returns:
        "all", "1", "5" …: templates from so many training films. "mean_place": the landmark's mean place in training
        films, which needs no encoder. "grid": the place of the grid that is nearest, which no encoder can beat.
    """
    films, centres = searched(probe), grid(probe)
    boxes = around(centres, probe.protocol.patch_share, probe.protocol.film_px)
    templates = {name: _templates(probe, found, mean, count) for name, count in _counts(probe).items()}
    errors: dict[str, list[np.ndarray]] = {name: [] for name in (*templates, "grid")}
    for film in films:
        places = directions(probe.embed(encoder, np.full(len(boxes), film), boxes), mean)
        truth, at = probe.places[film] * probe.scale[film], centres * probe.scale[film]
        for name, template in templates.items():
            errors[name].append(landmark_scores.placed(cosine_table(template, places), at, truth))
        errors["grid"].append(np.linalg.norm(at[None] - truth[:, None], axis=2).min(axis=1))
    away = probe.places[films] - probe.places[: len(probe.train)].mean(axis=0)
    prior = np.linalg.norm(away * probe.scale[films, None], axis=2)
    return {**{name: np.stack(each) for name, each in errors.items()}, "mean_place": prior}


def searched(probe: OpenLandmarks) -> np.ndarray:
    """Return the rows of the films that are searched, the first test films."""
    first = len(probe.train)
    return np.arange(first, min(first + probe.protocol.searched_films, len(probe.items)))


def grid(probe: OpenLandmarks) -> np.ndarray:
    """Return the centres of a grid × grid cells over a decoded film, (G, 2)."""
    return grid_centres(probe.protocol.grid, probe.protocol.film_px)


def _counts(probe: OpenLandmarks) -> dict[str, int]:
    known = {str(count): count for count in probe.protocol.template_films if count < len(probe.train)}
    return {"all": len(probe.train), **known}


def _templates(probe: OpenLandmarks, found: np.ndarray, mean: np.ndarray, films: int) -> np.ndarray:
    few = slice(0, films * len(probe.names))
    return landmark_scores.templates(found[few], probe.landmarks[few], len(probe.names), mean)
