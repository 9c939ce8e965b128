"""Small tables with sentences below, as text, Markdown or JSON; what ``compare`` and ``explain`` print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eden_bench.errors import unknown
from eden_bench.printable import markdown_text, printable, printable_line
from eden_bench.report.text_table import aligned

FORMATS = ("terminal", "md", "json")


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A table of text, with sentences below it and the same content as JSON."""

    title: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()
    content: Any = None
    """The same as JSON: numbers as stored, unrounded."""


def need_format(form: str) -> None:
    """Validate the name of a format. Raises UsageError with the nearest one."""
    if form not in FORMATS:
        raise unknown("format", form, FORMATS)


def rendered(sheets: Sequence[Sheet], form: str) -> str:
    """Render sheets in one of ``FORMATS``."""
    if form == "json":
        return printable(json.dumps([sheet.content for sheet in sheets], indent=2, ensure_ascii=False, allow_nan=False))
    render = _markdown if form == "md" else _plain
    return "\n\n".join(render(sheet) for sheet in sheets)


def _plain(sheet: Sheet) -> str:
    rows = [[printable_line(cell) for cell in row] for row in sheet.rows]
    table = [aligned(sheet.columns, rows)] if rows else []
    return "\n".join([printable_line(sheet.title), *table, *map(printable_line, sheet.notes)])


def _markdown(sheet: Sheet) -> str:
    grid = [sheet.columns, ["---"] * len(sheet.columns), *sheet.rows] if sheet.rows else []
    lines = ["| " + " | ".join(markdown_text(printable_line(cell)) for cell in line) + " |" for line in grid]
    notes = [f"- {markdown_text(printable_line(note))}" for note in sheet.notes]
    parts = [f"## {markdown_text(printable_line(sheet.title))}", "\n".join(lines), "\n".join(notes)]
    return "\n\n".join(part for part in parts if part)
