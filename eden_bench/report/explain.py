"""Trace numbers of a report to their formulas, to the cells they are from, and to the commands that compute them again.

What is explained is what ``report.json`` holds: each number stands there beside the id of its formula and its cells.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from eden_bench.errors import UsageError, unknown
from eden_bench.records import Record
from eden_bench.report.formulas import FORMULAS
from eden_bench.report.missing import is_ours
from eden_bench.report.outputs.table_json import cells_behind, render
from eden_bench.report.sheets import Sheet
from eden_bench.report.tables import Report

_SHORT = 12
_NUMBERS = ("number", "value", "formula", "what it is")
_CELLS = ("cell", "method", "pretraining seed", "seed", "value", "file")
_ONE_BY_ONE = ("scores", "by_pretraining")
"""Entries of a row that its cells show."""
_REPEATED = ("--data", "--splits", "--plugin", "--cache")
"""Options of a stored command that a replay needs too."""


class Number(NamedTuple):
    """A number of a report."""

    name: str
    """Its place in report.json, for example "checkpoints.low"."""
    value: Any
    formula: str
    """Id of its formula."""


@dataclass(frozen=True)
class Explainer:
    """What numbers are explained from.

    Attributes:
        report: built from the records.
        records: all of them.
        out: the results folder, for the commands.
    """

    report: Report
    records: Sequence[Record]
    out: Path

    def cell(self, record: Record, score: str = "") -> list[Sheet]:
        """Explain the scores of one record, and say in which rows it counts."""
        names = [score] if score else list(record.scores)
        _need_score(score, record.scores)
        numbers = [(name, record.scores[name], record.score.of(name).text) for name in names]
        rows = [
            f"it is one of {len(row.cells)} cells of {row.label} in: {table.heading}"
            for table in self.report.tables
            for row in table.rows
            if record.id in {each.id for each in row.cells.values()}
        ]
        found = Sheet(
            title=f"Record {record.id}",
            columns=_NUMBERS,
            rows=tuple((name, repr(value), "score", text or FORMULAS["score"]) for name, value, text in numbers),
            notes=(*rows, *_score_notes(record), *_data_notes([record])),
            content={
                "id": record.id,
                "numbers": [{"name": k, "value": v, "formula": "score", "text": text} for k, v, text in numbers],
            },
        )
        return [found, self._cells([record], score)]

    def row(
        self, task: str, method: str, *, other: str = "", shots: int | str | None = "", score: str = ""
    ) -> list[Sheet]:
        """Explain a row, or a pair of rows, in every table of a task.

        Args:
            task: name of the task.
            method: label of the row, or name of its method.
            other: likewise; empty for a row alone.
            shots: number of shots; None for the full training set, "" for all.
            score: another score than the primary one; of a row alone.

        Raises:
            UsageError: no table has them; names the nearest.
        """
        content = json.loads(render(self.report))["tables"]
        tables = [table for table in content if table["task"] == task]
        if not tables:
            raise unknown("task", task, {table["task"] for table in content})
        if not any(shots in ("", table["shots"]) for table in tables):
            there = ", ".join(dict.fromkeys(str(table["shots"] or "full") for table in tables))
            raise UsageError(f"no table of {task} has {shots or 'full'} shots, expected one of {there}")
        tables = [table for table in tables if shots in ("", table["shots"])]
        found = [sheet for table in tables for sheet in self._of_table(table, method, other, score)]
        if not found:
            known = {row[name] for table in tables for row in table["rows"] for name in ("label", "method")}
            raise self._nothing(task, [method, *filter(None, [other])], known)
        return found

    def _nothing(self, task: str, methods: Sequence[str], known: set[str]) -> UsageError:
        for method in methods:
            if method not in known:
                return unknown("method", method, known)
        return UsageError(
            f"no table of {task} compares {' with '.join(methods)}: see 'eden-bench report --tasks {task}'"
        )

    def _of_table(self, table: Mapping[str, Any], method: str, other: str, score: str) -> Iterator[Sheet]:
        """Yield the sheets of the rows of a method in one table, or of its pairs with another's."""
        rows = [row for row in table["rows"] if method in (row["label"], row["method"])]
        if not other:
            for row in rows:
                _need_score(score, {table["score"], *row["alternatives"]["values"]})
                yield from self._block(table, row["label"], row, score)
            return
        labels = {row["label"]: row["method"] for row in table["rows"]}
        for pair in (*table["pairs"], *table["tests"]):
            names = (pair.get("row", pair.get("method")), pair.get("other", pair.get("against")))
            both = [(name, labels.get(name, name)) for name in names]
            if any(method in one and other in two for one, two in (both, both[::-1])):
                yield from self._block(table, " against ".join(map(str, names)), pair, "")

    def _block(self, table: Mapping[str, Any], what: str, block: Mapping[str, Any], score: str) -> Iterator[Sheet]:
        numbers = [each for each in _numbers(block) if not score or _is_of(each, score, table["score"])]
        behind = cells_behind(table, block)
        cells = [record for record in self.records if record.id in behind]
        definition = f"score {table['score']}, definition {table['score_version']}: {table['score_definition']}"
        yield Sheet(
            title=f"{what}: {table['heading']}",
            columns=_NUMBERS,
            rows=tuple((name, repr(value), formula, FORMULAS.get(formula, "")) for name, value, formula in numbers),
            notes=(*_verdicts(block), definition, *_data_notes(cells)),
            content={"of": what, "table": table["heading"], "numbers": [each._asdict() for each in numbers]},
        )
        yield self._cells(cells, score)

    def _cells(self, cells: Sequence[Record], score: str) -> Sheet:
        ordered = sorted(cells, key=lambda each: (each.label, each.checkpoint.card.seed or 0, each.cell.seed))
        told = [self._cell(record, score) for record in ordered]
        return Sheet(
            title=f"Cells, {len(cells)}, and the commands that compute them again and compare bit for bit",
            columns=_CELLS,
            rows=tuple(tuple("–" if each[name] is None else str(each[name]) for name in _CELL_JSON) for each in told),
            notes=tuple(each["command"] for each in told),
            content={"cells": told},
        )

    def _cell(self, record: Record, score: str) -> dict[str, Any]:
        value = record.scores.get(score or record.score.name)
        return {
            "id": record.id[:_SHORT],
            "method": record.label,
            "pretrain_seed": record.checkpoint.card.seed,
            "seed": record.cell.seed,
            "value": value,
            "file": str(record.folder / "record.json"),
            "command": replay_command(record, self.out),
        }


