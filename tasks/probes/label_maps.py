"""Labels at the positions of a feature map: reduced from masks, voted by neighbours, enlarged, compared. Pure.

A position may show several structures at once (a clavicle lies over a lung), so each has a map of its own.
"""

from __future__ import annotations

import warnings

import numpy as np

_HALF = 0.5 - 1e-9
"""Less what rounding may take from a half."""


def reduced(masks: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return which structures each position shows: those that at least half of its pixels do.

    Args:
        masks: (S, H, W) uint8 in {0, 1}.
        grid: rows and columns of the map.

    Returns:
        (S, h, w) float64 in {0, 1}.
    """
    import cv2

    rows, columns = grid
    shares = [
        cv2.resize(mask.astype(np.float64), (columns, rows), interpolation=cv2.INTER_AREA)
        if grid != mask.shape
        else mask
        for mask in masks
    ]
    return (np.stack(shares) >= _HALF).astype(np.float64)


def enlarged(votes: np.ndarray, size_px: int) -> np.ndarray:
    """Enlarge votes to the film bilinearly, and cut them at a half.

    Args:
        votes: (S, h, w) in [0, 1].
        size_px: side of the film.

    Returns:
        (S, size, size) bool.
    """
    import cv2

    film = (size_px, size_px)
    return np.stack([cv2.resize(vote, film, interpolation=cv2.INTER_LINEAR) >= _HALF for vote in votes])


def iou(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each structure, (S,); NaN where neither has a pixel.

    Args:
        found: (S, H, W) bool.
        truth: (S, H, W) bool.
    """
    both, either = (np.count_nonzero(each, axis=(1, 2)) for each in (found & truth, found | truth))
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def voted(similarity: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """Return the mean label of each query's nearest candidates; those that tie for the last places by their chance.

    Args:
        similarity: (Q, C).
        labels: (C, S) in [0, 1].
        neighbours: how many vote; all where there are fewer.

    Returns:
        (Q, S) in [0, 1].

    >>> voted(np.array([[0.9, 0.5, 0.5]]), np.array([[1.0], [1.0], [0.0]]), 2).tolist()
    [[0.75]]
    """
    count = min(neighbours, similarity.shape[1])
    last = np.partition(similarity, -count, axis=1)[:, -count, None]
    above, equal = similarity > last, similarity == last
    places = count - above.sum(axis=1, keepdims=True)
    return np.asarray((above + equal * (places / equal.sum(axis=1, keepdims=True))) @ labels / count)


def cluster_labels(train: np.ndarray, labels: np.ndarray, test: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Cluster training positions by k-means; return the structures of each test position's cluster.

    Args:
        train: (M, D) features of training positions.
        labels: (M, S) in {0, 1} that they show.
        test: (Q, D) features of test positions.
        clusters: k.
        seed: of k-means' starts.

    Returns:
        (Q, S) in {0, 1}: the structures that at least half of the cluster's training positions show.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct features than clusters: some stay empty
        model = KMeans(min(clusters, len(train)), n_init=3, random_state=seed).fit(train)
    members = np.eye(model.n_clusters)[model.labels_]
    shares = members.T @ labels / np.maximum(members.sum(axis=0), 1)[:, None]
    return np.asarray((shares >= 0.5)[model.predict(test)].astype(np.float64))
