"""Ranks instead of raw cosines: centring, similarity, and scores in which ties get their expected rank.

A raw cosine says nothing: features of an untrained network, or of one that is constant, have cosines near 1 with
everything. A rank among candidates has a chance level, which an encoder that cannot tell them apart gets exactly.
"""

from __future__ import annotations

import numpy as np

from eden_bench.case_statistics import auc

NO_DIRECTION = 1e-8
"""A feature of smaller norm, after centring, points nowhere: it ties with everything."""


def directions(features: np.ndarray, mean: np.ndarray | float = 0.0) -> np.ndarray:
    """Centre features and scale each to length 1; one without a direction becomes 0, whose similarity to all is 0.

    Args:
        features: (..., D).
        mean: (D,) mean feature over patches of training patients; 0 for the raw, published form.

    Returns:
        (..., D) float64.
    """
    centred = np.asarray(features, dtype=np.float64) - mean
    norms = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.where(norms < NO_DIRECTION, 0.0, centred / np.maximum(norms, NO_DIRECTION))


def cosine_table(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the cosines of directions (..., Q, D) to (..., C, D), (..., Q, C), rounded to 12 decimals.

    A matrix product may round equal rows differently; rounded, equal candidates tie.
    """
    return (queries @ np.swapaxes(candidates, -1, -2)).round(12)


def top1(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return each query's chance of a true candidate at rank 1; candidates that tie for it are drawn from alike.

    Args:
        similarity: (Q, C); -inf for what is no candidate of a query.
        truth: (Q,) index of the true candidate, or (Q, C) bool where several are true.

    Returns:
        (Q,) in [0, 1]; NaN for a query without a candidate.

    >>> top1(np.array([[0.5, 0.5, 0.1]]), np.array([1])).tolist()
    [0.5]
    """
    true = _as_mask(truth, similarity)
    best = similarity.max(axis=1, keepdims=True)
    first = (similarity == best) & np.isfinite(similarity)
    with np.errstate(invalid="ignore"):
        return (first & true).sum(axis=1) / first.sum(axis=1)


def reciprocal_rank(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the expected 1 / rank of each query's one true candidate, over all orders of those that tie with it.

    Args:
        similarity: (Q, C); -inf for what is no candidate.
        truth: (Q,) index of the true candidate.

    Returns:
        (Q,) in (0, 1].
    """
    own = np.take_along_axis(similarity, truth[:, None], axis=1)
    above, equal = (similarity > own).sum(axis=1), (similarity == own).sum(axis=1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, similarity.shape[1] + 1))])
    return (harmonic[above + equal] - harmonic[above]) / equal


def auroc(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Return the chance that a matched pair is more alike than a mismatched one, a tie counting half.

    >>> auroc(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    0.5
    """
    values = np.concatenate([matched, mismatched])
    return auc(values, np.repeat([1, 0], [len(matched), len(mismatched)]))


def _as_mask(truth: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    if truth.ndim == 2:
        return truth
    return np.arange(similarity.shape[1]) == truth[:, None]
