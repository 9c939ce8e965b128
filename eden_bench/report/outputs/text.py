"""A report for a terminal: each table with its marks, one line a compared pair, then short notes."""

from __future__ import annotations

from collections.abc import Iterator

from eden_bench.printable import printable, printable_line
from eden_bench.report import claim_text, words
from eden_bench.report.outputs import grid
from eden_bench.report.outputs.verdict_lines import comparison_text, family, short
from eden_bench.report.summary import cannot_say, orders
from eden_bench.report.tables import Report, Table
from eden_bench.report.text_table import aligned


def render(report: Report) -> str:
    """Render a report as text in aligned columns."""
    return printable("\n\n".join(_parts(report)))


def below(table: Table) -> list[str]:
    """Return the lines below a table: verdicts, then notes that a reader must not miss."""
    verdicts = [short(pair, table) for pair in family(table)]
    tests = [comparison_text(each, table.score) for each in table.comparisons] if not verdicts else []
    return [printable_line(line) for line in (*verdicts, *tests, *claim_text.sentences(table), *words.of_table(table))]


def closing(report: Report) -> list[str]:
    """Return the lines below all tables: the order over all tasks, what cannot be said, and what failed."""
    lines = (*orders(report), *cannot_say(report), *words.in_short(report), *report.failures)
    return [printable_line(line) for line in lines]


def _parts(report: Report) -> Iterator[str]:
    for table in report.tables:
        yield "\n".join([*grid.heading(table), aligned(grid.columns(table), grid.cells(table)), *below(table)])
    yield "\n".join(closing(report))
