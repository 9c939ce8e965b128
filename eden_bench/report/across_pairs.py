"""The difference of two methods over tables, from what the tables say of the pair, or from its runs alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

from eden_bench.report.across_groups import Group
from eden_bench.report.findings import Finding, Pair, Scope
from eden_bench.report.tables import Table
from eden_bench.statistics.aggregates import Runs, fixed
from eden_bench.statistics.separation import Contrast, Means, between, over_tasks
from eden_bench.statistics.t_tests import CONFIDENCE, t_quantile

_SCOPES: Mapping[str, str] = {
    "runs": "these checkpoints on these tasks and patients, under other fine-tuning seeds (where a method has several "
    "pretrainings, under other pretrainings)",
    "checkpoints": "these checkpoints on these tasks, under other fine-tuning seeds and other patients",
    "methods": "the methods on these tasks, under other pretrainings, fine-tuning seeds and patients",
}
"""The narrowest first."""


def contrasts(group: Group, runs: Mapping[str, Runs]) -> dict[tuple[str, str], tuple[Contrast, str]]:
    """Return the difference of every two methods' means over tasks, and for what it holds.

    A pair is asked for the widest scope that every table has an interval for. Without any it is the difference of runs;
    pairs with a method of one run have none, and are left out.
    """
    found: dict[tuple[str, str], tuple[Contrast, str]] = {}
    for first, second in combinations(runs, 2):
        told = _told(group.tables, first, second, "methods") or _told(group.tables, first, second, "checkpoints")
        if told is not None:
            found[first, second] = told
        elif not fixed(runs[first]) and not fixed(runs[second]):
            found[first, second] = between(_spread(runs[first]), _spread(runs[second])), "runs"
    return found


def scope(kinds: Iterable[str]) -> str:
    """Say for what tie classes hold: the narrowest of what their pairs hold for; empty without pairs.

    >>> scope(["methods", "checkpoints"])
    'these checkpoints on these tasks, under other fine-tuning seeds and other patients'
    """
    kinds = set(kinds)
    return next((text for kind, text in _SCOPES.items() if kind in kinds), "")


def _told(tables: Iterable[Table], first: str, second: str, asked: Scope) -> tuple[Contrast, str] | None:
    """Join the intervals of a pair in all tables; None if one has none for this scope.

    Tables of one dataset share their patients. All share the pretrainings.
    """
    found, blocks = [], []
    for table in tables:
        contrast = _of_table(table, first, second, asked)
        if contrast is None:
            return None
        found.append(contrast)
        blocks.append("" if asked == "methods" else table.dataset)
    return over_tasks(found, blocks), asked


def _of_table(table: Table, first: str, second: str, asked: Scope) -> Contrast | None:
    """Return what a table says of a pair, scores put between 0 and 1."""
    low, high = table.score.limits
    scale = (1 if table.score.higher_is_better else -1) / (high - low)
    for pair in table.pairs:
        if {pair.row, pair.other} == {first, second}:
            return _contrast(_finding(pair, asked), scale if pair.row == first else -scale)
    return None


def _finding(pair: Pair, asked: Scope) -> Finding:
    return pair.methods if asked == "methods" else pair.checkpoints


def _contrast(finding: Finding, scale: float) -> Contrast | None:
    """Return the difference and error that an interval says, scaled."""
    difference, low, high, df = finding.difference, finding.low, finding.high, finding.df
    if finding.verdict in ("not asked", "no claim") or difference is None or low is None or high is None or not df:
        return None
    error = (high - low) / 2 / t_quantile((1 + CONFIDENCE) / 2, df)
    return Contrast(scale * difference, abs(scale) * error, df)


def _spread(runs: Runs) -> Means:
    """Return a method's mean over tasks with its error, from runs within tasks, or from pretrainings as a whole."""
    scores = runs.scores.mean(axis=1, keepdims=True) if runs.together else runs.scores
    count = len(scores)
    return Means(scores.mean(axis=0), scores.var(axis=0, ddof=1) / count, scores[0] * 0 + count - 1)
