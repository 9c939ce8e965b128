"""Ranks of methods over tasks: Friedman's test, what comes after it, and how stable the ranking is.

Scores are (T, K): T tasks (blocks) of K methods, higher is better; ranks are from 1, the best, equal scores sharing
their mean rank. Friedman (1937) asks whether any method differs, Iman and Davenport (1980) the same with more power;
then all pairs by Wilcoxon's signed-rank test with Holm's correction (Benavoli et al., JMLR 2016: unlike Nemenyi's it
does not depend on the other methods) and Nemenyi's critical difference (Demsar, JMLR 2006). All of it takes the tasks
for a sample: what it finds holds for other tasks like these. Scores are rounded to 12 digits, or two equal means
whose numbers were added in another order would not tie.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from eden_bench.statistics.multiplicity import holm
from eden_bench.statistics.t_tests import LEVEL

_DIGITS = 12
LEAST_METHODS = 3
"""Fewer, and Friedman's test is none: two methods are a sign test."""


class RankTest(NamedTuple):
    """A test of whether any method ranks differently."""

    statistic: float | None
    p: float | None
    note: str = ""
    """Why it is undefined."""


def ranks(scores: np.ndarray) -> np.ndarray:
    """Rank methods within tasks, over the last axis: 1 is the highest score, ties share their mean rank.

    >>> ranks(np.array([0.9, 0.7, 0.9, 0.8])).tolist()
    [1.5, 4.0, 1.5, 3.0]
    """
    rounded = np.round(scores, _DIGITS)
    mine, others = rounded[..., :, None], rounded[..., None, :]
    return 0.5 + (others > mine).sum(axis=-1) + 0.5 * (others == mine).sum(axis=-1)


def friedman(scores: np.ndarray) -> RankTest:
    """Test by Friedman's chi-squared, corrected for ties, K - 1 degrees of freedom.

    >>> found = friedman(np.array([[3, 2, 1], [3, 2, 1], [3, 2, 1]]))
    >>> found.statistic, round(found.p, 4)  # e⁻³
    (6.0, 0.0498)
    """
    from scipy.special import chdtrc

    tasks, methods = scores.shape
    if methods < LEAST_METHODS or tasks < 2:
        return RankTest(None, None, f"Friedman's test needs 3 methods and 2 tasks, not {methods} and {tasks}")
    found = ranks(scores)
    within = ((found - (methods + 1) / 2) ** 2).sum()
    if within == 0:
        return RankTest(None, None, "Friedman's test is undefined: all methods tie on every task")
    between = ((found.sum(axis=0) - tasks * (methods + 1) / 2) ** 2).sum()
    chi2 = (methods - 1) * between / within
    return RankTest(float(chi2), float(chdtrc(methods - 1, chi2)))


def iman_davenport(scores: np.ndarray) -> RankTest:
    """Test by Iman and Davenport's F of Friedman's chi-squared, K - 1 and (K - 1)(T - 1) degrees of freedom."""
    from scipy.special import fdtrc

    tasks, methods = scores.shape
    chi2, _, note = friedman(scores)
    if chi2 is None:
        return RankTest(None, None, note)
    rest = tasks * (methods - 1) - chi2
    if rest <= 1e-9 * chi2:
        return RankTest(
            None, None, "Iman and Davenport's F is undefined: every task ranks the methods alike, so it has no bound"
        )
    f = (tasks - 1) * chi2 / rest
    return RankTest(float(f), float(fdtrc(methods - 1, (methods - 1) * (tasks - 1), f)))


def signed_rank_p(differences: np.ndarray) -> float:
    """Return the exact two-sided p of Wilcoxon's signed-rank test: the share of all sign changes as uneven as this.

    Differences of 0 are dropped, equal ones share their mean rank (and the p stays exact). 1 if all are 0.

    >>> signed_rank_p(np.array([1.0, 2, 3, 4, 5])), signed_rank_p(np.zeros(3))
    (0.0625, 1.0)
    """
    told = np.round(differences, _DIGITS)
    told = told[told != 0]
    doubled = np.rint(2 * ranks(-np.abs(told))).astype(int)
    ways = np.ones(1)
    for rank in doubled:  # share of sign changes that give each sum of the positive ranks
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    positive = doubled[told > 0].sum()
    fewest = min(positive, doubled.sum() - positive)
    return float(min(1.0, 2 * ways[: fewest + 1].sum()))


def wilcoxon_holm(scores: np.ndarray) -> dict[tuple[int, int], float]:
    """Test every two methods by Wilcoxon's signed-rank test over tasks; Holm's correction over all pairs."""
    pairs = list(combinations(range(scores.shape[1]), 2))
    corrected = holm([signed_rank_p(scores[:, first] - scores[:, second]) for first, second in pairs])
    return dict(zip(pairs, corrected, strict=True))


def least_p(tasks: int, methods: int) -> float:
    """Return the smallest corrected p that ``wilcoxon_holm`` can give: the first pair's, all signs alike.

    >>> round(least_p(9, 12), 3)
    0.258
    """
    return min(1.0, math.comb(methods, 2) * 2.0 ** (1 - tasks))


def critical_difference(tasks: int, methods: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 0.05 (Demsar 2006, section 3.2.2).

    >>> round(critical_difference(30, 4), 4)  # 2.569 √(4 · 5 / 180)
    0.8563
    """
    from scipy.stats import studentized_range

    q = studentized_range.ppf(1 - LEVEL, methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * tasks)))


def cliques(names: Sequence[str], separated: Iterable[Collection[str]]) -> tuple[tuple[str, ...], ...]:
    """Find the maximal groups of at least two methods of which no two separate (Bron and Kerbosch, 1973).

    Args:
        names: in the order of their ranks, which is that of the groups too.
        separated: pairs that separate, in either order.

    >>> cliques("abcd", {("a", "d"), ("b", "d")})
    (('a', 'b', 'c'), ('c', 'd'))
    """
    apart = {frozenset(pair) for pair in separated}
    tied = {
        name: {other for other in names if other != name and frozenset((name, other)) not in apart} for name in names
    }
    found = [tuple(sorted(each, key=names.index)) for each in _maximal(set(), set(names), set(), tied) if len(each) > 1]
    return tuple(sorted(found, key=lambda each: [names.index(name) for name in each]))


def kendall(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute Kendall's tau-b of rankings over the last axis; NaN where one of two has no order at all.

    Args:
        first: (K,).
        second: (B, K).

    Returns:
        (B,).

    >>> kendall(np.array([1, 2, 3]), np.array([[1, 2, 3], [3, 2, 1], [1, 3, 2]])).round(3).tolist()
    [1.0, -1.0, 0.333]
    """
    one, other = _signs(first), _signs(second)
    pairs = np.sqrt((one**2).sum() * (other**2).sum(axis=-1))
    return np.divide(other @ one, pairs, out=np.full(len(second), np.nan), where=pairs > 0)


def _signs(values: np.ndarray) -> np.ndarray:
    first, second = np.triu_indices(values.shape[-1], 1)
    return np.sign(np.round(values[..., first] - values[..., second], _DIGITS))


def _maximal(clique: set[str], more: set[str], done: set[str], tied: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """Yield the maximal cliques that hold ``clique``, some of ``more`` and none of ``done``."""
    if not more and not done:
        yield clique
        return
    pivot = max(more | done, key=lambda name: len(tied[name] & more))
    for name in sorted(more - tied[pivot]):
        yield from _maximal(clique | {name}, more & tied[name], done & tied[name], tied)
        more, done = more - {name}, done | {name}
