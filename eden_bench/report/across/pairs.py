"""The difference of two methods over tables, from what the tables say of the pair, or from its runs alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import combinations
from typing import NamedTuple

from eden_bench.report.across.groups import Group
from eden_bench.report.findings import Finding, Scope
from eden_bench.report.tables import Table
from eden_bench.statistics.aggregates import Runs, fixed
from eden_bench.statistics.separation import Contrast, Means, between, over_tasks
from eden_bench.statistics.t_tests import CONFIDENCE, t_quantile

_RUNS = "other fine-tuning seeds (of a method with several pretrainings: other pretrainings), for these patients"


class Told(NamedTuple):
    """The difference of two methods over all tables, and for what it holds."""

    contrast: Contrast
    methods: bool
    """It holds for the methods, not for their checkpoints only."""
    covers: Mapping[str, str]
    """Task to what its interval covers, in words."""


def contrasts(group: Group, runs: Mapping[str, Runs]) -> dict[tuple[str, str], Told]:
    """Return the difference of every two methods' means over tasks.

    A pair is asked for the widest scope that every table has an interval for. Without any it is the difference of runs;
    pairs with a method of one run have none, and are left out.
    """
    found: dict[tuple[str, str], Told] = {}
    for first, second in combinations(runs, 2):
        told = _told(group.tables, first, second, "methods") or _told(group.tables, first, second, "checkpoints")
        if told is not None:
            found[first, second] = told
        elif not fixed(runs[first]) and not fixed(runs[second]):
            contrast = between(_spread(runs[first]), _spread(runs[second]))
            found[first, second] = Told(contrast, False, {table.task: _RUNS for table in group.tables})
    return found


def scope(found: Collection[Told]) -> str:
    """Say for what tie classes hold: checkpoints, if any pair does, and what the intervals cover on which tasks."""
    if not found:
        return ""
    of = "the methods" if all(told.methods for told in found) else "these checkpoints"
    texts = dict.fromkeys(text for told in found for text in told.covers.values())
    parts = [text if len(texts) == 1 else f"{text} ({_where(text, found)})" for text in texts]
    return f"{of} on these tasks, under {'; '.join(parts)}"


def _where(text: str, found: Collection[Told]) -> str:
    """Name the tasks, or count the pairs, whose intervals cover this."""
    tasks = {task for told in found for task, covers in told.covers.items() if covers == text}
    if any(task not in tasks for told in found for task in told.covers):
        return ", ".join(sorted(tasks))
    return f"{sum(text in told.covers.values() for told in found)} of {len(found)} pairs"


def _told(tables: Iterable[Table], first: str, second: str, asked: Scope) -> Told | None:
    """Join the intervals of a pair in all tables; None if one has none for this scope.

    Tables of one dataset share their patients. All share the pretrainings.
    """
    found, blocks, covers = [], [], {}
    for table in tables:
        contrast, covers[table.task] = _of_table(table, first, second, asked)
        if contrast is None:
            return None
        found.append(contrast)
        blocks.append("" if asked == "methods" else table.dataset)
    return Told(over_tasks(found, blocks), asked == "methods", covers)


def _of_table(table: Table, first: str, second: str, asked: Scope) -> tuple[Contrast | None, str]:
    """Return what a table says of a pair, scores put between 0 and 1, and what it covers."""
    low, high = table.score.limits
    scale = (1 if table.score.higher_is_better else -1) / (high - low)
    for pair in table.pairs:
        if {pair.row, pair.other} == {first, second}:
            finding = pair.methods if asked == "methods" else pair.checkpoints
            return _contrast(finding, scale if pair.row == first else -scale), finding.covers
    return None, ""


def _contrast(finding: Finding, scale: float) -> Contrast | None:
    """Return the difference and error that an interval says, scaled."""
    difference, low, high, df = finding.difference, finding.low, finding.high, finding.df
    if finding.verdict in ("not asked", "no claim") or difference is None or low is None or high is None or df is None:
        return None
    error = (high - low) / 2 / t_quantile((1 + CONFIDENCE) / 2, df)
    return Contrast(scale * difference, abs(scale) * error, df)


def _spread(runs: Runs) -> Means:
    """Return a method's mean over tasks with its error, from runs within tasks, or from pretrainings as a whole."""
    scores = runs.scores.mean(axis=1, keepdims=True) if runs.together else runs.scores
    count = len(scores)
    return Means(scores.mean(axis=0), scores.var(axis=0, ddof=1) / count, scores[0] * 0 + count - 1)
