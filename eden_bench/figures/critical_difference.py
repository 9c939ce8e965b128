"""Critical-difference diagram (Demšar, JMLR 2006): mean ranks over tasks, joined where they do not separate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.figures import style
from eden_bench.figures.style import Drawn
from eden_bench.report.findings import Across
from eden_bench.report.tables import Report

_LINE_IN = 0.17
_CHARACTER_IN = 0.066
_MOST_IN_COLUMN = 8
"""Methods whose ranks can be read on an axis of one column's width."""
_BAR_GAP = 0.45
"""Lines between the bars of two cliques."""


def figures(report: Report) -> list[Drawn]:
    """Draw one diagram for each comparison over tasks with at least two methods."""
    found = [across for across in report.across if len(across.mean_ranks) > 1]
    title = "Critical-difference diagram"
    return [Drawn("critical-difference", title, _caption(each), draw(each, marks_of(report, each))) for each in found]


def marks_of(report: Report, across: Across) -> tuple[str, ...]:
    """Return the marks of the tables that a comparison over tasks is of."""
    return style.marks_of(table for table in report.tables if table.heading in across.tables)


def set_of(across: Across) -> str:
    """Say in a sentence which tasks are compared; empty where the comparison has no heading."""
    return f" Compared: {across.heading}." if across.heading else ""


def draw(across: Across, marks: Sequence[str] = ()) -> Figure:
    """Draw ranks on an axis from the best at the left, names at both sides, and a bar over each group of ties."""
    order = sorted(across.mean_ranks, key=lambda label: (across.mean_ranks[label], label))
    bars = [clique for clique in across.cliques if len(clique) > 1]
    depth = _BAR_GAP * len(bars) + 1.0
    sides = math.ceil(len(order) / 2)
    width = style.COLUMN_IN if len(order) <= _MOST_IN_COLUMN else style.PAGE_IN
    size = (width, _LINE_IN * (depth + sides + 2.8) + (0.2 if marks else 0))
    figure = style.sheet(*size, marks)
    axes = figure.subplots()
    low, high = 1, max(len(order), 2)
    _axis(axes, low, high)
    for place, label in enumerate(order):
        left = place < sides
        down = depth + (place if left else len(order) - 1 - place)
        _name(axes, across.mean_ranks[label], down, style.word(label), low - 0.02 if left else high + 0.02, left=left)
    for number, clique in enumerate(bars):
        ranks = [across.mean_ranks[label] for label in clique]
        y = 0.5 + _BAR_GAP * number
        axes.plot(
            [min(ranks) - 0.04, max(ranks) + 0.04], [y, y], color=style.MARK_COLOUR, linewidth=3, solid_capstyle="butt"
        )
    if across.critical_difference is not None:
        _scale(axes, low, high, across.critical_difference)
    names_in = _CHARACTER_IN * max(len(style.word(label)) + 6 for label in order)
    room = (high - low) * names_in / max(width - 2 * names_in, 0.3 * width)
    axes.set(xlim=(low - room, high + room), ylim=(depth + sides - 0.3, -2.3))
    return figure


def _axis(axes: Axes, low: int, high: int) -> None:
    axes.set_axis_off()
    axes.plot([low, high], [0, 0], color="black", linewidth=0.8)
    for rank in range(low, high + 1):
        axes.plot([rank, rank], [0, -0.22], color="black", linewidth=0.8)
        axes.text(rank, -0.3, str(rank), ha="center", va="bottom", fontsize=style.SMALL_PT)


def _name(axes: Axes, rank: float, down: float, text: str, edge: float, *, left: bool) -> None:
    axes.plot([rank, rank, edge], [0, down, down], color="black", linewidth=0.7)
    told, where = (f"{text} {rank:.2f}", edge - 0.04) if left else (f"{rank:.2f} {text}", edge + 0.04)
    axes.text(where, down, told, ha="right" if left else "left", va="center")


def _scale(axes: Axes, low: int, high: int, length: float) -> None:
    """Draw the critical difference as a length; one that is longer than the axis is told and not drawn."""
    fits = length <= high - low
    middle = (low + min(low + length, high)) / 2
    said = f"CD = {length:.2f}{'' if fits else ', longer than the axis'}"
    axes.text(middle, -1.6, said, ha="center", va="bottom", fontsize=style.SMALL_PT)
    if not fits:
        return
    axes.plot([low, low + length], [-1.5, -1.5], color="black", linewidth=0.8)
    for end in (low, low + length):
        axes.plot([end, end], [-1.65, -1.35], color="black", linewidth=0.8)


def _caption(across: Across) -> str:
    p = f"Friedman p = {across.friedman[1]:.2g}; " if across.friedman else ""
    cd = "" if across.critical_difference is None else " CD: Nemenyi's critical difference at 0.05."
    return (
        f"Mean ranks of {len(across.methods)} methods over n = {len(across.tables)} tasks, 1 is the best; {p}a bar "
        f"joins methods that do not separate (Wilcoxon signed rank, Holm).{cd}{set_of(across)}"
    )
