"""A report as Markdown: what may be claimed, the tables with every test, across tasks, and the words around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eden_bench.printable import markdown_text, printable_line
from eden_bench.report import claim_text, summary, words
from eden_bench.report.across import text as across_text
from eden_bench.report.diagnostics.diagnostic import Diagnostic, shown
from eden_bench.report.findings import Across
from eden_bench.report.outputs import grid
from eden_bench.report.outputs.pair_grid import PAIR_COLUMNS, pair_cells, pair_notes
from eden_bench.report.outputs.verdict_lines import comparison_text, family
from eden_bench.report.tables import Report, Table


def render(report: Report) -> str:
    """Render a report as Markdown."""
    across = [part for each in report.across for part in _across(each)]
    parts = ["# eden-bench report", *_summary(report), *map(_table, report.tables), *across, *_diagnostics(report)]
    parts += _words(report)
    failed = ["## Failed or left out", _bullets(report.failures)] if report.failures else []
    return "\n\n".join([*parts, *failed]) + "\n"


def _summary(report: Report) -> list[str]:
    """Return what may and may not be claimed."""
    can, cannot = list(summary.can_say(report)), list(summary.cannot_say(report))
    return [
        *(["## What may be claimed", _bullets(can)] if can else []),
        *(["## What cannot be said", _bullets(cannot)] if cannot else []),
    ]


def _table(table: Table) -> str:
    top, facts = map(markdown_text, grid.heading(table))
    tests = [comparison_text(each, table.score) for each in table.comparisons]
    pairs = family(table)
    notes = _bullets((*pair_notes(pairs), *tests, *claim_text.sentences(table), *table.notes))
    compared = _grid(PAIR_COLUMNS, [pair_cells(pair, table) for pair in pairs], ("pair", "verdict", "for the methods"))
    scores = _grid(grid.columns(table), grid.cells(table), grid.TEXT_COLUMNS)
    return "\n\n".join([f"## {top}", facts, scores, *([compared] if pairs else []), *([notes] if notes else [])])


def _across(found: Across) -> list[str]:
    rows = _grid(across_text.columns(found), across_text.rows(found), ("method", "class"))
    title = markdown_text(across_text.title(found))
    return [f"## {title}", rows, _bullets(across_text.sentences(found)), markdown_text(across_text.LEGEND)]


def _diagnostics(report: Report) -> list[str]:
    """Return what stored probabilities say, a section each."""
    told = [part for each in report.diagnostics for part in _diagnostic(each)]
    return ["## From stored probabilities", *told] if told else []


def _diagnostic(found: Diagnostic) -> list[str]:
    rows = [list(map(shown, row)) for row in found.rows]
    table = [_grid(found.columns, rows, found.columns[:1])] if rows else []
    return [f"### {markdown_text(printable_line(found.heading))}", *table, _bullets(found.sentences)]


def _words(report: Report) -> list[str]:
    """Return the words around the numbers, a section each."""
    told = [f"### {each.title}\n\n{_bullets(each.sentences)}" for each in words.passages(report)]
    return ["## What the numbers mean", *told] if told else []


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[str]) -> str:
    rule = ["---" if name in left else "--:" for name in columns]
    lines = [columns, rule, *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return markdown_text(printable_line(text))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {markdown_text(printable_line(line))}" for line in lines)
