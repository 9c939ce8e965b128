"""The paper's Fig. 3: every method on every task, by kind of method, with 95 % intervals and corrected stars."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.contracts import PERCENT, ScoreDefinition
from eden_bench.figures import style
from eden_bench.figures.style import Drawn, Look
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.tables import Report, Row, Table
from eden_bench.statistics.t_tests import LEVEL

UNTRAINED = "untrained, controls"
KINDS: Mapping[str, Look] = {
    "ours": Look("#D55E00", "o", "-", ""),
    "self-supervised": Look("#0072B2", "s", "-", "////"),
    "supervised": Look("#009E73", "^", "-", "...."),
    UNTRAINED: Look("#7F7F7F", "D", "-", "xxxx"),
}
"""Kind of method to how it is drawn, from the top. Ours is the headline's method."""
_STARS = {"methods": "**", "checkpoints": "*"}
_PAPER = "†"
_COLUMNS, _MOST = 3, 12


class _Line(NamedTuple):
    """A line of the panels: a method, or the name of a kind above its methods."""

    text: str
    kind: str
    label: str = ""
    """Of the row; "" in a kind's own line."""


def figures(report: Report) -> list[Drawn]:
    """Draw the tables of full training sets, a figure for each protocol, pretraining set and marks."""
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in report.tables:
        if table.shots is None and table.kind != "probe" and not is_ablation(table):
            groups.setdefault((table.protocol, table.pretrain_data, table.marks[:2]), []).append(table)
    pages = [group[k : k + _MOST] for group in groups.values() for k in range(0, len(group), _MOST)]
    return [Drawn("scores", "Scores by task and kind of method", _caption(page), draw(page)) for page in pages]


def is_ablation(table: Table) -> bool:
    """Return whether a table's rows are variants of an ablation's protocol."""
    return table.protocol.startswith("ablation-")


def draw(tables: Sequence[Table]) -> Figure:
    """Draw a panel a task and a line a method; dots are means, bars 95 % intervals, pale dots the seeds."""
    columns = min(_COLUMNS, len(tables))
    rows = math.ceil(len(tables) / columns)
    lines = _lines(tables)
    size = (style.COLUMN_IN if columns == 1 else style.PAGE_IN, rows * (0.135 * len(lines) + 0.55) + 0.45)
    figure = style.sheet(*size, style.marks_of(tables))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for place, (axes, table) in enumerate(zip(panels, tables, strict=False)):
        _panel(axes, table, lines)
        if place % columns == 0:
            _names(axes, lines)
    for axes in panels[len(tables) :]:
        axes.remove()
    if told := _told(tables):
        figure.supxlabel(told if columns > 1 else told.replace(";  ", "\n"), fontsize=style.SMALL_PT)
    return figure


def kind_of(row: Row) -> str:
    """Return the kind of method that a row is."""
    if row.headline:
        return "ours"
    groups = {group for record in row.cells.values() for group in record.method.groups}
    return UNTRAINED if row.control else "supervised" if "supervised" in groups else "self-supervised"


def in_unit(value: float, score: ScoreDefinition) -> float:
    """Return a stored value in the score's unit."""
    return 100 * value if score.unit == PERCENT else value


def axis_label(score: ScoreDefinition) -> str:
    """Return the name of a score with its unit, and its direction where lower is better."""
    unit = f" [{style.word(score.unit)}]" if score.unit else ""
    return f"{style.word(score.name.replace('_', ' '))}{unit}{'' if score.higher_is_better else ', lower is better'}"


def stars(table: Table) -> dict[str, str]:
    """Return the label of a row to the marks of what was found of the tested row against it.

    * is by the report's corrected verdict, for these checkpoints; ** for the methods too; † is by the paper's own test,
    which corrects nothing.
    """
    tested = (
        table.comparisons[0].row.label if table.comparisons else next((p.row for p in table.pairs if p.in_family), "")
    )
    found = {pair.other: _star(pair) for pair in table.pairs if pair.in_family and pair.row == tested}
    for comparison in table.comparisons:
        if comparison.row.label == tested and comparison.verdict in ("higher", "lower"):
            found[comparison.other.label] = found.get(comparison.other.label, "") + _PAPER
    return {label: text for label, text in found.items() if text}


