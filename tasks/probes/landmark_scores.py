"""Scores of landmark features: identification, neighbours, clusters, a linear probe. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from tasks.probes.ranks import directions, top1

NEIGHBOURS = 10


def identified(features: np.ndarray, landmarks: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return the chance of each patch that its nearest patch of another patient shows the same landmark.

    Args:
        features: (M, D) directions (``ranks.directions``).
        landmarks: (M,) int, which landmark each patch shows.
        patients: (M,) whose it is.

    Returns:
        (M,) in [0, 1]; a constant encoder gets the share of the landmark among the candidates.
    """
    similarity = features @ features.T
    similarity[patients[:, None] == patients] = -np.inf
    return top1(similarity, landmarks[:, None] == landmarks)


def neighbour_scores(features: np.ndarray, landmarks: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """Return kNN purity and retrieval mAP over patches of other images.

    Returns:
        "purity": mean share of a patch's 10 nearest that show its landmark; "map": mean average precision of the
        ranking of all patches of other images, ties in the order that is worst for neither: by expected precision.
    """
    similarity = features @ features.T
    similarity[images[:, None] == images] = -np.inf
    same = landmarks[:, None] == landmarks
    # the order of ties must not depend on the order of the patches, in which equal landmarks may lie together
    order = np.lexsort((_scattered(similarity.shape), -similarity), axis=1)
    ranked, there = np.take_along_axis(same, order, 1), np.isfinite(np.take_along_axis(similarity, order, 1))
    hits = ranked & there
    precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
    found = hits.sum(axis=1)
    average = (precision * hits).sum(axis=1) / np.maximum(found, 1)
    return {
        "purity": float(hits[:, :NEIGHBOURS].sum(axis=1).mean() / NEIGHBOURS),
        "map": float(average[found > 0].mean()),
    }


def _scattered(shape: tuple[int, ...]) -> np.ndarray:
    """Return an order of candidates for each query that is drawn once and for all."""
    return np.random.default_rng(0).random(shape)


def cluster_scores(features: np.ndarray, landmarks: np.ndarray, seed: int) -> dict[str, float]:
    """Return scikit-learn's silhouette (cosine) of the landmarks, and AMI and ARI of k-means with as many clusters.

    Features without a direction have no silhouette: where all are so, it is 0, and clusters say nothing.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, silhouette_score

    if not features.any():
        return {"silhouette": 0.0, "ami": 0.0, "ari": 0.0}
    clusters = KMeans(len(np.unique(landmarks)), n_init=10, random_state=seed).fit_predict(features)
    return {
        "silhouette": float(silhouette_score(features, landmarks, metric="cosine")),
        "ami": float(adjusted_mutual_info_score(landmarks, clusters)),
        "ari": float(adjusted_rand_score(landmarks, clusters)),
    }


def linear_probe(features: np.ndarray, landmarks: np.ndarray, patients: np.ndarray, folds: int = 5) -> float:
    """Return the accuracy of a linear classifier of standardised features on patients that it was not fitted on."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    folds = min(folds, len(np.unique(patients)))
    return float(cross_val_score(model, features, landmarks, groups=patients, cv=GroupKFold(folds)).mean())


def placed(similarity: np.ndarray, centres: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return how far from a landmark the best-fitting place lies; places that tie count alike.

    Args:
        similarity: (Q, G) of each query's template to each place of its film.
        centres: (G, 2) of the places.
        truth: (Q, 2) of the landmark.

    Returns:
        (Q,) in the unit of the places.
    """
    best = similarity == similarity.max(axis=1, keepdims=True)
    distance = np.linalg.norm(centres[None] - truth[:, None], axis=2)
    return (distance * best).sum(axis=1) / best.sum(axis=1)


def templates(features: np.ndarray, landmarks: np.ndarray, count: int, mean: np.ndarray) -> np.ndarray:
    """Return each landmark's mean direction over training patches, (L, D)."""
    found = directions(features, mean)
    return directions(np.stack([found[landmarks == number].mean(axis=0) for number in range(count)]))
