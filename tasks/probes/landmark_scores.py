"""Scores of landmark features: identification, neighbours, clusters, a linear probe. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from tasks.probes.ranks import average_precision, cosine_table, directions, share_of_nearest, top1

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
    similarity = cosine_table(features, features)
    similarity[patients[:, None] == patients] = -np.inf
    return top1(similarity, landmarks[:, None] == landmarks)


def neighbour_scores(features: np.ndarray, landmarks: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """Return kNN purity and retrieval mAP over patches of other images, ties by their expected order.

    Returns:
        "purity": mean share of a patch's 10 nearest that show its landmark; "map": mean average precision of the
        ranking of all patches of other images.
    """
    similarity = cosine_table(features, features)
    similarity[images[:, None] == images] = -np.inf
    same = landmarks[:, None] == landmarks
    return {
        "purity": float(np.nanmean(share_of_nearest(similarity, same, NEIGHBOURS))),
        "map": float(np.nanmean(average_precision(similarity, same))),
    }


def cluster_scores(features: np.ndarray, landmarks: np.ndarray, seed: int) -> dict[str, float]:
    """Return the silhouette (cosine) of the landmarks, and scikit-learn's AMI and ARI of as many k-means clusters.

    Features without a direction have no silhouette: where all are so, it is 0, and clusters say nothing.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    if not features.any():
        return {"silhouette": 0.0, "ami": 0.0, "ari": 0.0}
    clusters = KMeans(len(np.unique(landmarks)), n_init=10, random_state=seed).fit_predict(features)
    return {
        "silhouette": float(silhouettes(features, landmarks).mean()),
        "ami": float(adjusted_mutual_info_score(landmarks, clusters)),
        "ari": float(adjusted_rand_score(landmarks, clusters)),
    }


def silhouettes(features: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return each patch's silhouette by cosine distance, from sums over landmarks and no matrix of all pairs.

    The mean distance to a cluster of n directions with sum S is 1 - u · S / n: O(M L D) instead of O(M² D).

    Args:
        features: (M, D) directions.
        landmarks: (M,) int.

    Returns:
        (M,) in [-1, 1], 0 for the only patch of its landmark, as scikit-learn's.
    """
    _, own, sizes = np.unique(landmarks, return_inverse=True, return_counts=True)
    sums = (own == np.arange(len(sizes))[:, None]).astype(features.dtype) @ features
    rows, along = np.arange(len(features)), features @ sums.T
    others = sizes[own] - 1
    within = (others - along[rows, own] + np.einsum("ij,ij->i", features, features)) / np.maximum(others, 1)
    within, away = np.maximum(within, 0), np.maximum(1 - along / sizes, 0)  # rounding may leave less than no distance
    away[rows, own] = np.inf
    nearest = away.min(axis=1)
    found = (nearest - within) / np.maximum(np.maximum(within, nearest), np.finfo(float).tiny)
    return np.where(others == 0, 0.0, found)


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


def cosines(features: np.ndarray, landmarks: np.ndarray, images: np.ndarray) -> dict[str, float]:
    """Return the mean cosine of patches of different images that show the same landmark, and another one."""
    similarity, other = cosine_table(features, features), images[:, None] != images
    same = landmarks[:, None] == landmarks
    return {"same": float(similarity[same & other].mean()), "other": float(similarity[~same & other].mean())}


def templates(features: np.ndarray, landmarks: np.ndarray, count: int, mean: np.ndarray) -> np.ndarray:
    """Return each landmark's mean direction over training patches, (L, D)."""
    found = directions(features, mean)
    return directions(np.stack([found[landmarks == number].mean(axis=0) for number in range(count)]))
