"""Say in words, and in rows of text, what a comparison over tasks found; renderers put it on a page."""

from __future__ import annotations

import math
from collections.abc import Mapping

from eden_bench.printable import printable_line
from eden_bench.report.findings import Across
from eden_bench.report.number_text import p_text
from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import LEVEL

COLUMNS = ("method", "class", "ranks", "mean rank", "IQM", "mean", "median")
"""Of ``rows``, before the optimality gap, whose name tells its target."""
LEGEND = (
    "Over tasks, scores are shares of 100, each task weighing the same, with 95 % intervals. class: 1 is the best mean "
    "with all methods that do not separate from it, 2 the same of the rest. ranks: those by mean that a method may "
    "have, at 95 % for all methods together (Al Mohamad et al. 2021). mean rank: of ranks within tasks, 1 is the best. "
    "IQM: mean of the middle half of all runs of all tasks. median: of the tasks' means. gap: by how much runs miss "
    "the target on average, what lies above it not counted. Intervals are of runs drawn again within tasks, or of "
    "whole pretrainings where a method has several (Agarwal et al. 2021); they cover neither other patients nor other "
    "tasks."
)


def title(across: Across) -> str:
    """Return the line above the table."""
    return printable_line(f"Across {across.heading}")


def columns(across: Across) -> tuple[str, ...]:
    """Return the column names of ``rows``."""
    return (*COLUMNS, f"gap to {100 * across.target:g}")


def rows(across: Across) -> list[list[str]]:
    """Return the table's body as text, the best mean rank first."""
    classes = {name: str(place) for place, names in enumerate(across.tie_classes, 1) for name in names}
    return [[printable_line(name), classes[name], *_numbers(across, name)] for name in across.methods]


def improvement_rows(across: Across) -> list[list[str]]:
    """Return, for every two methods, the chance that a run of the first scores better, mean over tasks."""
    return [
        [printable_line(first), printable_line(second), _share(estimate)]
        for (first, second), estimate in across.improvement.items()
    ]


def sentences(across: Across) -> list[str]:
    """Return the lines below the table: what holds for these tasks, what for others like them, then notes."""
    found = [
        _of_classes(across),
        _of_improvement(across),
        _of_friedman(across),
        _of_pairs(across),
        _of_nemenyi(across),
        _of_kendall(across),
        *(f"left out of the comparison: {what}: {reason}" for what, reason in across.left_out.items()),
        *across.notes,
    ]
    return [printable_line(sentence) for sentence in found if sentence]


def _numbers(across: Across, name: str) -> list[str]:
    low, high = across.rank_intervals[name]
    found = across.aggregates[name]
    estimates = (found.iqm, found.mean, found.median, found.optimality_gap)
    return [
        str(low) if low == high else f"{low} to {high}",
        f"{across.mean_ranks[name]:.2f}",
        *(_share(estimate) for estimate in estimates),
    ]


def _share(estimate: Estimate) -> str:
    """Format an estimate in [0, 1] as shares of 100.

    >>> _share(Estimate(0.5, 0.25, 0.75)), _share(Estimate(0.5))
    ('50.00 (25.00 to 75.00)', '50.00')
    """
    value, low, high = (None if each is None else 100 * each for each in estimate[:3])
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"


def _of_classes(across: Across) -> str:
    if not across.separation_p:
        return "on these tasks: no two methods are compared, since resampling and errors need several runs of each"
    classes = "; ".join(f"{place}. {', '.join(names)}" for place, names in enumerate(across.tie_classes, 1))
    without = math.comb(len(across.methods), 2) - len(across.separation_p)
    ties = f"; {without} pairs without an error, for want of runs, count as ties" if without else ""
    return (
        f"on these tasks: {_of_all(across.separation_p)} separate by their means (t-tests, Holm over the "
        f"pairs, 0.05 level{ties}), so methods tie in these classes: {classes}. It holds for {across.tie_scope}"
    )


def _of_improvement(across: Across) -> str:
    first, second = across.methods[:2]
    estimate = across.improvement[first, second]
    return f"a run of {first} scores better than one of {second} in {_share(estimate)} of 100 cases, mean over tasks"


def _of_friedman(across: Across) -> str:
    """Say whether any method ranks differently; empty where the test is undefined, which a note says."""
    if across.friedman is None:
        return ""
    (chi2, p), (tasks, methods) = across.friedman, (len(across.tables), len(across.methods))
    told = f"Friedman's chi-squared({methods - 1}) = {chi2:.2f}, p = {p_text(p)}"
    if across.iman_davenport is not None:
        f, p = across.iman_davenport
        told += f"; Iman and Davenport's F({methods - 1}, {(methods - 1) * (tasks - 1)}) = {f:.2f}, p = {p_text(p)}"
    verdict = "some methods rank differently" if p < LEVEL else "undecided whether any ranks differently"
    return f"other tasks like these: {told}: {verdict} at the 0.05 level"


def _of_pairs(across: Across) -> str:
    apart = {pair: p for pair, p in across.wilcoxon_p.items() if p < LEVEL}
    counted = f"by Wilcoxon's signed-rank test with Holm's correction {_of_all(across.wilcoxon_p)} separate"
    which = f": {_pairs(apart)}; groups that do not separate: {_groups(across.cliques)}" if apart else ""
    return f"other tasks like these: {counted}{which}"


def _of_all(p_values: Mapping[tuple[str, str], float]) -> str:
    """Count the pairs that separate.

    >>> _of_all({("a", "b"): 0.01, ("a", "c"): 0.5}), _of_all({("a", "b"): 0.5})
    ('1 of 2 pairs', '0 of 1 pair')
    """
    count = len(p_values)
    return f"{sum(p < LEVEL for p in p_values.values())} of {count} pair{'s' * (count != 1)}"


def _pairs(apart: Mapping[tuple[str, str], float]) -> str:
    return ", ".join(f"{first} from {second} (p = {p_text(p)})" for (first, second), p in apart.items())


def _of_nemenyi(across: Across) -> str:
    if across.critical_difference is None:
        return ""
    groups = _groups(across.nemenyi_cliques)
    return (
        f"other tasks like these: mean ranks differ at the 0.05 level if they lie more than "
        f"{across.critical_difference:.2f} apart (Nemenyi); groups that do not: {groups}"
    )


def _groups(cliques: tuple[tuple[str, ...], ...]) -> str:
    return "; ".join(", ".join(names) for names in cliques) or "none"


def _of_kendall(across: Across) -> str:
    if across.kendall is None:
        same = len(set(across.mean_ranks.values())) == 1
        why = "all mean ranks are equal" if same else "no method has several runs"
        return f"how stable the ranking is cannot be told: {why}"
    tau, low, high, _ = across.kendall
    ends = "" if low is None or high is None else f" (95 of 100 resamples: {low:.2f} to {high:.2f})"
    return f"the ranking against that of resampled runs: Kendall's tau {tau:.2f} on average{ends}; 1 is the same order"