def _star(pair: Pair) -> str:
    return next((_STARS[each.scope] for each in (pair.methods, pair.checkpoints) if _decided(each)), "")


def _decided(finding: Finding) -> bool:
    corrected = finding.adjusted_p is not None and finding.adjusted_p < LEVEL
    return corrected and finding.verdict in ("better", "worse")


def _lines(tables: Sequence[Table]) -> list[_Line]:
    kinds = {row.label: kind_of(row) for table in tables for row in table.rows}
    found = []
    for kind in KINDS:
        labels = sorted(label for label in kinds if kinds[label] == kind)
        found += [_Line(kind, kind)] if labels else []
        found += [_Line(style.word(label), kind, label) for label in labels]
    return found


def _panel(axes: Axes, table: Table, lines: Sequence[_Line]) -> None:
    rows, marks = {row.label: row for row in table.rows}, stars(table)
    for place, line in enumerate(lines):
        if line.label in rows:
            _row(axes, rows[line.label], table.score, place, KINDS[line.kind])
        if line.label in marks:
            where = axes.get_yaxis_transform()
            axes.text(1.01, place, marks[line.label], transform=where, va="center", ha="left", fontsize=style.SMALL_PT)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_title(f"{style.word(table.task)} (n = {style.count_text(row.summary.n for row in table.rows)})")
    axes.set_xlabel(axis_label(table.score), labelpad=1)
    axes.locator_params(axis="x", nbins=4)


def _names(axes: Axes, lines: Sequence[_Line]) -> None:
    axes.set_yticks(range(len(lines)), [line.text for line in lines])
    for text, line in zip(axes.get_yticklabels(), lines, strict=True):
        colour = "black" if line.label else KINDS[line.kind].colour
        text.set(fontstyle="normal" if line.label else "italic", color=colour)


def _row(axes: Axes, row: Row, score: ScoreDefinition, place: int, look: Look) -> None:
    units = [in_unit(value, score) for value in row.units]
    mean = in_unit(row.summary.mean, score)
    if len(units) > 1:
        axes.plot(
            units, [place + 0.28] * len(units), ".", color=look.colour, alpha=0.5, markersize=3, markeredgewidth=0
        )
    if row.summary.low is not None and row.summary.high is not None:
        ends = [in_unit(row.summary.low, score), in_unit(row.summary.high, score)]
        axes.plot(ends, [place] * 2, "-", color=look.colour, linewidth=1.4, solid_capstyle="butt", zorder=3)
    axes.plot([mean], [place], look.marker, color=look.colour, markersize=3.6, zorder=4)


def _told(tables: Iterable[Table]) -> str:
    """Explain the marks that some tables bear; empty if they bear none."""
    told = {
        _STARS["checkpoints"]: "Holm-adjusted p < 0.05 for these checkpoints",
        _STARS["methods"]: "for the methods too",
        _PAPER: "p < 0.05 by the paper's own t-test, uncorrected",
    }
    used = {mark for table in tables for text in stars(table).values() for mark in (text.strip(_PAPER), text[-1])}
    return ";  ".join(f"{mark} {text}" for mark, text in told.items() if mark in used)


def _caption(tables: Sequence[Table]) -> str:
    counts = style.count_text(row.summary.n for table in tables for row in table.rows)
    tested = dict.fromkeys(comparison.row.label for table in tables for comparison in table.comparisons)
    return (
        f"Mean and 95 % interval over n = {counts} seeds or pretrainings (pale dots), by kind of method; protocol "
        f"{tables[0].protocol}. Stars compare {' or '.join(tested) or 'no method'} with the row they stand at: * "
        "Holm-adjusted p < 0.05 over the report's family for these checkpoints, ** for the methods; † the paper's "
        "independent t-test against the best baseline at 0.05, corrected for nothing."
    )
