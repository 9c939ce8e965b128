"""t-SNE of features (van der Maaten & Hinton, JMLR 2008) by openTSNE: pictures only, no number comes from them."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

PERPLEXITY = 30.0
SEEDS = (0, 1)
"""Of the two pictures of each method: what one shows and the other does not is the picture's, not the features'."""
_LARGE = 5_000
"""Points from which the interpolated gradient is faster than the tree's."""


class Layout(NamedTuple):
    """Places of points in the plane."""

    places: np.ndarray
    """(N, 2)"""
    kl: float
    """Kullback-Leibler divergence that is left."""


def layout(features: np.ndarray, seed: int, *, metric: str = "cosine", threads: int = 1) -> Layout | None:
    """Place points in the plane; equal features and seeds give equal places at equal threads.

    Args:
        features: (N, D).
        seed: of the places that it starts from, and of the approximations.
        metric: by which points are near.
        threads: to compute with.

    Returns:
        The layout; None where the features do not vary, or are too few to have neighbours.
    """
    features = np.asarray(features, dtype=np.float64)
    if len(features) < 4 or not np.ptp(features, axis=0).any():
        return None
    # imported late, since most figures do without it
    from openTSNE import TSNE

    logging.getLogger("openTSNE").setLevel(logging.ERROR)
    made = TSNE(
        perplexity=perplexity(len(features)),
        metric=metric,
        n_jobs=threads,
        random_state=seed,
        initialization="random",
        neighbors="exact" if len(features) < _LARGE else "approx",
        negative_gradient_method="bh" if len(features) < _LARGE else "fft",
    ).fit(_directions(features) if metric == "cosine" else features)
    return Layout(np.asarray(made), float(made.kl_divergence))


def perplexity(points: int) -> float:
    """Return the perplexity for some points: 30, or what so few have neighbours for.

    >>> perplexity(400), perplexity(31)
    (30.0, 10.0)
    """
    return min(PERPLEXITY, (points - 1) / 3)


def _directions(features: np.ndarray) -> np.ndarray:
    """Return rows of unit length; a row of zeros, which has no direction, stays."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.where(lengths > 0, lengths, 1.0))
