"""Areas under the ROC and the precision-recall curve, from ranks."""

from __future__ import annotations

import numpy as np


def stable_order(values: np.ndarray) -> np.ndarray:
    """Return the places of values from low to high, (N,), equal ones in order of place; NaN last.

    Ties alone are put in order afterwards, which takes half the time of a stable sort where there are few.

    >>> stable_order(np.array([0.5, 0.1, 0.5, 0.1])).tolist()
    [1, 3, 0, 2]
    """
    order = np.argsort(values)
    ranked = values[order]
    level = _level(ranked)
    tied = np.flatnonzero(np.append(level, False) | np.append(False, level))
    if len(tied):
        run = np.cumsum(np.append(True, ~level))[tied]
        order[tied] = order[tied][np.lexsort((order[tied], run))]
    return order


def auc(probability: np.ndarray, target: np.ndarray, order: np.ndarray | None = None) -> float:
    """Compute the area under the ROC curve: the chance that a positive outranks a negative, ties counting half.

    Args:
        probability: (N,) any score that rises with belief.
        target: (N,) 0 or 1; both must occur.
        order: (N,) ``stable_order`` of the probabilities, where it is known.

    Raises:
        ValueError: only one of the two classes occurs, so that there is no AUC.

    >>> auc(np.array([0.1, 0.8, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    0.875
    """
    positive = target == 1
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError(f"no AUC: {positives} positive and {negatives} negative cases, expected at least 1 of each")
    rank_sum = mean_ranks(probability, order)[positive].sum()
    return float((rank_sum - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(probability: np.ndarray, target: np.ndarray) -> float:
    """Compute the area under the precision-recall curve as average precision, which interpolates nothing.

    The sum, over distinct probabilities from high to low, of the precision there times what recall gained there.

    Args:
        probability: (N,) any score that rises with belief.
        target: (N,) 0 or 1; a 1 must occur.

    Raises:
        ValueError: no case is positive, so that there is no recall.
    """
    order = np.argsort(-np.asarray(probability), kind="stable")
    ranked, positive = np.asarray(probability)[order], np.asarray(target)[order] == 1
    if not positive.any():
        raise ValueError("no AUPRC: 0 positive cases, expected at least 1")
    last = np.append(ranked[1:] != ranked[:-1], True)
    found = np.cumsum(positive)[last]
    precision = found / (np.flatnonzero(last) + 1)
    return float((np.diff(found, prepend=0) * precision).sum() / found[-1])


def auc_of_counts(
    probability: np.ndarray, target: np.ndarray, counts: np.ndarray, order: np.ndarray | None = None
) -> np.ndarray:
    """Compute ``auc`` of R resamples, (R,); NaN where one has only one of the two classes.

    A positive outranks the cases drawn below it and half of those level with it, itself and other positives among them:
    over all positives these are half the square of their number, which is taken off.

    Args:
        probability: (N,).
        target: (N,) 0 or 1.
        counts: (R, N) how often each resample drew each case.
        order: (N,) of the probabilities, where it is known.

    >>> auc_of_counts(np.array([0.1, 0.8, 0.8]), np.array([0, 0, 1]), np.array([[1, 1, 1], [2, 0, 1]])).tolist()
    [0.75, 1.0]
    """
    order = np.argsort(probability) if order is None else order
    ranked, positive = np.asarray(probability)[order], np.flatnonzero(np.asarray(target)[order] == 1)
    first, last = (np.searchsorted(ranked, ranked[positive], side) for side in ("left", "right"))
    drawn = counts[:, order]
    up_to = np.zeros((len(counts), len(ranked) + 1))
    np.cumsum(drawn, axis=1, out=up_to[:, 1:])
    of_positive = drawn[:, positive]
    positives = of_positive.sum(axis=1)
    pairs = positives * (up_to[:, -1] - positives)
    above = (of_positive * (up_to[:, first] + up_to[:, last])).sum(axis=1) / 2 - positives**2 / 2
    return np.divide(above, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)


def mean_ranks(values: np.ndarray, order: np.ndarray | None = None) -> np.ndarray:
    """Rank values from 1, equal ones sharing the mean of theirs.

    >>> mean_ranks(np.array([5, 3, 5]))
    array([2.5, 1. , 2.5])
    """
    order = np.argsort(values) if order is None else order
    ranked = np.asarray(values)[order]
    starts = np.flatnonzero(np.append(True, ~_level(ranked)))
    sizes = np.diff(np.append(starts, len(ranked)))
    found = np.empty(len(ranked))
    found[order] = np.repeat(starts + (sizes + 1) / 2, sizes)
    return found


def _level(ranked: np.ndarray) -> np.ndarray:
    """Return whether each value is as large as the one before it, (N - 1,); NaN are level with each other."""
    none = ranked != ranked
    return np.asarray((ranked[1:] == ranked[:-1]) | (none[1:] & none[:-1]))
