"""Render tables in a format; the bridge to ``report.outputs`` until every caller has a Report."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench.report.outputs import grid, table_csv, table_json, text
from eden_bench.report.outputs import markdown as _markdown
from eden_bench.report.outputs.grid import COLUMNS, cells, columns
from eden_bench.report.tables import Report, Table


def _report(tables: Sequence[Table], failures: Sequence[str]) -> Report:
    return Report(tables=tuple(tables), failures=tuple(failures))


def markdown(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render as Markdown."""
    return _markdown.render(_report(tables, failures))


def plain(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render as text."""
    return text.render(_report(tables, failures))


def as_json(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render as JSON."""
    return table_json.render(_report(tables, failures))


def as_csv(tables: Sequence[Table]) -> str:
    """Render as CSV."""
    return table_csv.render(_report(tables, ()))


def sentences(table: Table) -> list[str]:
    """Return the lines below a table."""
    return text.below(table)


__all__ = ["COLUMNS", "as_csv", "as_json", "cells", "columns", "grid", "markdown", "plain", "sentences"]
