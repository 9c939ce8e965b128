"""A report as LaTeX: a document of booktabs tables that compiles as it is, to copy tables from.

First the scores of all tasks side by side, as papers print them; then each table with intervals and its pairs; then the
comparison over all tasks. The best mean of a table is bold.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeVar

from eden_bench.printable import printable_line
from eden_bench.report import summary, words
from eden_bench.report.across import text as across_text
from eden_bench.report.findings import Across
from eden_bench.report.number_text import shown
from eden_bench.report.outputs import grid
from eden_bench.report.outputs.pair_grid import PAIR_COLUMNS, pair_cells
from eden_bench.report.outputs.verdict_lines import family
from eden_bench.report.tables import Report, Row, Table

_WIDE = 4
"""Tables side by side in one float."""
_FEW = 7
"""Columns of a pair: as many as fit a page."""
_LONG = 60
"""Lines of a table: as many as fit a page."""
T = TypeVar("T")
_OPENING = r"""\documentclass[10pt]{article}
\usepackage[utf8]{inputenc}
\usepackage{booktabs}
\usepackage{float}
\usepackage[a4paper,margin=2cm]{geometry}
\begin{document}
"""
_CLOSING = "\n\\end{document}\n"
_SPECIAL = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''"},
    **{"–": "--", "—": "---", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "·": r"$\cdot$"},
    **{
        "…": r"\ldots{}",
        "’": "'",
        "‘": "`",
        "[": "{[}",
        "]": "{]}",
        "'": r"\textquotesingle{}",
        "`": r"\textasciigrave{}",
    },
    "-": "{-}",
}


def render(report: Report) -> str:
    """Render a report as a LaTeX document."""
    parts = [_summary(report), *_side_by_side(report), *_each(report), *map(_across, report.across), _words(report)]
    return _OPENING + "\n\n".join(filter(None, parts)) + _CLOSING


def escaped(text: str) -> str:
    r"""Escape text for LaTeX; what pdfTeX's fonts have no glyph for is written as its code.

    >>> print(escaped("50 % of a_b \\input{x}"))
    50 \% of a\_b \textbackslash{}input\{x\}
    """
    found = "".join(_SPECIAL.get(char) or (char if _has_glyph(char) else _code(char)) for char in printable_line(text))
    return re.sub(r"(?<![\w}])\{-\}(?=\d)", "$-$", found)


def _has_glyph(char: str) -> bool:
    accented = unicodedata.decomposition(char)[:1].isdigit() and "À" <= char <= "ÿ"
    return " " <= char <= "~" or char in "ßæøåÆØÅ" or accented


def _code(char: str) -> str:
    return f"{{[}}U+{ord(char):04X}{{]}}"


def _summary(report: Report) -> str:
    """Return what may and may not be claimed, as lists."""
    can, cannot = list(summary.can_say(report)), list(summary.cannot_say(report))
    parts = [_items("What may be claimed", can), _items("What cannot be said", cannot)]
    return "\n\n".join(filter(None, parts))


def _words(report: Report) -> str:
    return "\n\n".join(_items(each.title, each.sentences) for each in words.passages(report))


def _items(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    told = "\n".join(rf"\item {escaped(line)}" for line in lines)
    return f"\\subsection*{{{escaped(title)}}}\n\\begin{{itemize}}\n{told}\n\\end{{itemize}}"


def _side_by_side(report: Report) -> list[str]:
    """Return mean and s.d. of every method on every task, a few tasks a float; phantom and real never in one."""
    tables = sorted(report.tables, key=lambda table: table.marks)
    groups = [list(group) for _, group in groupby(tables, key=lambda table: table.marks)]
    return [_comparison(part) for group in groups if len(group) > 1 for part in _parts(group, _WIDE)]


def _comparison(tables: Sequence[Table]) -> str:
    labels = dict.fromkeys(row.label for table in tables for row in table.rows)
    rows = {table.heading: {row.label: row for row in table.rows} for table in tables}
    body = [[escaped(label), *(_mean(table, rows[table.heading].get(label)) for table in tables)] for label in labels]
    heads = ["method", *(table.short for table in tables)]
    told = "Mean ± s.d. over seeds (or pretrainings). The best mean of a column is bold, which is no test."
    caption = f"{told} {_marks(tables[0])}"
    return _float(list(map(escaped, heads)), body, "l" + "c" * len(tables), caption)


def _parts(several: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (several[start : start + size] for start in range(0, len(several), size))


def _mean(table: Table, row: Row | None) -> str:
    if row is None:
        return escaped(grid.MISSING)
    sd = "" if row.summary.sd is None else rf" $\pm$ {escaped(shown(row.summary.sd, table.score))}"
    return _bold(escaped(shown(row.summary.mean, table.score)), grid.is_best(table, row)) + sd


def _each(report: Report) -> Iterable[str]:
    for table in report.tables:
        yield _scores(table)
        if pairs := family(table):
            body = [pair_cells(pair, table)[:_FEW] for pair in pairs]
            caption = f"Pairs of rows. {' '.join(grid.heading(table))}"
            yield from (_plain_float(PAIR_COLUMNS[:_FEW], part, "lrrrrll", caption) for part in _parts(body, _LONG))


def _scores(table: Table) -> str:
    """Return a table's rows, the best mean bold."""
    body = [list(map(escaped, line)) for line in grid.cells(table)]
    for line, row in zip(body, table.rows, strict=False):
        line[1] = _bold(line[1], grid.is_best(table, row))
    columns = grid.columns(table)
    layout = "".join("l" if name in grid.TEXT_COLUMNS else "r" for name in columns)
    return _float(list(map(escaped, columns)), body, layout, " ".join(grid.heading(table)))


def _across(found: Across) -> str:
    caption = f"{across_text.title(found)}. {across_text.LEGEND}"
    columns = across_text.columns(found)
    made = _plain_float(columns, across_text.rows(found), "l" + "r" * (len(columns) - 1), caption)
    return f"{made}\n\n{_items('Across tasks', across_text.sentences(found))}"


def _plain_float(columns: Sequence[str], body: Iterable[Sequence[str]], layout: str, caption: str) -> str:
    return _float(list(map(escaped, columns)), [list(map(escaped, line)) for line in body], layout, caption)


def _float(columns: Sequence[str], body: Iterable[Sequence[str]], layout: str, caption: str) -> str:
    """Return a table of cells that are LaTeX already, above it its caption."""
    lines = [" & ".join(line) + r" \\" for line in body]
    return "\n".join(
        [
            r"\begin{table}[H]\centering\scriptsize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escaped(caption)}}}",
            rf"\begin{{tabular}}{{@{{}}{layout}@{{}}}}",
            r"\toprule",
            " & ".join(columns) + r" \\",
            r"\midrule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _bold(text: str, best: bool) -> str:
    return rf"\textbf{{{text}}}" if best else text


def _marks(table: Table) -> str:
    return f"[{'; '.join(table.marks.words)}]" if table.marks.words else ""
