"""Compare methods over all tables that may stand beside each other: aggregates, ranks, and who can be told apart.

Two questions, two kinds of test. Friedman's test, Wilcoxon's with Holm's correction and Nemenyi's critical difference
take the tasks for a sample: would this ranking hold on other tasks? Tie classes and rank intervals take these tasks as
given: which methods differ on them, other seeds, patients or pretrainings being drawn? They rest on the intervals of
the tables' pairs where every table has them; else on the spread of the runs alone, and say so.

Every score is put between 0 and 1 by its bounds, 1 being the best; chance is not subtracted. A method's runs are those
that it has in every table, so that each task weighs the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations

import numpy as np

from eden_bench.forking import each_of
from eden_bench.report import findings
from eden_bench.report.across.groups import Group, groups
from eden_bench.report.across.notes import heading, notes
from eden_bench.report.across.pairs import contrasts, scope
from eden_bench.report.findings import Across
from eden_bench.report.tables import Table
from eden_bench.report.workers import workers
from eden_bench.statistics import ranks, separation
from eden_bench.statistics.aggregates import (
    PAIR_RESAMPLES,
    TARGET,
    Runs,
    aggregates,
    fixed,
    improvements,
    profile,
    resampled,
)
from eden_bench.statistics.estimates import Estimate

THRESHOLDS = tuple(step / 100 for step in range(101))
_TAILS = (0.025, 0.975)


def across(tables: Iterable[Table]) -> tuple[Across, ...]:
    """Compare the methods that have all tables of a group, for every group of tables alike.

    Nothing is returned for fewer than two tables or two methods; ``across_notes.absence`` says why.
    """
    tables = list(tables)
    asked = [group for group in groups(tables) if group.enough]
    return tuple(each_of(asked, _compare, workers(tables)))


def _compare(group: Group) -> Across:
    mean_ranks = _mean_ranks(group.runs)
    runs = {name: group.runs[name] for name in mean_ranks}
    scores = _means(runs)
    names = tuple(runs)
    wilcoxon = {(names[a], names[b]): p for (a, b), p in ranks.wilcoxon_holm(scores).items()}
    critical = ranks.critical_difference(*scores.shape)
    differences = contrasts(group, runs)
    p_values = separation.separate({pair: told.contrast for pair, told in differences.items()})
    overall = dict(zip(names, scores.mean(axis=0).tolist(), strict=True))
    return Across(
        methods=names,
        tables=tuple(table.heading for table in group.tables),
        heading=heading(group),
        aggregates={name: findings.Aggregates(**aggregates(each)._asdict()) for name, each in runs.items()},
        target=TARGET,
        thresholds=THRESHOLDS,
        profiles={name: _profile(each) for name, each in runs.items()},
        friedman=_pair(ranks.friedman(scores)),
        iman_davenport=_pair(ranks.iman_davenport(scores)),
        mean_ranks=mean_ranks,
        rank_intervals=separation.rank_intervals(overall, p_values),
        wilcoxon_p=wilcoxon,
        cliques=ranks.cliques(names, separation.separated(wilcoxon)),
        critical_difference=critical,
        nemenyi_cliques=ranks.cliques(names, _beyond(mean_ranks, critical)),
        kendall=_stability(runs, scores),
        improvement=improvements(runs),
        separation_p=p_values,
        tie_classes=separation.tie_classes(overall, p_values),
        tie_scope=scope(differences.values()),
        left_out=group.left_out,
        notes=notes(group, scores),
    )


def _means(runs: Mapping[str, Runs]) -> np.ndarray:
    """Return the mean of each method on each task, (T, K)."""
    return np.stack([each.scores.mean(axis=0) for each in runs.values()], axis=1)


def _mean_ranks(runs: Mapping[str, Runs]) -> dict[str, float]:
    """Return the mean rank of each method over tasks, the best first."""
    found = zip(ranks.ranks(_means(runs)).mean(axis=0).tolist(), runs, strict=True)
    return {name: rank for rank, name in sorted(found)}


def _beyond(mean_ranks: Mapping[str, float], critical: float) -> set[frozenset[str]]:
    """Return the pairs whose mean ranks lie further apart than the critical difference."""
    return {frozenset((a, b)) for a, b in combinations(mean_ranks, 2) if abs(mean_ranks[a] - mean_ranks[b]) > critical}


def _profile(runs: Runs) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]:
    found = profile(runs, np.array(THRESHOLDS), PAIR_RESAMPLES)
    shares, low, high = (() if part is None else tuple(part.tolist()) for part in found)
    return shares, low, high


def _stability(runs: Mapping[str, Runs], scores: np.ndarray) -> Estimate | None:
    """Compare the ranking with that of resampled runs: mean of Kendall's tau-b, and its percentile interval.

    After challengeR (Wiesenfarth et al., Scientific Reports 2021, arXiv:1910.05121), which resamples cases. None where
    nothing can be resampled, or all methods have one mean rank.
    """
    if all(fixed(each) for each in runs.values()):
        return None
    drawn = np.stack([_resampled_means(each) for each in runs.values()], axis=2)
    taus = ranks.kendall(ranks.ranks(scores).mean(axis=0), ranks.ranks(drawn).mean(axis=1))
    taus = taus[~np.isnan(taus)]
    if not len(taus):
        return None
    low, high = np.quantile(taus, _TAILS)
    return Estimate(float(taus.mean()), float(low), float(high))


def _resampled_means(runs: Runs) -> np.ndarray:
    """Return the mean on each task of each resample, (B, T); of a single run, always the same."""
    if fixed(runs):
        return np.repeat(runs.scores, PAIR_RESAMPLES, axis=0)
    return np.concatenate([part.mean(axis=1) for part in resampled(runs, PAIR_RESAMPLES)])


def _pair(test: ranks.RankTest) -> tuple[float, float] | None:
    return None if test.statistic is None or test.p is None else (test.statistic, test.p)
