"""Print tables, cards and JSON: a rich table on a terminal, aligned plain text off it, JSON where asked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from eden_bench.cli.streams import print_text, stdout
from eden_bench.printable import bare, printable
from eden_bench.report.text_table import aligned


def print_json(content: object) -> None:
    """Print JSON, keys in the order given. Raises ValueError on NaN."""
    print_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print rows of text as a table; long names fold on a terminal and are never cut."""
    if stdout().isatty():
        _rich_table(columns, rows, title)
    else:
        print_text(aligned(columns, rows, title))


def print_pairs(pairs: Mapping[str, str], title: str) -> None:
    """Print a card: names and values, one a line."""
    width = max((len(name) for name in pairs), default=0)
    lines = [f"{name.ljust(width)}  {value}".rstrip() for name, value in pairs.items()]
    print_text("\n".join([title, *(f"  {line}" for line in lines)]))


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(printable(title)) if title else None, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=bare(stdout())).print(table)
