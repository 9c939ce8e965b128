"""Estimation plots (Gardner and Altman, BMJ 1986): all scores of two rows, and their difference with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.figures import style
from eden_bench.figures.scores import axis_label, in_unit
from eden_bench.figures.style import Drawn
from eden_bench.report.findings import Finding
from eden_bench.report.tables import Report, Row, Table

_COLUMNS, _MOST = 3, 12
_PLACES = (0.0, 1.0, 2.0)
"""Of the two rows and of the difference."""
_TONES = ("#D55E00", "#0072B2")


class Estimated(NamedTuple):
    """A pair of rows of a table, and what was found of it."""

    table: Table
    row: Row
    other: Row
    finding: Finding

    @property
    def difference(self) -> float:
        """First mean minus second, as stored."""
        told = self.finding.difference
        return self.row.summary.mean - self.other.summary.mean if told is None else told


def figures(report: Report) -> list[Drawn]:
    """Draw the pair that each table's test is of, a panel a table; pairs that were refused have none."""
    pairs = [found for table in report.tables if (found := headline_pair(table)) is not None]
    pages = [pairs[k : k + _MOST] for k in range(0, len(pairs), _MOST)]
    return [Drawn("estimation", "Differences with their intervals", _caption(page), draw(page)) for page in pages]


def headline_pair(table: Table) -> Estimated | None:
    """Return the tested row and the best other, with the finding that has an interval; None where none has."""
    rows = {row.label: row for row in table.rows}
    tested = {(each.row.label, each.other.label) for each in table.comparisons}
    pair = next((pair for pair in table.pairs if (pair.row, pair.other) in tested), None)
    if pair is None:
        return None
    finding = next((each for each in (pair.methods, pair.checkpoints) if each.low is not None), None)
    return None if finding is None else Estimated(table, rows[pair.row], rows[pair.other], finding)


def draw(pairs: Sequence[Estimated]) -> Figure:
    """Draw a panel a pair: scores, shared seeds joined, and at the right the difference, 0 at the other's mean."""
    columns = min(_COLUMNS, len(pairs))
    lines = math.ceil(len(pairs) / columns)
    width = style.COLUMN_IN if columns == 1 else style.PAGE_IN
    figure = style.sheet(width, 1.75 * lines + 0.2, style.marks_of(pair.table for pair in pairs))
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, pair in zip(panels, pairs, strict=False):
        _panel(axes, pair)
    for axes in panels[len(pairs) :]:
        axes.remove()
    return figure


def _panel(axes: Axes, pair: Estimated) -> None:
    score = pair.table.score
    means = [in_unit(row.summary.mean, score) for row in (pair.row, pair.other)]
    if pair.row.levels == pair.other.levels == 1 and pair.row.seeds == pair.other.seeds:
        for seed in sorted(pair.row.seeds):
            both = [in_unit(row.scores[seed], score) for row in (pair.row, pair.other)]
            axes.plot(_PLACES[:2], both, color=style.PALE, linewidth=0.6, zorder=1)
    for row, place, colour, marker in zip((pair.row, pair.other), _PLACES, _TONES, "os", strict=False):
        units = [in_unit(value, score) for value in row.units]
        axes.plot([place] * len(units), units, marker, color=colour, markersize=3, alpha=0.7, markeredgewidth=0)
    for place, mean in zip(_PLACES, means, strict=False):
        axes.plot([place - 0.2, place + 0.2], [mean, mean], color="black", linewidth=1.2, zorder=4)
    ends = _difference(axes, pair, means[1])
    _axes(axes, pair, means[1], ends)


def _difference(axes: Axes, pair: Estimated, zero: float) -> list[float]:
    """Draw the difference above where it is 0, and return its ends in the score's unit."""
    score, place = pair.table.score, _PLACES[2]
    value = in_unit(pair.difference, score)
    ends = [in_unit(end, score) for end in (pair.finding.low, pair.finding.high) if end is not None]
    axes.plot([_PLACES[1], place + 0.4], [zero, zero], color=style.GREY, linewidth=0.6, linestyle=(0, (3, 2)))
    axes.plot([place, place], [zero + end for end in ends], color="black", linewidth=1.6, solid_capstyle="butt")
    axes.plot([place], [zero + value], "D", color="black", markersize=4)
    return [value, *ends]


def _axes(axes: Axes, pair: Estimated, zero: float, ends: Sequence[float]) -> None:
    units = [in_unit(value, pair.table.score) for row in (pair.row, pair.other) for value in row.units]
    low, high = min([*units, *(zero + end for end in ends)]), max([*units, *(zero + end for end in ends)])
    room = 0.08 * (high - low) or 1.0
    right = axes.twinx()
    right.spines["right"].set_visible(True)
    for each, off in ((axes, 0.0), (right, zero)):
        each.set_ylim(low - room - off, high + room - off)
        each.locator_params(axis="y", nbins=5)
    axes.set_xticks(_PLACES, [f"n = {len(pair.row.units)}", f"n = {len(pair.other.units)}", "difference"])
    axes.set(xlim=(-0.5, 2.5), ylabel=axis_label(pair.table.score))
    axes.set_title(f"{_title(pair.table)}\n{style.word(pair.row.label)} (●) minus {style.word(pair.other.label)} (■)")


def _title(table: Table) -> str:
    return style.word(table.task if table.shots is None else f"{table.task}, {table.shots} shots")


def _caption(pairs: Sequence[Estimated]) -> str:
    counts = style.count_text(len(row.units) for pair in pairs for row in (pair.row, pair.other))
    covers = "; ".join(dict.fromkeys(pair.finding.covers for pair in pairs if pair.finding.covers))
    also = f", which covers {covers}" if covers else ""
    return (
        f"Scores of the tested method and of the best other (n = {counts} each; a line joins shared seeds), and on the "
        f"right axis the difference of their means with its 95 % interval{also}. The best other was picked on these "
        "same scores."
    )
