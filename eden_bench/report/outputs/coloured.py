"""A report on a terminal that has colours: the same words as ``text``, the ones that matter coloured."""

from __future__ import annotations

import re
from typing import TextIO

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from eden_bench.report.outputs import grid, text
from eden_bench.report.tables import Report, Table

_COLOURS = {
    r"\bPHANTOM\b|\bQUICK\b|\bPART\b": "bold magenta",
    r": better\b|\bhas the property\b|: higher at\b": "bold green",
    r": worse\b|\bbelow its floor\b|: lower at\b": "bold red",
    r": equivalent\b": "bold cyan",
    r": undecided\b|: no claim\b|\bnot above its floor\b": "yellow",
    r"^(missing|leakage|failed|left out)\b": "bold yellow",
}
"""Colour is never alone: it repeats what the word says."""


def show(report: Report, target: TextIO) -> None:
    """Print a report; rich leaves the colours out where NO_COLOR is set or the terminal has none."""
    console = Console(file=target, highlight=False)
    for table in report.tables:
        top, facts = grid.heading(table)
        console.print(_coloured(top), _grid(table), _coloured(facts), *map(_coloured, text.below(table)), "", sep="\n")
    console.print(*map(_coloured, text.closing(report)), sep="\n")


def _grid(table: Table) -> Grid:
    """Return the table, the best mean in bold; long names fold and are never cut."""
    made = Grid()
    for column in grid.columns(table):
        made.add_column(column, overflow="fold", justify="left" if column in grid.TEXT_COLUMNS else "right")
    for number, line in enumerate(grid.cells(table)):
        best = number < len(table.rows) and grid.is_best(table, table.rows[number])
        made.add_row(*map(_coloured, line), style="bold" if best else "")
    return made


def _coloured(line: str) -> Text:
    found = Text(line)
    for pattern, style in _COLOURS.items():
        found.highlight_regex(re.compile(pattern), style)
    return found
