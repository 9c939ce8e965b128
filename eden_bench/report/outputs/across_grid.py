"""Columns, cells and sentences of the comparison over all tasks."""

from __future__ import annotations

from eden_bench.printable import printable_line
from eden_bench.report.findings import Across
from eden_bench.report.number_text import p_text
from eden_bench.report.outputs.grid import MISSING
from eden_bench.report.outputs.pair_grid import estimate_text

COLUMNS = ("method", "mean rank", "ranks it may have", "IQM", "median", "mean", "optimality gap")


def cells(found: Across) -> list[list[str]]:
    """Return a row a method, the best mean rank first."""
    order = sorted(found.methods, key=lambda method: (found.mean_ranks.get(method, 0.0), method))
    return [[printable_line(cell) for cell in _cells(found, method)] for method in order]


def sentences(found: Across) -> list[str]:
    """Describe the tests over all tables, the classes, and what was left out."""
    return [printable_line(line) for line in (*_tests(found), *_stability(found), *_left_out(found), *found.notes)]


def classes(found: Across) -> str:
    """Return the order of the methods, = between those that cannot be told apart."""
    return "; then ".join(" = ".join(group) for group in found.tie_classes)


def _cells(found: Across, method: str) -> list[str]:
    rank, may = found.mean_ranks.get(method), found.rank_intervals.get(method)
    over = found.aggregates.get(method)
    told = [over.iqm, over.median, over.mean, over.optimality_gap] if over else [None] * 4
    return [
        method,
        MISSING if rank is None else f"{rank:.2f}",
        MISSING if may is None else f"{may[0]} to {may[1]}",
        *map(estimate_text, told),
    ]


def _tests(found: Across) -> list[str]:
    lines = []
    if found.friedman is not None:
        lines.append(f"Friedman: chi-squared = {found.friedman[0]:.2f}, p = {p_text(found.friedman[1])}.")
    if found.iman_davenport is not None:
        lines.append(f"Iman and Davenport: F = {found.iman_davenport[0]:.2f}, p = {p_text(found.iman_davenport[1])}.")
    if found.critical_difference is not None:
        lines.append(f"Nemenyi's critical difference of mean ranks at 0.05: {found.critical_difference:.2f}.")
    told_apart = sum(p < 0.05 for p in found.wilcoxon_p.values())
    if found.wilcoxon_p:
        lines.append(f"Wilcoxon by Holm: {told_apart} of {len(found.wilcoxon_p)} pairs told apart at 0.05.")
    return lines


def _stability(found: Across) -> list[str]:
    order = [f"The best first, = where they cannot be told apart: {classes(found)}."] if found.tie_classes else []
    if found.kendall is None:
        return order
    return [*order, f"Kendall's tau of this order with that of resampled tables: {estimate_text(found.kendall)}."]


def _left_out(found: Across) -> list[str]:
    return [f"Not in the comparison: {name}: {why}." for name, why in found.left_out.items()]
