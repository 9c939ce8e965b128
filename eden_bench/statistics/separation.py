"""Which of several methods can be told apart, by their means over the same tasks: pairs, ranks, tie classes.

The tasks are fixed here, not a sample: a difference is the mean over these tasks of the differences on each, its error
is made of the tasks' errors, and what is found holds for these tasks. Nine tasks taken for a sample tell hardly any two
of twelve methods apart (``eden_bench.statistics.ranks.least_p``); errors within the tasks may.

Every two methods are compared by a t-test with Holm's correction over all pairs. If no pair is separated wrongly, which
then holds in 95 of 100 studies, every method's rank lies between 1 + how many are better and K - how many are worse:
intervals of all ranks together (Al Mohamad, van Zwet, Goeman and Solari, Biometrical Journal 2021, arXiv:1708.02428).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from eden_bench.statistics.multiplicity import holm
from eden_bench.statistics.t_tests import LEVEL

Pairs = Mapping[tuple[str, str], float]


class Contrast(NamedTuple):
    """A difference with its standard error and degrees of freedom."""

    difference: float
    error: float
    df: float


class Means(NamedTuple):
    """One method's means with their squared standard errors and degrees of freedom, task by task, or of all tasks."""

    mean: np.ndarray
    """(T,)."""
    squared_error: np.ndarray
    df: np.ndarray


def over_tasks(contrasts: Sequence[Contrast], blocks: Sequence[object]) -> Contrast:
    """Average the differences of two methods over tasks.

    Tasks of one block share what varies (test patients, pretrainings), by an amount that is not known: their errors are
    added as if they rose and fell together, which is the most they can. Blocks are independent; their degrees of
    freedom are joined by Satterthwaite's formula.

    Args:
        contrasts: of each task.
        blocks: the block of each task.

    >>> parts = [Contrast(0.1, 0.3, 9), Contrast(0.3, 0.4, 9)]
    >>> [round(float(value), 3) for value in over_tasks(parts, ["one", "another"])]
    [0.2, 0.25, 16.691]
    >>> [round(float(value), 3) for value in over_tasks(parts, ["one", "one"])]
    [0.2, 0.35, 9.0]
    """
    count = len(contrasts)
    found: dict[object, list[Contrast]] = {}
    for block, contrast in zip(blocks, contrasts, strict=True):
        found.setdefault(block, []).append(contrast)
    squares = np.array([sum(each.error for each in several) ** 2 for several in found.values()]) / count**2
    freedom = np.array([min(each.df for each in several) for several in found.values()])
    difference = math.fsum(each.difference for each in contrasts) / count
    return Contrast(difference, math.sqrt(squares.sum()), satterthwaite(squares, freedom))


def between(first: Means, second: Means) -> Contrast:
    """Compare the means over tasks of two methods whose runs are independent: Welch's test, over all tasks at once."""
    squares = np.concatenate([each.squared_error / len(each.mean) ** 2 for each in (first, second)])
    freedom = np.concatenate([first.df, second.df])
    difference = float(first.mean.mean() - second.mean.mean())
    return Contrast(difference, math.sqrt(squares.sum()), satterthwaite(squares, freedom))


def satterthwaite(squares: np.ndarray, freedom: np.ndarray) -> float:
    """Return the degrees of freedom of a sum of squared errors; the least of them where nothing varies."""
    if not squares.any():
        return float(freedom.min())
    return float(squares.sum() ** 2 / (squares**2 / freedom).sum())


def separate(contrasts: Mapping[tuple[str, str], Contrast]) -> dict[tuple[str, str], float]:
    """Return each pair's two-sided p, by Holm's method over all of them."""
    return dict(zip(contrasts, holm([_p(each) for each in contrasts.values()]), strict=True))


def rank_intervals(means: Mapping[str, float], p_values: Pairs) -> dict[str, tuple[int, int]]:
    """Return the ranks, from 1, that each method may have; at 95 % for all methods together.

    Args:
        means: of the methods; higher is better.
        p_values: corrected, of every pair.

    >>> rank_intervals({"a": 3, "b": 2, "c": 1}, {("a", "b"): 0.2, ("a", "c"): 0.01, ("c", "b"): 0.3})
    {'a': (1, 2), 'b': (1, 3), 'c': (2, 3)}
    """
    apart = separated(p_values)
    found = {}
    for name, mean in means.items():
        others = [other for other in means if frozenset((name, other)) in apart]
        better = sum(means[other] > mean for other in others)
        found[name] = (1 + better, len(means) - (len(others) - better))
    return found


def tie_classes(means: Mapping[str, float], p_values: Pairs) -> tuple[tuple[str, ...], ...]:
    """Put methods into classes: the best with all that do not separate from it, then the same of the rest.

    Two of a class may separate from each other; each ties with the first of its class.

    >>> tie_classes({"a": 3, "b": 2, "c": 1}, {("a", "b"): 0.2, ("a", "c"): 0.01, ("c", "b"): 0.3})
    (('a', 'b'), ('c',))
    """
    apart = separated(p_values)
    rest = sorted(means, key=lambda name: (-means[name], name))
    classes = []
    while rest:
        classes.append(tuple(name for name in rest if frozenset((rest[0], name)) not in apart))
        rest = [name for name in rest if name not in classes[-1]]
    return tuple(classes)


def separated(p_values: Pairs) -> set[frozenset[str]]:
    """Return the pairs whose corrected p is below 0.05."""
    return {frozenset(pair) for pair, p in p_values.items() if p < LEVEL}


def separable(means: Mapping[str, Means]) -> tuple[tuple[tuple[str, ...], ...], set[frozenset[str]]]:
    """Return the tie classes of methods and the pairs that separate, from their means and errors on each task."""
    contrasts = {(a, b): between(means[a], means[b]) for a, b in combinations(means, 2)}
    p_values = separate(contrasts)
    overall = {name: float(each.mean.mean()) for name, each in means.items()}
    return tie_classes(overall, p_values), separated(p_values)


def _p(contrast: Contrast) -> float:
    """Return the two-sided p of a t-test; 1 where no run varies, since nothing tells how large chance is."""
    from scipy.special import stdtr

    if contrast.error == 0:
        return 1.0
    return float(2 * stdtr(contrast.df, -abs(contrast.difference / contrast.error)))
