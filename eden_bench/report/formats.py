"""Render a report as Markdown, CSV, JSON or plain text; equal tables give equal bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from eden_bench.contracts import PERCENT, ScoreDefinition
from eden_bench.printable import csv_cell, markdown_text, printable, printable_line
from eden_bench.report import claim_text
from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.tables import Comparison, Row, Table, ranges
from eden_bench.report.text_table import aligned
from eden_bench.statistics.t_tests import CONFIDENCE, LEVEL, Summary

COLUMNS = ("method", "mean", "s.d.", "n", "95 % interval", "seeds")
_LEGEND = (
    "Scores in {units}. s.d.: of the scores over seeds, ddof 1. Interval: Student's t interval of the mean over seeds; "
    "it holds for the one checkpoint, split and test set there is, not for another pretraining or other patients, and "
    "may reach beyond {limits}. Test: independent two-sample t-test with pooled variance, two-sided, as in the paper; "
    "p is not corrected for the number of tests."
)
_TWO_LEVELS = (
    " A row whose n is for example 3 × 10 has 3 pretrainings with 10 seeds each: its s.d., interval and test are over "
    "the means of the pretrainings, and hold for the method's pretraining too, not for other patients."
)
_ONCE = " Where a task is done once a checkpoint, a row of one checkpoint has one score and no s.d."
_VERDICTS = {
    "higher": "higher at the 0.05 level",
    "lower": "lower at the 0.05 level",
    "undecided": "undecided at the 0.05 level (which is no proof of equality)",
}


def markdown(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render the report as Markdown."""
    parts = ["# eden-bench report", *(_markdown_table(table) for table in tables), legend(tables)]
    return "\n\n".join([*parts, *([_bullets(map(markdown_text, failures))] if failures else [])]) + "\n"


def plain(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render the report as text in aligned columns."""
    parts = ["\n".join([*heading(table), aligned(columns(table), cells(table)), *sentences(table)]) for table in tables]
    return printable("\n\n".join([*parts, legend(tables), *failures]))


def as_json(tables: Sequence[Table], failures: Sequence[str] = ()) -> str:
    """Render the report as JSON: scores as stored (% as a share), unrounded."""
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
    """Render one line a row of every table, scores as stored (% as a share), unrounded.

    A test stands in the tested method's line.
    """
    lines = [_csv_line(table, row) for table in tables for row in table.rows]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def heading(table: Table) -> list[str]:
    """Return the lines above a table: task, score, data and budget."""
    facts = [
        f"score {table.score.name}, definition {table.score.version}{_direction(table.score)}",
        f"data {table.dataset} {table.data[:12]}" + (f" ({table.counts})" if table.counts else ""),
        *([f"pretraining data {table.pretrain_data[:12]}"] if table.pretrain_data else []),
        *([table.budget_text] if table.budget else []),
    ]
    return [printable_line(table.heading), printable_line(f"{table.title}; {'; '.join(facts)}")]


def _direction(score: ScoreDefinition) -> str:
    """Name a unit other than percent, and a score of which lower is better."""
    unit = "" if score.unit == PERCENT else f", in {score.unit}" if score.unit else ", a bare number"
    return unit + ("" if score.higher_is_better else ", lower is better")


def columns(table: Table) -> tuple[str, ...]:
    """Return the column names of a table, with those of claims for a probe."""
    return (*COLUMNS, *claim_text.COLUMNS) if table.claims else COLUMNS


def cells(table: Table) -> list[list[str]]:
    """Return the body of a table as text, scores in their unit with the task's own number of digits."""
    more = ["–"] * (len(columns(table)) - len(COLUMNS))
    absent = [[method, "weights missing", "–", "0", "–", "–", *more] for method in table.absent]
    lines = [*([*_cells(row, table.score), *claim_text.cells(table, row)] for row in table.rows), *absent]
    return [[printable_line(cell) for cell in line] for line in lines]


def sentences(table: Table) -> list[str]:
    """Return the lines below a table: tests, results over patients, then notes."""
    tests = (comparison_text(each, table.score) for each in table.comparisons)
    return [printable_line(sentence) for sentence in (*tests, *claim_text.sentences(table), *table.notes)]


def comparison_text(comparison: Comparison, score: ScoreDefinition) -> str:
    """Describe a test in one sentence."""
    if comparison.test is None:
        return comparison.note
    test, others = comparison.test, f"{comparison.other.label} (the best of the others, picked on these same scores)"
    start = f"{comparison.row.label} against {others}: difference {shown(test.difference, score, '+')}"
    if test.p is None:
        return f"{start}; t-test {test.note}"
    verdict = _VERDICTS[comparison.verdict]
    unequal = "" if comparison.row.seeds == comparison.other.seeds else ", on unequal seeds"
    unequal = ", over pretrainings" if comparison.over == "pretrainings" else unequal
    return f"{start}, t({test.df:g}) = {test.t:.2f}, p = {p_text(test.p)}{unequal}: {verdict}"


def legend(tables: Sequence[Table]) -> str:
    """Explain the numbers, and count the tests."""
    tests = sum(comparison.test is not None for table in tables for comparison in table.comparisons)
    units = dict.fromkeys(table.score.unit or "bare numbers" for table in tables) or {PERCENT: None}
    limits = "0 to 100" if list(units) == [PERCENT] else "a score's bounds"
    levels = _TWO_LEVELS if any(row.levels == 2 for table in tables for row in table.rows) else ""
    once = _ONCE if any(table.once for table in tables) else ""
    told = _LEGEND.format(units=" or ".join(units), limits=limits)
    return f"{told}{levels}{once}{claim_text.legend(tables)} Tests in this report: {tests}."


def _cells(row: Row, score: ScoreDefinition) -> list[str]:
    found: Summary = row.summary
    n = f"{found.n} × {len(row.seeds)}" if row.levels == 2 else str(found.n)
    interval = shown_range(found.low, found.high, score)
    return [row.label, shown(found.mean, score), shown(found.sd, score), n, interval, ranges(row.seeds)]


def _markdown_table(table: Table) -> str:
    top, facts = map(markdown_text, heading(table))
    rules = ["---", *["--:"] * 4, "---", "--:", "--:", "---"][: len(columns(table))]
    grid = [columns(table), rules, *cells(table)]
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
        "score": table.score.name,
        "score_version": table.score.version,
        "unit": table.score.unit,
        "higher_is_better": table.score.higher_is_better,
        "data": table.data,
        "splits": table.splits,
        "pretrain_data": table.pretrain_data,
    }


