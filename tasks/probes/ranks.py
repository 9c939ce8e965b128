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


def cosine_table(queries: np.ndarray, candidates: np.ndarray, digits: int = 12) -> np.ndarray:
    """Return the cosines of directions (..., Q, D) to (..., C, D), (..., Q, C), rounded to some decimals.

    A matrix product may round equal rows differently; rounded, equal candidates tie.
    """
    return (queries @ np.swapaxes(candidates, -1, -2)).round(digits)


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


def average_precision(similarity: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the average precision of each query's ranking, expected over all orders of candidates that tie.

    Among t that tie, r of them true, each place is true with r / t; where it is, (k - 1)(r - 1) / (t - 1) of the k - 1
    before it among them are expected to be.

    Args:
        similarity: (Q, C); -inf for what is no candidate.
        truth: (Q, C) bool.

    Returns:
        (Q,) in [0, 1]; NaN for a query without a true candidate.
    """
    return np.array([_average_precision(row, true) for row, true in zip(similarity, truth, strict=True)])


def share_of_nearest(similarity: np.ndarray, truth: np.ndarray, count: int) -> np.ndarray:
    """Return the expected share of true ones among each query's nearest, ties for the last places drawn alike.

    Args:
        similarity: (Q, C); -inf for what is no candidate.
        truth: (Q, C) bool.
        count: how many nearest; of a query with fewer candidates, all.

    Returns:
        (Q,) in [0, 1]; NaN for a query without a candidate.
    """
    return np.array([_share_of_nearest(row, true, count) for row, true in zip(similarity, truth, strict=True)])


def auroc(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Return the chance that a matched pair is more alike than a mismatched one, a tie counting half.

    >>> auroc(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    0.5
    """
    values = np.concatenate([matched, mismatched])
    return auc(values, np.repeat([1, 0], [len(matched), len(mismatched)]))


def _average_precision(similarity: np.ndarray, true: np.ndarray) -> float:
    similarity, true = (each[np.isfinite(similarity)] for each in (similarity, true))
    if not true.any():
        return np.nan
    _, group = np.unique(-similarity, return_inverse=True)
    size, right = np.bincount(group), np.bincount(group, true)
    first, hits_before = np.cumsum(size) - size, np.cumsum(right) - right
    tied, r, b, hits = (np.repeat(each, size) for each in (size, right, first, hits_before))
    before = np.arange(len(true)) - b  # k - 1
    hits = hits + 1 + before * (r - 1) / np.maximum(tied - 1, 1)
    return float((r / tied * hits / (b + before + 1)).sum() / true.sum())


def _share_of_nearest(similarity: np.ndarray, true: np.ndarray, count: int) -> float:
    similarity, true = (each[np.isfinite(similarity)] for each in (similarity, true))
    if not (count := min(count, len(similarity))):
        return np.nan
    last = np.sort(similarity)[-count]
    above, tied = similarity > last, similarity == last
    return float((true[above].sum() + (count - above.sum()) * true[tied].mean()) / count)


def _as_mask(truth: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    if truth.ndim == 2:
        return truth
    return np.arange(similarity.shape[1]) == truth[:, None]
