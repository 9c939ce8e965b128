"""Which tables may stand as blocks beside each other, and which methods have all of them.

Alike must be: phantom or real, quick or not, whole or part of the data, shots and their budget, protocol (by name) and
pretraining data. Probes stand apart, since they are claimed against controls of their own. A table is left out where
its score has no bounds (it cannot be put between 0 and 1), where another table is of the same task (other data or
splits: the task would count twice), or where it has fewer than half of the methods (it is probably not finished).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.tables import Row, Table
from eden_bench.statistics.aggregates import Runs

_Key = tuple[str, str, str]
"""Label, method and digest of the config: by it a row is the same method in two tables."""


class Unequal(ValueError):
    """A method cannot be compared over the tables; the message gives the reason."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Tables that may be compared, with the rows of the methods that have all of them."""

    tables: tuple[Table, ...]
    protocol: str
    rows: Mapping[str, tuple[Row, ...]] = field(default_factory=dict)
    """Label to the method's row in each table."""
    runs: Mapping[str, Runs] = field(default_factory=dict)
    """Label to the scores of the runs that the method has in every table."""
    shared: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    """Label to what those runs are: seeds, or checkpoints of pretrainings."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Method or heading of a table to the reason."""

    @property
    def enough(self) -> bool:
        """Whether there is anything to compare: two tables and two methods."""
        return len(self.tables) > 1 and len(self.runs) > 1


def groups(tables: Iterable[Table]) -> list[Group]:
    """Group tables that may be compared; no group is a part of another."""
    found: dict[tuple[Any, ...], list[Table]] = {}
    for table in tables:
        for protocol in table.protocol.split(" / "):
            found.setdefault((*_alike(table), protocol), []).append(table)
    kept = [(key, each) for key, each in found.items() if not _is_part(key, found)]
    return [_group(each, key[-1]) for key, each in kept]


def normalised(value: float, score: ScoreDefinition) -> float:
    """Put a score between 0 and 1, by its bounds; 1 is the best.

    >>> error = ScoreDefinition(name="error", text="", unit="px", bounds=(0, 20), higher_is_better=False)
    >>> normalised(5, error)
    0.75
    """
    low, high = score.limits
    share = (value - low) / (high - low)
    return share if score.higher_is_better else 1 - share


def runs_of(label: str, rows: Sequence[Row], scores: Sequence[ScoreDefinition]) -> tuple[Runs, list[int | str]]:
    """Return the scores of a method on all tables, and what its runs are: seeds, or checkpoints of pretrainings.

    Raises:
        Unequal: the tables share no pretraining, or no seed.
    """
    together, of_tables = _by_run(rows)
    shared = sorted(set.intersection(*(set(each) for each in of_tables)))
    if not shared:
        raise Unequal("no seed is in every table")
    values = [[normalised(each[run], score) for each, score in zip(of_tables, scores, strict=True)] for run in shared]
    return Runs(np.array(values), together, (label,) if together else ()), shared


def _by_run(rows: Sequence[Row]) -> tuple[bool, list[Mapping[Any, float]]]:
    """Return whether a run is a pretraining of its own, and each table's scores by run."""
    if all(row.drawn for row in rows):
        return True, [row.pretrainings[0].scores for row in rows]
    of_tables = [{each.checkpoint: each for each in row.pretrainings} for row in rows]
    shared = set.intersection(*(set(each) for each in of_tables))
    if not shared:
        raise Unequal("its checkpoints differ between the tables")
    if len(shared) == 1:
        (only,) = shared
        return False, [each[only].scores for each in of_tables]
    return True, [_means({name: each[name].scores for name in shared}) for each in of_tables]


def _means(scores: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Average each pretraining's scores over the seeds that all have."""
    seeds = set.intersection(*(set(each) for each in scores.values()))
    return {name: math.fsum(each[seed] for seed in seeds) / len(seeds) for name, each in scores.items() if seeds}


def _alike(table: Table) -> tuple[Any, ...]:
    marks = table.marks
    return marks.phantom, marks.quick, bool(marks.part), table.shots, table.budget, table.pretrain_data


def _is_part(key: tuple[Any, ...], found: Mapping[tuple[Any, ...], list[Table]]) -> bool:
    """Return whether a protocol's tables are all in another protocol's group, that is larger or comes before."""
    own = {id(table) for table in found[key]}
    for other, tables in found.items():
        theirs = {id(table) for table in tables}
        if other != key and own <= theirs and (own < theirs or other[-1] < key[-1]):
            return True
    return False


def _group(tables: Sequence[Table], protocol: str) -> Group:
    group = Group(tables=tuple(tables), protocol=protocol)
    often = Counter(table.task for table in tables)
    group = _without(group, lambda _: "a probe, which is claimed against its own controls", lambda t: t.kind == "probe")
    group = _without(group, _no_bounds, lambda table: not all(map(math.isfinite, table.score.limits)))
    group = _without(group, _twice, lambda table: often[table.task] > 1)
    many = len({key for table in group.tables for key in _keys(table)})
    few = f"it has fewer than half of the {many} methods"
    group = _without(group, lambda _: few, lambda table: 2 * len(_keys(table)) < many)
    return _with_methods(group) if group.tables else group


def _without(group: Group, reason: Callable[[Table], str], fits: Callable[[Table], bool]) -> Group:
    """Leave out the tables that fit, with the reason."""
    out = {table.heading: reason(table) for table in group.tables if fits(table)}
    kept = tuple(table for table in group.tables if not fits(table))
    return replace(group, tables=kept, left_out={**group.left_out, **out})


def _no_bounds(table: Table) -> str:
    unit = f" in {table.score.unit}" if table.score.unit else ""
    return f"its score {table.score.name}{unit} has no bounds, so it cannot be put between 0 and 1"


def _twice(table: Table) -> str:
    return f"{table.task} has several tables (other data, splits, code or way of fine-tuning), and would count twice"


def _keys(table: Table) -> dict[_Key, Row]:
    return {(row.label, row.backbone.method, row.backbone.config): row for row in table.rows}


def _with_methods(group: Group) -> Group:
    of_tables = [_keys(table) for table in group.tables]
    everyone = dict.fromkeys(key for keys in of_tables for key in keys)
    rows = {
        key[0]: tuple(keys[key] for keys in of_tables) for key in everyone if all(key in keys for keys in of_tables)
    }
    out = {label: _lacking(label, group.tables) for label, *_ in everyone if label not in rows}
    return _with_runs(replace(group, rows=rows, left_out={**group.left_out, **out}))


def _with_runs(group: Group) -> Group:
    """Collect the runs of each method; one that has none in common is left out."""
    found: dict[str, tuple[Runs, list[int | str]]] = {}
    left_out = dict(group.left_out)
    for label, rows in group.rows.items():
        try:
            found[label] = runs_of(label, rows, [table.score for table in group.tables])
        except Unequal as error:
            left_out[label] = str(error)
    return replace(
        group,
        rows={label: group.rows[label] for label in found},
        runs={label: runs for label, (runs, _) in found.items()},
        shared={label: shared for label, (_, shared) in found.items()},
        left_out=left_out,
    )


def _lacking(label: str, tables: Sequence[Table]) -> str:
    without = [table.task for table in tables if label not in {row.label for row in table.rows}]
    return f"it has no row in {', '.join(without)}" if without else "its config differs between the tables"
