"""Ablation curves (the paper's Fig. 5.2, 5.3 and 11): score against a method's variants, with what pretrainings do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.figures import style
from eden_bench.figures.scores import axis_label, in_unit, is_ablation
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report, Row, Table

_COLUMNS, _MOST = 4, 12


def figures(report: Report) -> list[Drawn]:
    """Draw one figure an ablation, a panel a task."""
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in filter(is_ablation, report.tables):
        groups.setdefault((table.protocol, table.pretrain_data, table.marks[:2]), []).append(table)
    pages = [group[k : k + _MOST] for group in groups.values() for k in range(0, len(group), _MOST)]
    return [Drawn(style.slug(page[0].protocol), "Ablation", _caption(page), draw(page)) for page in pages]


def draw(tables: Sequence[Table]) -> Figure:
    """Draw a panel a task: means joined by a line, their 95 % intervals, and a pale dot a pretraining or seed."""
    columns = min(_COLUMNS, len(tables))
    lines = math.ceil(len(tables) / columns)
    width = style.COLUMN_IN if columns <= 2 else style.PAGE_IN
    figure = style.sheet(width, 1.75 * lines + 0.2, style.marks_of(tables))
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, table in zip(panels, tables, strict=False):
        _panel(axes, table)
    for axes in panels[len(tables) :]:
        axes.remove()
    figure.supxlabel(changed(tables[0].rows) or "variant", fontsize=style.TEXT_PT)
    return figure


def variants(rows: Sequence[Row]) -> dict[str, Row]:
    """Return short names of variants, in the order of their names, to their rows.

    What all names begin with, up to a hyphen, is left out: of adam-n0 and adam-n0-2 remain n0 and n0-2.
    """
    ordered = sorted(rows, key=lambda row: row.label)
    parts = [row.label.split("-") for row in ordered]
    shared = 0
    while len(parts) > 1 and all(len(each) > shared + 1 and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return {style.word("-".join(each[shared:])): row for each, row in zip(parts, ordered, strict=True)}


def changed(rows: Sequence[Row]) -> str:
    """Return the names of the settings that differ between the rows' methods."""
    configs: list[Mapping[str, Any]] = [record.cell.method_config for row in rows for record in row.cells.values()]
    names = dict.fromkeys(name for config in configs for name in config)
    differing = [name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)]
    return style.word(", ".join(differing).replace("_", " "))


def _panel(axes: Axes, table: Table) -> None:
    found, blue = variants(table.rows), style.COLOURS[0]
    means = [in_unit(row.summary.mean, table.score) for row in found.values()]
    axes.plot(range(len(found)), means, "-o", color=blue, zorder=3)
    for place, row in enumerate(found.values()):
        units = [in_unit(value, table.score) for value in row.units]
        axes.plot([place + 0.12] * len(units), units, ".", color=blue, alpha=0.5, markersize=4, markeredgewidth=0)
        if row.summary.low is not None and row.summary.high is not None:
            ends = [in_unit(row.summary.low, table.score), in_unit(row.summary.high, table.score)]
            axes.plot([place, place], ends, color=blue, linewidth=1.4, solid_capstyle="butt", zorder=2)
    axes.set_xticks(range(len(found)), list(found))
    counts = style.count_text(row.summary.n for row in table.rows)
    shots = "" if table.shots is None else f", {table.shots} shots"
    axes.set(xlim=(-0.4, len(found) - 0.6), ylabel=axis_label(table.score))
    axes.set_title(f"{style.word(table.task + shots)} (n = {counts})")
    axes.grid(axis="y")


def _caption(tables: Sequence[Table]) -> str:
    levels = max(row.levels for table in tables for row in table.rows)
    counts = style.count_text(row.summary.n for table in tables for row in table.rows)
    what = (
        "pretrainings, so that the spread is that of the method"
        if levels == 2
        else ("fine-tuning seeds of one checkpoint each, which say nothing of another pretraining")
    )
    return f"{tables[0].protocol}: mean and 95 % interval over n = {counts} {what}; pale dots are the single scores."
