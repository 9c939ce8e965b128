"""C5, C5b: silhouette, and purity of nearest neighbours with mean average precision, against scikit-learn."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import average_precision_score, silhouette_score
from sklearn.neighbors import NearestNeighbors

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report
from tasks.probes.landmark_scores import NEIGHBOURS, neighbour_scores, silhouettes
from tasks.probes.ranks import directions

PATCHES, LENGTH, LANDMARKS = 10_000, 2048, 10


def drawn(patches: int = PATCHES, length: int = LENGTH) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw features about a centre a landmark, (M, D); landmark and film of each patch, (M,)."""
    draw = np.random.default_rng(0)
    landmarks = np.tile(np.arange(LANDMARKS), patches // LANDMARKS)
    films = np.repeat(np.arange(patches // LANDMARKS), LANDMARKS)
    centres = draw.normal(size=(LANDMARKS, length))
    return directions(centres[landmarks] + 4 * draw.normal(size=(patches, length))), landmarks, films


def silhouette(repeats: int) -> Bar:
    """Time the mean silhouette by cosine distance."""
    features, landmarks, _ = drawn()
    found, wanted = silhouettes(features, landmarks).mean(), silhouette_score(features, landmarks, metric="cosine")
    return compare(
        "C5",
        f"silhouette of {PATCHES:,} x {LENGTH}",
        Side("sums over landmarks", lambda: silhouettes(features, landmarks).mean()),
        Side("scikit-learn", lambda: silhouette_score(features, landmarks, metric="cosine")),
        target=100,
        equality=Equality(bool(abs(found - wanted) <= 1e-6), f"difference {abs(found - wanted):.1e} <= 1e-06"),
        repeats=repeats,
    )


def neighbours(repeats: int) -> Bar:
    """Time purity and mean average precision over patches of other films."""
    features, landmarks, films = drawn()

    def ours() -> dict[str, float]:
        return neighbour_scores(features, landmarks, films)

    def theirs() -> dict[str, float]:
        near = NearestNeighbors(n_neighbors=NEIGHBOURS + LANDMARKS, metric="cosine", algorithm="brute").fit(features)
        found = near.kneighbors(features, return_distance=False)
        others = [row[films[row] != film][:NEIGHBOURS] for row, film in zip(found, films, strict=True)]
        purity = np.mean([(landmarks[row] == own).mean() for row, own in zip(others, landmarks, strict=True)])
        similarity = features @ features.T
        each = [
            average_precision_score(landmarks[films != films[i]] == landmarks[i], similarity[i][films != films[i]])
            for i in range(len(features))
        ]
        return {"purity": float(purity), "map": float(np.mean(each))}

    a, b = ours(), theirs()
    worst = max(abs(a[name] - b[name]) for name in b)
    return compare(
        "C5b",
        f"purity@{NEIGHBOURS} and mAP of {PATCHES:,} x {LENGTH}",
        Side("one table of cosines", ours),
        Side("NearestNeighbors and average_precision_score", theirs),
        target=2,
        equality=Equality(worst <= 1e-9, f"largest difference {worst:.1e} <= 1e-09"),
        repeats=repeats,
    )


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    bars = {"C5": silhouette, "C5b": neighbours}
    report([bar(options.repeats) for name, bar in bars.items() if name in (options.only or name)], as_json=options.json)
