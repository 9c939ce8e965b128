"""Ranks instead of raw cosines: centring, similarity, and scores in which ties get their expected rank.

A raw cosine says nothing: features of an untrained network, or of one that is constant, have cosines near 1 with
everything. A rank among candidates has a chance level, which an encoder that cannot tell them apart gets exactly.
"""

from __future__ import annotations

import numpy as np

from eden_bench.statistics.ranking import auc

NO_DIRECTION = 1e-8
"""A feature of smaller norm, after centring, points nowhere: it ties with everything."""
_BLOCK = 512
"""Queries scored at once, so that memory does not grow with their number."""


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
    blocks = range(0, len(similarity), _BLOCK)
    return np.concatenate([_share_of_nearest(similarity[i : i + _BLOCK], truth[i : i + _BLOCK], count) for i in blocks])


def auroc(matched: np.ndarray, mismatched: np.ndarray) -> float:
    """Return the chance that a matched pair is more alike than a mismatched one, a tie counting half.

    >>> auroc(np.array([1.0, 1.0]), np.array([1.0, 1.0]))
    0.5
    """
    values = np.concatenate([matched, mismatched])
    return auc(values, np.repeat([1, 0], [len(matched), len(mismatched)]))


def _average_precision(similarity: np.ndarray, true: np.ndarray) -> float:
    """Compute it from sorted values: where each group of equal true ones begins, how many tie, how many are true."""
    known = np.isfinite(similarity)
    every, right = np.sort(similarity[known]), np.sort(similarity[known & true])
    if not len(right):
        return np.nan
    values, r = np.unique(right, return_counts=True)
    end = np.searchsorted(every, values, "right")
    tied, first = end - np.searchsorted(every, values, "left"), len(every) - end
    hits_before = len(right) - np.searchsorted(right, values, "right")
    starts = np.cumsum(tied) - tied
    before = np.arange(tied.sum()) - np.repeat(starts, tied)  # k - 1
    t, r, first, hits = (np.repeat(each, tied) for each in (tied, r, first, hits_before))
    hits = hits + 1 + before * (r - 1) / np.maximum(t - 1, 1)
    return float((r / t * hits / (first + before + 1)).sum() / len(right))


def _share_of_nearest(similarity: np.ndarray, true: np.ndarray, count: int) -> np.ndarray:
    known = np.isfinite(similarity)
    nearest = np.minimum(count, known.sum(axis=1))
    enough = similarity.shape[1] >= count
    last = np.partition(similarity, -count, axis=1)[:, -count] if enough else np.full(len(similarity), -np.inf)
    above, tied = similarity > last[:, None], (similarity == last[:, None]) & known
    drawn = (tied & true).sum(axis=1) / np.maximum(tied.sum(axis=1), 1)
    found = (above & true).sum(axis=1) + (nearest - above.sum(axis=1)) * drawn
    return np.divide(found, nearest, out=np.full(len(found), np.nan), where=nearest > 0)


def _as_mask(truth: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    if truth.ndim == 2:
        return truth
    return np.arange(similarity.shape[1]) == truth[:, None]
