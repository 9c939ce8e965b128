"""Sections of the page that are tables: scores at a glance, and everything of one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from eden_bench.printable import printable_line
from eden_bench.report import claim_text, words
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.html.blocks import Cell
from eden_bench.report.html.curves import curves
from eden_bench.report.html.extremes import extremes
from eden_bench.report.number_text import shown
from eden_bench.report.outputs import alternatives, grid
from eden_bench.report.outputs.pair_grid import PAIR_COLUMNS, details, pair_cells
from eden_bench.report.outputs.verdict_lines import comparison_text, family, short
from eden_bench.report.tables import Report, Row, Table

_OPPOSITE = {"better": "worse", "worse": "better"}
_KINDS = {
    **{"better": "good", "has the property": "good", "worse": "bad", "below its floor": "bad"},
    **{"equivalent": "same", "undecided": "open", "not above its floor": "open", "no claim": "open"},
}
_SIGNS = {"better": "▲ better", "worse": "▼ worse", "equivalent": "= equivalent", "undecided": "? undecided"}


def counts(report: Report) -> str:
    """Return how much a report is of."""
    cells = sum(len(row.cells) for table in report.tables for row in table.rows)
    labels = {row.label for table in report.tables for row in table.rows}
    told = ((len(report.tables), "table"), (len(labels), "row label"), (cells, "cell"))
    return ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in told)


def overviews(report: Report, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return mean and s.d. of every method in every table, apart for each set of marks."""
    tables = sorted(report.tables, key=lambda table: table.marks)
    groups = [list(group) for _, group in groupby(tables, key=lambda table: table.marks)]
    return [_overview(group, names) for group in groups]


def section(table: Table, anchor: str) -> dict[str, Any]:
    """Return everything that the page says of one table."""
    top, facts = grid.heading(table)
    pairs = family(table)
    return {
        "anchor": anchor,
        "task": table.task,
        "name": table.short if table.shots is not None else f"{table.short}, {_shots(table)}",
        "short": table.short,
        "title": table.title,
        "marks": table.marks.words,
        "top": top,
        "facts": facts,
        "definition": table.score.text,
        "columns": grid.columns(table),
        "rows": scores(table),
        "verdicts": [_line(pair, table) for pair in pairs],
        "matrix": matrix(table),
        "pair_columns": PAIR_COLUMNS,
        "pairs": [_pair_row(pair, table) for pair in table.pairs],
        "details": [(f"{pair.row} – {pair.other}", details(pair, table)) for pair in pairs],
        "tests": [comparison_text(each, table.score) for each in table.comparisons],
        "patients": claim_text.sentences(table),
        "alternatives": _alternatives(table),
        "curves": curves(table),
        "extremes": extremes(table),
        "notes": words.of_table(table),
        "more": [note for note in table.notes if note not in words.of_table(table)],
    }


def scores(table: Table) -> list[list[Cell]]:
    """Return a table's rows; the best mean and the claims have a kind."""
    lines = grid.cells(table)
    claim = len(grid.columns(table)) - 1 if table.claims else -1
    return [
        [_score_cell(table, line, number, place, claim) for place in range(len(line))]
        for number, line in enumerate(lines)
    ]


def matrix(table: Table) -> dict[str, Any] | None:
    """Return each row's verdict against each other, for these checkpoints; None where fewer than two pairs are."""
    if len(table.pairs) < 2:
        return None
    found = {(pair.row, pair.other): pair.checkpoints for pair in table.pairs}
    compared = {label for pair in table.pairs for label in (pair.row, pair.other)}
    labels = [row.label for row in table.rows if row.label in compared]
    rows = [[Cell(printable_line(row)), *(_verdict(found, row, other) for other in labels)] for row in labels]
    return {"labels": [printable_line(label) for label in labels], "rows": rows}


def _overview(tables: Sequence[Table], names: Mapping[str, str]) -> dict[str, Any]:
    labels = dict.fromkeys(row.label for table in tables for row in table.rows)
    found = {table.heading: {row.label: row for row in table.rows} for table in tables}
    heads = [Cell(table.short, link=names[table.heading]) for table in tables]
    rows = [
        [Cell(printable_line(label)), *(_mean(table, found[table.heading].get(label)) for table in tables)]
        for label in sorted(labels)
    ]
    return {"marks": tables[0].marks.words, "heads": heads, "rows": rows}


def _mean(table: Table, row: Row | None) -> Cell:
    if row is None:
        return Cell(grid.MISSING)
    sd = "" if row.summary.sd is None else f" ± {shown(row.summary.sd, table.score)}"
    return Cell(shown(row.summary.mean, table.score) + sd, "best" if grid.is_best(table, row) else "")


def _score_cell(table: Table, line: Sequence[str], number: int, place: int, claim: int) -> Cell:
    best = place == 1 and number < len(table.rows) and grid.is_best(table, table.rows[number])
    kind = _KINDS.get(line[place].partition(" [")[0], "") if place == claim else ""
    return Cell(line[place], "best" if best else kind)


def _verdict(found: Mapping[tuple[str, str], Finding], row: str, other: str) -> Cell:
    """Return the verdict on a row against another, whichever of the two was named first."""
    if row == other:
        return Cell("", "self")
    if finding := found.get((row, other)):
        verdict: str = finding.verdict
    elif finding := found.get((other, row)):
        verdict = _OPPOSITE.get(finding.verdict, finding.verdict)
    else:
        return Cell("not compared")
    return Cell(_SIGNS.get(verdict, verdict), _KINDS.get(verdict, ""))


def _line(pair: Pair, table: Table) -> Cell:
    return Cell(printable_line(short(pair, table)), _KINDS.get(pair.checkpoints.verdict, ""))


def _pair_row(pair: Pair, table: Table) -> list[Cell]:
    cells = [Cell(printable_line(text)) for text in pair_cells(pair, table)]
    place = PAIR_COLUMNS.index("verdict")
    cells[place] = cells[place]._replace(kind=_KINDS.get(pair.checkpoints.verdict, ""))
    return cells


def _alternatives(table: Table) -> dict[str, Any] | None:
    """Return the scores beside the primary one: a row each, a column a method."""
    known = alternatives.definitions(table)
    if not known:
        return None
    means = {row.label: alternatives.means(row) for row in table.rows}
    rows = [
        [Cell(printable_line(name)), *(Cell(shown(means[row.label].get(name), score)) for row in table.rows)]
        for name, score in known.items()
    ]
    said = dict.fromkeys(
        (score.text, score.unit or "a bare number", score.higher_is_better) for score in known.values()
    )
    texts = [
        printable_line(f"{_names(known, text)}: {text} ({unit}{'' if higher else ', lower is better'})")
        for text, unit, higher in said
        if text
    ]
    return {"labels": [printable_line(row.label) for row in table.rows], "rows": rows, "texts": texts}


def _names(known: Mapping[str, Any], text: str) -> str:
    names = [name for name, score in known.items() if score.text == text]
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)})"


def _shots(table: Table) -> str:
    return "full training set" if table.shots is None else f"{table.shots} shots"
