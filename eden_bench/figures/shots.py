"""Table 1 as data: few-shot scores of every method, and what the headline's method gains over the second best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eden_bench.report.findings import Finding
from eden_bench.report.marks import Marks
from eden_bench.report.tables import Report, Row, Table
from eden_bench.statistics.t_tests import Summary


class Gain(NamedTuple):
    """What a row gains over the best of the others at one number of shots; positive is better."""

    row: str
    over: str
    """The best other method's row, so the second best where the row is the best."""
    value: float
    low: float | None = None
    """Lower end of the report's interval of it; None where the report compares the two in none."""
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """One task over numbers of training images."""

    tables: tuple[Table, ...]
    """Few images first, the full training set last."""
    summaries: Mapping[str, Mapping[int | None, Summary]]
    """Label of a row to shots to its scores; None is the full training set."""
    gains: Mapping[int | None, Gain]
    """Shots to the headline's gain, else the best row's."""

    @property
    def task(self) -> str:
        """Name of the task."""
        return self.tables[0].task

    @property
    def shots(self) -> tuple[int | None, ...]:
        """Numbers of training images, ascending; None, the full training set, is last."""
        return tuple(table.shots for table in self.tables)


class _Alike(NamedTuple):
    """What tables share that differ in shots alone; ``budget`` is empty for the full training set."""

    task: str
    score: str
    data: str
    pretrain_data: str
    marks: Marks
    protocol: str
    budget: str


def few_shot_table(report: Report) -> tuple[FewShot, ...]:
    """Return an entry for each task, way of fine-tuning and budget with tables of at least two numbers of shots."""
    groups: dict[_Alike, dict[int | None, Table]] = {}
    few = [table for table in report.tables if table.shots is not None]
    for table in sorted(few, key=lambda each: each.shots or 0):
        groups.setdefault(_alike(table), {})[table.shots] = table
    for full in (table for table in report.tables if table.shots is None):
        for alike, found in groups.items():
            if alike._replace(budget="") == _alike(full):
                found.setdefault(None, full)
    return tuple(_entry(list(found.values())) for found in groups.values() if len(found) > 1)


def _alike(table: Table) -> _Alike:
    score = f"{table.score.name} {table.score.version}"
    return _Alike(table.task, score, table.data, table.pretrain_data, table.marks, table.protocol, table.budget)


def _entry(tables: Sequence[Table]) -> FewShot:
    summaries: dict[str, dict[int | None, Summary]] = {}
    for table in tables:
        for row in table.rows:
            summaries.setdefault(row.label, {})[table.shots] = row.summary
    gains = {table.shots: found for table in tables if (found := gain(table)) is not None}
    return FewShot(tables=tuple(tables), summaries=summaries, gains=gains)


def gain(table: Table) -> Gain | None:
    """Return what the headline's row, else the best, gains over the best row of another method; None without one."""
    row = next((each for each in table.rows if each.headline), table.rows[0] if table.rows else None)
    if row is None:
        return None
    other = next((each for each in table.rows if each.backbone.method != row.backbone.method), None)
    if other is None:
        return None
    sign = 1 if table.score.higher_is_better else -1
    value = sign * (row.summary.mean - other.summary.mean)
    found = _finding(table, row, other)
    if found is None or found.low is None or found.high is None:
        return Gain(row.label, other.label, value)
    low, high = sorted((sign * found.low, sign * found.high))
    return Gain(row.label, other.label, value, low, high)


def _finding(table: Table, row: Row, other: Row) -> Finding | None:
    """Return what the report says of two rows: of the methods where it says that, else of the checkpoints."""
    pair = next((pair for pair in table.pairs if (pair.row, pair.other) == (row.label, other.label)), None)
    if pair is None:
        return None
    return pair.methods if pair.methods.low is not None else pair.checkpoints
