"""C6: t-SNE of 10,000 features of 2,048 dimensions, against ``sklearn.manifold.TSNE`` with its defaults.

Both pictures are judged by one divergence: from neighbours found exactly, over all pairs. With --points 2000 it takes
minutes instead of half an hour; the bar is for 10,000.
"""

from __future__ import annotations

import os

import numpy as np
from openTSNE.affinity import PerplexityBasedNN
from sklearn.manifold import TSNE

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report
from eden_bench.figures.neighbours import PERPLEXITY, layout

POINTS, DIMENSIONS, LANDMARKS = 10_000, 2_048, 10
_WORSE = 1.02
_ROWS = 500


def landmark_features(points: int) -> np.ndarray:
    """Draw features of ten landmarks of many films: what they share, what is the film's, and noise, float32."""
    random = np.random.default_rng(0)
    landmark, film = np.arange(points) % LANDMARKS, np.arange(points) // LANDMARKS
    shared = 2 * random.standard_normal((LANDMARKS, 32))[landmark]
    own = 0.5 * random.standard_normal((points // LANDMARKS + 1, 32))[film]
    hidden = shared + own + 0.4 * random.standard_normal((points, 32))
    seen = hidden @ random.standard_normal((32, DIMENSIONS))
    return (seen + 0.3 * random.standard_normal(seen.shape)).astype(np.float32)


def divergence(features: np.ndarray, places: np.ndarray) -> float:
    """Return the Kullback-Leibler divergence of a picture (van der Maaten & Hinton, Eq. 2), neighbours exact."""
    near = PerplexityBasedNN(features.astype(float), perplexity=PERPLEXITY, method="exact").P.tocoo()
    rows = (places[k : k + _ROWS] for k in range(0, len(places), _ROWS))
    total = sum(float(_closeness(part[:, None] - places[None]).sum()) for part in rows) - len(places)
    drawn = _closeness(places[near.row] - places[near.col]) / total
    return float((near.data * np.log(near.data / drawn)).sum())


def bar(points: int, repeats: int) -> Bar:
    """Time ours against scikit-learn's on the same features, both on all cores."""
    features, threads = landmark_features(points), os.cpu_count() or 1

    def ours() -> np.ndarray:
        found = layout(features, 0, metric="euclidean", threads=threads)
        assert found is not None
        return found.places

    def peer() -> np.ndarray:
        return np.asarray(TSNE(random_state=0).fit_transform(features), dtype=float)

    mine, theirs = divergence(features, ours()), divergence(features, peer())
    return compare(
        "C6",
        f"t-SNE of {points:,} x {DIMENSIONS:,}",
        Side("openTSNE", ours),
        Side("sklearn.manifold.TSNE", peer),
        target=3,
        equality=Equality(mine <= _WORSE * theirs, f"divergence {mine:.4f} <= {_WORSE} x {theirs:.4f}"),
        repeats=repeats,
    )


def _closeness(apart: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + (apart**2).sum(axis=-1)))


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0], points=str(POINTS))
    report([bar(int(options.points), options.repeats)], as_json=options.json)
