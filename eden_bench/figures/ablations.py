"""Ablation curves (the paper's Fig. 5.2, 5.3 and 11): score against a method's variants, with what pretrainings do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.digests import digest
from eden_bench.figures import style
from eden_bench.figures.scores import axis_label, in_unit, is_ablation
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report, Row, Table

_COLUMNS, _MOST = 4, 12


def figures(report: Report) -> list[Drawn]:
    """Draw one figure a setting that is ablated, a panel a task."""
    groups: dict[tuple[Any, ...], list[Table]] = {}
    for table in filter(is_ablation, report.tables):
        for setting, rows in by_setting(table.rows).items():
            key = (table.protocol, setting, table.pretrain_data, table.marks[:2])
            groups.setdefault(key, []).append(replace(table, rows=tuple(rows)))
    pages = [group[k : k + _MOST] for group in groups.values() for k in range(0, len(group), _MOST)]
    return [Drawn(_name(page), "Ablation", _caption(page), draw(page)) for page in pages]


def by_setting(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return each setting that differs between methods to the rows that differ in it alone, if there are several.

    Of two ablations in one table, no line shall join what differs in two things. Where no two rows differ in one
    setting alone, all of them stand together.
    """
    configs = {row.label: next(iter(row.cells.values())).cell.method_config for row in rows if row.cells}
    differing = _differing(list(configs.values()))
    found: dict[str, list[Row]] = {}
    for name in differing:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            others = {k: v for k, v in configs.get(row.label, {}).items() if k in differing and k != name}
            groups.setdefault(digest(others), []).append(row)
        largest = max(groups.values(), key=len)
        found |= {name: largest} if len(largest) > 1 else {}
    return found or {", ".join(differing): list(rows)}


def _name(page: Sequence[Table]) -> str:
    several = page[0].protocol.count(" / ")
    return style.slug(f"ablation {changed(page[0].rows)}" if several else page[0].protocol)


def _differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for config in configs for name in config)
    return [name for name in names if any(config.get(name) != configs[0].get(name) for config in configs)]


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


def _along(rows: Sequence[Row]) -> dict[str, Row]:
    """Return what stands along the axis: values of the one setting that differs if they are numbers, else variants."""
    configs = [next(iter(row.cells.values())).cell.method_config for row in rows if row.cells]
    names = _differing(configs)
    values = [config.get(names[0]) for config in configs] if len(names) == 1 else []
    if len(set(map(str, values))) < len(rows) or any(type(value) not in (int, float) for value in values):
        return variants(rows)
    order = sorted(zip(values, range(len(rows)), strict=True), key=lambda pair: (pair[0], pair[1]))
    return {f"{value:g}": rows[place] for value, place in order}


def changed(rows: Sequence[Row]) -> str:
    """Return the names of the settings that differ between the rows' methods."""
    configs: list[Mapping[str, Any]] = [record.cell.method_config for row in rows for record in row.cells.values()]
    return style.word(", ".join(_differing(configs)).replace("_", " "))


def _panel(axes: Axes, table: Table) -> None:
    found, blue = _along(table.rows), style.COLOURS[0]
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
