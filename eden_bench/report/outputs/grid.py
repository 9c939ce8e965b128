"""Headings, columns and cells of a report's tables as text, the same in every output."""

from __future__ import annotations

from eden_bench.contracts import PERCENT, ScoreDefinition
from eden_bench.printable import printable_line
from eden_bench.report import claim_text
from eden_bench.report.number_text import shown, shown_range
from eden_bench.report.tables import Row, Table, ranges

COLUMNS = ("method", "mean", "s.d.", "n", "95 % interval", "seeds")
BEST_COLUMN = "best?"
"""A row against the best of all others, where that was asked."""
TEXT_COLUMNS = ("method", "seeds", "claim", BEST_COLUMN)
"""Columns that are words; the others are numbers."""
MISSING = "–"
_BEST = {"best": "yes", "may be the best": "may be", "not the best": "no", "no claim": MISSING}


def heading(table: Table) -> list[str]:
    """Return the lines above a table: task, score, data and budget."""
    facts = [
        f"score {table.score.name}, definition {table.score.version}{direction(table.score)}",
        f"data {table.dataset} {table.data[:12]}" + (f" ({table.counts})" if table.counts else ""),
        *([f"pretraining data {table.pretrain_data[:12]}"] if table.pretrain_data else []),
        *([table.budget_text] if table.budget else []),
    ]
    return [printable_line(table.heading), printable_line(f"{table.title}; {'; '.join(facts)}")]


def direction(score: ScoreDefinition) -> str:
    """Name a unit other than percent, and a score of which lower is better."""
    unit = "" if score.unit == PERCENT else f", in {score.unit}" if score.unit else ", a bare number"
    return unit + ("" if score.higher_is_better else ", lower is better")


def columns(table: Table) -> tuple[str, ...]:
    """Return the column names of a table, with those of claims for a probe."""
    best = (BEST_COLUMN,) if table.best else ()
    return (*COLUMNS, *best, *(claim_text.COLUMNS if table.claims else ()))


def cells(table: Table) -> list[list[str]]:
    """Return the body of a table as text, scores in their unit with the task's own number of digits."""
    more = [MISSING] * (len(columns(table)) - len(COLUMNS))
    absent = [[method, "weights missing", MISSING, "0", MISSING, MISSING, *more] for method in table.absent]
    return [[printable_line(cell) for cell in line] for line in (*(_cells(table, row) for row in table.rows), *absent)]


def n_text(row: Row) -> str:
    """Return how many scores a row is of: "10", or "3 × 10" for pretrainings and seeds of each."""
    return f"{row.summary.n} × {len(row.seeds)}" if row.levels == 2 else str(row.summary.n)


def is_best(table: Table, row: Row) -> bool:
    """Return whether a row's mean is the best of its table, to the digits that are shown."""
    return shown(row.summary.mean, table.score) == shown(table.rows[0].summary.mean, table.score)


def _cells(table: Table, row: Row) -> list[str]:
    found, score = row.summary, table.score
    interval = shown_range(found.low, found.high, score)
    own = [row.label, shown(found.mean, score), shown(found.sd, score), n_text(row), interval, ranges(row.seeds)]
    best = [_BEST[table.best[row.label].verdict] if row.label in table.best else MISSING] if table.best else []
    return [*own, *best, *claim_text.cells(table, row)]
