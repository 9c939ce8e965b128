"""Novelty of features against a bank of ordinary ones, and what it says of labels. Pure functions of arrays."""

from __future__ import annotations

import numpy as np

from eden_bench.statistics.ranking import auc
from tasks.probes.ranks import NO_DIRECTION, directions

_ROWS = 512
"""Queries compared with the bank at once; a memory matter only."""
_LEAST_SPREAD = 1e-6
"""Variance that a direction has at least, in shares of the mean: one in which a bank never varies is not infinitely
telling, nor is it left out."""


def whitening(bank: np.ndarray) -> np.ndarray:
    """Return the inverse square root of the covariance of a bank, shrunk as Ledoit and Wolf do (JMVA 2004).

    Shrinkage, because a bank may have fewer films than features, among which plain whitening makes all films of the
    bank equally far from each other.

    Args:
        bank: (N, D) features, N > 1.

    Returns:
        (D, D) symmetric.
    """
    from sklearn.covariance import ledoit_wolf

    covariance, _ = ledoit_wolf(np.asarray(bank, dtype=np.float64))
    values, vectors = np.linalg.eigh(covariance)
    least = max(_LEAST_SPREAD * values.mean(), NO_DIRECTION**2)
    return np.asarray((vectors * np.maximum(values, least) ** -0.5) @ vectors.T)


def whitened(features: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """Return features (N, D) centred and whitened on a bank, as directions; one at its very mean becomes 0."""
    centred = np.asarray(features, dtype=np.float64) - np.asarray(bank, dtype=np.float64).mean(axis=0)
    here = np.linalg.norm(centred, axis=1) < NO_DIRECTION
    return directions(np.where(here[:, None], 0.0, centred @ whitening(bank)))


def distances(queries: np.ndarray, bank: np.ndarray, neighbours: int) -> np.ndarray:
    """Return each query's mean cosine distance to its nearest films of the bank.

    Args:
        queries: (Q, D) directions.
        bank: (N, D) directions, N ≥ neighbours.
        neighbours: how many.

    Returns:
        (Q,) in [0, 2]; 1 for a query without a direction.
    """
    found = []
    for start in range(0, len(queries), _ROWS):
        distance = 1 - queries[start : start + _ROWS] @ bank.T
        found.append(np.partition(distance, neighbours - 1, axis=1)[:, :neighbours].mean(axis=1))
    return np.clip(np.concatenate(found), 0, 2)


def by_finding(novelty: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Return the AUROC of films with each finding against films with none; of findings that occur.

    Args:
        novelty: (N,).
        labels: (N, L) bool.
        names: of the L findings.

    Returns:
        Name to a number in [0, 1].
    """
    healthy = ~labels.any(axis=1)
    return {
        name: auc(np.concatenate([novelty[ill], novelty[healthy]]), np.repeat([1, 0], [ill.sum(), healthy.sum()]))
        for name, ill in zip(names, labels.T, strict=True)
        if ill.any()
    }
