"""Formats of a report: Markdown, CSV, JSON and plain text. Each is a function of the tables, to the byte."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from eden_bench.printable import csv_cell, markdown_text, printable, printable_line
from eden_bench.report.statistics import CONFIDENCE, LEVEL, Summary
from eden_bench.report.tables import Comparison, Row, Table, ranges
from eden_bench.report.text_table import aligned

COLUMNS = ("method", "mean", "s.d.", "n", "95 % interval", "seeds")
_LEGEND = (
    "Scores in %. s.d.: of the scores over seeds, ddof 1. Interval: Student's t interval of the mean over seeds; it "
    "holds for the one checkpoint, split and test set there is, not for another pretraining or other patients, and may "
    "reach beyond 0 to 100. Test: independent two-sample t-test with pooled variance, two-sided, as in the paper; p is "
    "not corrected for the number of tests."
)
_VERDICTS = {
    "higher": "higher at the 0.05 level",
    "lower": "lower at the 0.05 level",
    "undecided": "undecided at the 0.05 level (which is no proof of equality)",
}


def markdown(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Return the report as Markdown."""
    parts = ["# eden-bench report", *(_markdown_table(table) for table in tables), legend(tables)]
    return "\n\n".join([*parts, *([_bullets(map(markdown_text, failures))] if failures else [])]) + "\n"