def _identity_of(row: Row) -> dict[str, Any]:
    backbone, found = row.backbone, row.summary
    return {
        **backbone._asdict(),
        "pretraining": row.origin,
        "pretrainings": len(row.pretrainings),
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
        "score_definition": table.score.text,
        "rows": [{**marks, **_identity_of(row), **_levels(row), **_of_patients(table, row)} for row in table.rows],
        "weights_missing": list(table.absent),
        "tests": [{**marks, **_test(comparison)} for comparison in table.comparisons],
        "notes": list(table.notes),
    }


def _of_patients(table: Table, row: Row) -> dict[str, Any]:
    """Return the part on other patients: the interval, the controls and the claims."""
    claim = {"claim": claim_text.claim_json(table, row)} if table.claims else {}
    return {
        "label": row.label,
        "patients": claim_text.patients_json(table, row),
        "is_control": row.control,
        "controls": dict(row.controls),
        **claim,
    }


def _levels(row: Row) -> dict[str, Any]:
    """Return the scores behind a row: by seed, or by pretraining and seed."""
    told = [
        {"seed": each.seed, "checkpoint": each.checkpoint, "scores": {str(k): v for k, v in each.scores.items()}}
        for each in row.pretrainings
    ]
    return {"scores": {str(k): v for k, v in row.scores.items()}, "by_pretraining": told, "sd_within": row.sd_within}


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
        "over": comparison.over if comparison else "",
        "note": comparison.note if comparison else "",
    }


def _csv_line(table: Table, row: Row) -> dict[str, Any]:
    comparison = next((each for each in table.comparisons if each.row is row), None)
    test = {f"test_{name}": value for name, value in _test(comparison).items() if name not in ("test", "method")}
    identity = {**_identity(table), "shots": "full" if table.shots is None else table.shots}
    patients = {f"patients_{name}": value for name, value in claim_text.patients_json(table, row).items()}
    claim = {f"claim_{name}": value for name, value in claim_text.claim_json(table, row).items()}
    line = {**identity, **_identity_of(row), "seeds": ranges(row.seeds), **test, **patients, **claim}
    return {name: csv_cell(value) for name, value in line.items()}