_CELL_JSON = ("id", "method", "pretrain_seed", "seed", "value", "file")


def replay_command(record: Record, out: Path) -> str:
    """Return the command that computes a record's cell again and compares it.

    Of the stored command it repeats the folders and plugins; one that is not ours is not repeated.
    """
    words = shlex.split(record.facts.command) if is_ours(record.facts.command) else []
    given = [part for name, value in pairwise(words) if name in _REPEATED for part in (name, value)]
    return shlex.join(["eden-bench", "run", "--replay", record.id[:_SHORT], "--out", str(out), *given])


def _numbers(block: Mapping[str, Any], place: str = "", formula: str | Mapping[str, str] = "") -> Iterator[Number]:
    """Yield every number of a part of report.json that has a formula, with its place."""
    named = block.get("formula", formula)
    for key, value in block.items():
        own = named if isinstance(named, str) else named.get(key, "")
        if key in ("formula", "cells", "cells_of") or (not place and key in _ONE_BY_ONE):
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{place}{key}.", own)
        elif own and (_is_number(value) or (isinstance(value, list) and value and all(map(_is_number, value)))):
            yield Number(f"{place}{key}", value, own)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_of(number: Number, score: str, primary: str) -> bool:
    """Return whether a number is of one score: the primary one's are all but those of the alternatives."""
    of_others = number.name.startswith("alternatives.")
    return not of_others if score == primary else number.name == f"alternatives.values.{score}"


def _need_score(score: str, known: Any) -> None:  # noqa: ANN401 - names
    if score and score not in known:
        raise unknown("score", score, known)


def _verdicts(block: Mapping[str, Any]) -> list[str]:
    """Return the verdicts of a pair, for what they hold, and why there is none."""
    found = [block[scope] for scope in ("checkpoints", "methods") if isinstance(block.get(scope), Mapping)]
    return [f"{each['scope']}: {each['verdict']}" + (f" ({each['note']})" if each["note"] else "") for each in found]


def _score_notes(record: Record) -> list[str]:
    score = record.score
    statistic = f", the statistic {score.statistic!r} of {record.folder / 'cases.csv'}" if score.statistic else ""
    return [f"primary: {score.name}, definition {score.version}{statistic}"]


def _data_notes(cells: Sequence[Record]) -> list[str]:
    """Return the digests of what the cells were computed from."""
    told = {
        "data": {record.cell.data for record in cells},
        "splits": {record.cell.splits for record in cells},
        "weights": {record.cell.checkpoint for record in cells},
        "pretraining data": {record.pretraining.digest for record in cells} - {""},
        "numbers version": {str(record.cell.code) for record in cells},
        "threads": {str(record.cell.threads or "GPU") for record in cells},
    }
    return [f"{name}: {', '.join(sorted(found))}" for name, found in told.items() if found]