def plain(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Return the report as text in aligned columns."""
    parts = ["\n".join([*heading(table), aligned(COLUMNS, cells(table)), *sentences(table)]) for table in tables]
    return printable("\n\n".join([*parts, legend(tables), *failures]))


def as_json(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Return the report as JSON: scores in [0, 1], unrounded."""
    content = {
        "format": 1,
        "confidence": CONFIDENCE,
        "level": LEVEL,
        "legend": legend(tables),
        "tables": [_json_table(table) for table in tables],
        "failures": list(failures),
    }
    return printable(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def as_csv(tables: Sequence[Table]) -> str:
    """Return one line a row of every table, scores in [0, 1], unrounded; a test stands in the tested method's line."""
    lines = [_csv_line(table, row) for table in tables for row in table.rows]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def heading(table: Table) -> list[str]:
    """Return the lines above a table: what it is, its score, its data and its budget."""
    facts = [
        f"score {table.score}, definition {table.score_version}",
        f"data {table.dataset} {table.data[:12]}" + (f" ({table.counts})" if table.counts else ""),
        *([f"pretraining data {table.pretrain_data[:12]}"] if table.pretrain_data else []),
        *([table.budget_text] if table.budget else []),
    ]
    return [printable_line(table.heading), printable_line(f"{table.title}; {'; '.join(facts)}")]


def cells(table: Table) -> list[list[str]]:
    """Return the body of a table as text, scores in percent with the task's own number of digits."""
    absent = [[method, "weights missing", "–", "0", "–", "–"] for method in table.absent]
    lines = [*(_cells(row, table.decimals) for row in table.rows), *absent]
    return [[printable_line(cell) for cell in line] for line in lines]


def sentences(table: Table) -> list[str]:
    """Return the lines below a table: tests, then notes."""
    tests = (comparison_text(each, table.decimals) for each in table.comparisons)
    return [printable_line(sentence) for sentence in (*tests, *table.notes)]


def comparison_text(comparison: Comparison, decimals: int) -> str:
    """Say a test in one sentence."""
    if comparison.test is None:
        return comparison.note
    test, others = comparison.test, f"{comparison.other.label} (the best of the others, picked on these same scores)"
    start = f"{comparison.row.label} against {others}: difference {test.difference * 100:+.{decimals}f}"
    if test.p is None:
        return f"{start}; t-test {test.note}"
    verdict = _VERDICTS[comparison.verdict]
    unequal = "" if set(comparison.row.scores) == set(comparison.other.scores) else ", on unequal seeds"
    return f"{start}, t({test.df:g}) = {test.t:.2f}, p = {p_text(test.p)}{unequal}: {verdict}"


def p_text(p: float) -> str:
    """Return p with two significant digits; nothing is rounded to zero."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.1e}"


def legend(tables: Sequence[Table]) -> str:
    """Say what the numbers are, and how many tests there are."""
    tests = sum(comparison.test is not None for table in tables for comparison in table.comparisons)
    return f"{_LEGEND} Tests in this report: {tests}."


def _cells(row: Row, decimals: int) -> list[str]:
    found: Summary = row.summary
    interval = "" if found.low is None else f"{_percent(found.low, decimals)} to {_percent(found.high, decimals)}"
    sd = _percent(found.sd, decimals)
    return [row.label, _percent(found.mean, decimals), sd, str(found.n), interval or "–", ranges(row.scores)]


def _percent(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value * 100:.{decimals}f}"


def _markdown_table(table: Table) -> str:
    top, facts = map(markdown_text, heading(table))
    grid = [COLUMNS, ["---", *["--:"] * 4, "---"], *cells(table)]
    lines = ["| " + " | ".join(map(markdown_text, line)) + " |" for line in grid]
    return "\n\n".join([f"## {top}", facts, "\n".join(lines), _bullets(map(markdown_text, sentences(table)))])


def _bullets(lines: Any) -> str:  # noqa: ANN401 - any iterable of text
    return "\n".join(f"- {line}" for line in lines)


def _identity(table: Table) -> dict[str, Any]:
    return {
        "phantom": table.marks.phantom,
        "quick": table.marks.quick,
        "part": table.marks.part,
        "task": table.task,
        "dataset": table.dataset,
        "shots": table.shots,
        "protocol": table.protocol,
        "few_shot_budget": table.budget,
        "steps": " or ".join(map(str, table.steps)),
        "score": table.score,
        "score_version": table.score_version,
        "data": table.data,
        "splits": table.splits,
        "pretrain_data": table.pretrain_data,
    }


def _identity_of(row: Row) -> dict[str, Any]:
    backbone, found = row.backbone, row.summary
    return {
        **backbone._asdict(),
        "pretraining": row.pretraining,
        "n": found.n,
        "mean": found.mean,
        "sd": found.sd,
        "low": found.low,
        "high": found.high,
    }


def _json_table(table: Table) -> dict[str, Any]:
    marks = {"phantom": table.marks.phantom, "quick": table.marks.quick, "part": table.marks.part}
    return {
        "heading": table.heading,
        **_identity(table),
        "title": table.title,
        "score_definition": table.score_text,
        "rows": [
            {**marks, **_identity_of(row), "label": row.label, "scores": {str(k): v for k, v in row.scores.items()}}
            for row in table.rows
        ],
        "weights_missing": list(table.absent),
        "tests": [{**marks, **_test(comparison)} for comparison in table.comparisons],
        "notes": list(table.notes),
    }


def _test(comparison: Comparison | None) -> Mapping[str, Any]:
    test = comparison.test if comparison else None
    return {
        "test": "independent two-sample t-test, pooled variance",
        "method": comparison.row.label if comparison else "",
        "against": comparison.other.label if comparison else "",
        "difference": test.difference if test else None,
        "t": test.t if test else None,
        "df": test.df if test else None,
        "p": test.p if test else None,
        "verdict": comparison.verdict if comparison else "",
        "note": comparison.note if comparison else "",
    }


def _csv_line(table: Table, row: Row) -> dict[str, Any]:
    comparison = next((each for each in table.comparisons if each.row is row), None)
    test = {f"test_{name}": value for name, value in _test(comparison).items() if name not in ("test", "method")}
    identity = {**_identity(table), "shots": "full" if table.shots is None else table.shots}
    line = {**identity, **_identity_of(row), "seeds": ranges(row.scores), **test}
    return {name: csv_cell(value) for name, value in line.items()}
