"""A report as JSON: every number unrounded, beside the id of its formula and the cells it is from.

A row names its cells by their ids ("cells"); what is of several rows or tables names these ("cells_of", "tables").
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from eden_bench.printable import printable
from eden_bench.report import claim_text, summary, words
from eden_bench.report.formulas import FORMULAS
from eden_bench.report.outputs.alternatives import means
from eden_bench.report.outputs.pair_json import across_json, pair_json
from eden_bench.report.tables import Comparison, Report, Row, Table
from eden_bench.statistics.t_tests import CONFIDENCE, LEVEL

_LINES = 4
"""Levels that have a line an entry: the report, its tables, a table, its rows."""
_TEST = "independent two-sample t-test, pooled variance"
_ROW = {
    "mean": "mean",
    "sd": "sd",
    "low": "t-interval",
    "high": "t-interval",
    "sd_within": "sd-within",
    "scores": "score",
}
_CLAIM = {
    **{"skill": "skill", "floor_value": "mean-of-cells", "adjusted_p": "holm"},
    **dict.fromkeys(("difference", "low", "high", "p"), "paired-patient-bootstrap"),
}


def render(report: Report) -> str:
    """Render a report as JSON: scores as stored (% as a share)."""
    content = {
        "format": 3,
        "confidence": CONFIDENCE,
        "level": LEVEL,
        "legend": words.legend(report),
        "may_be_claimed": list(summary.can_say(report)),
        "cannot_be_said": list(summary.cannot_say(report)),
        "family": report.family,
        "formulas": dict(FORMULAS),
        "tables": [_table(table) for table in report.tables],
        "across": [across_json(found) for found in report.across],
        "diagnostics": [asdict(each) for each in report.diagnostics],
        "failures": list(report.failures),
    }
    return printable(_text(content, _LINES)) + "\n"


def _text(value: Any, opened: int) -> str:  # noqa: ANN401 - JSON
    """Serialise, an entry of the outer levels a line, so that a row, a pair or a test is one."""
    if not opened or not value or not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    if isinstance(value, list):
        return "[\n" + ",\n".join(_text(each, opened - 1) for each in value) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_text(each, opened - 1)}" for key, each in value.items()) + "\n}"


def identity(table: Table) -> dict[str, Any]:
    """Return what tells a table from others."""
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


def identity_of(row: Row) -> dict[str, Any]:
    """Return what tells a row from others, and its summary."""
    found = row.summary
    return {
        **row.backbone._asdict(),
        "pretraining": row.origin,
        "pretrainings": len(row.pretrainings),
        "n": found.n,
        "mean": found.mean,
        "sd": found.sd,
        "low": found.low,
        "high": found.high,
    }


def test_json(comparison: Comparison | None) -> Mapping[str, Any]:
    """Return the paper's test of a row; names without values where there is none."""
    test = comparison.test if comparison else None
    return {
        "test": _TEST,
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


def cells_behind(table: Mapping[str, Any], part: Mapping[str, Any]) -> set[str]:
    """Return the ids of the cells that a row, a pair or a test of a table is from, all as ``render`` wrote them."""
    if "cells" in part:
        return set(part["cells"])
    return {name for row in table["rows"] if row["label"] in part["cells_of"] for name in row["cells"]}


def _table(table: Table) -> dict[str, Any]:
    marks = {"phantom": table.marks.phantom, "quick": table.marks.quick, "part": table.marks.part}
    return {
        "heading": table.heading,
        **identity(table),
        "title": table.title,
        "score_definition": table.score.text,
        "rows": [{**marks, **_row(table, row)} for row in table.rows],
        "weights_missing": list(table.absent),
        "tests": [{**marks, **_tested(comparison)} for comparison in table.comparisons],
        "pairs": [{**marks, **pair_json(pair), "cells_of": [pair.row, pair.other]} for pair in table.pairs],
        "notes": list(table.notes),
    }


def _row(table: Table, row: Row) -> dict[str, Any]:
    """Return a row: its summary, what it is made of, and what is known of other patients."""
    best, everyone = table.best.get(row.label), {"cells_of": [each.label for each in table.rows]}
    claim = {**claim_text.claim_json(table, row), "formula": _CLAIM} if table.claims else None
    return {
        **identity_of(row),
        "label": row.label,
        **_levels(row),
        "patients": {**claim_text.patients_json(table, row), "formula": "patient-bootstrap"},
        "is_control": row.control,
        "controls": {"values": dict(row.controls), "formula": "mean-of-cells"},
        "alternatives": {"values": means(row), "formula": "mean-of-cells"},
        **({"claim": claim} if claim else {}),
        **({"best": {**asdict(best), "formula": "best-of-all", **everyone}} if best else {}),
        "formula": _ROW,
        "cells": sorted(record.id for record in row.cells.values()),
    }


def _levels(row: Row) -> dict[str, Any]:
    """Return the scores behind a row: by seed, or by pretraining and seed."""
    told = [
        {
            "seed": each.seed,
            "checkpoint": each.checkpoint,
            "scores": {str(seed): value for seed, value in each.scores.items()},
            "formula": "score",
        }
        for each in row.pretrainings
    ]
    return {"scores": {str(k): v for k, v in row.scores.items()}, "by_pretraining": told, "sd_within": row.sd_within}


def _tested(comparison: Comparison) -> dict[str, Any]:
    return {**test_json(comparison), "formula": "pooled-t", "cells_of": [comparison.row.label, comparison.other.label]}
