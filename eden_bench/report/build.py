"""Build a report's tables and tests from stored records alone.

A table holds what may be compared: one task, number of shots, way of fine-tuning (whatever the protocols' names),
score definition, digest of the data and of the splits, and one pretraining set (methods without pretraining stand in
each). Phantom and real data, two data digests or two ways of fine-tuning never meet in one table. Everything is a
function of the records: no times, no machine.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eden_bench.audit.storage import Audits, leakage
from eden_bench.errors import UsageError, unknown
from eden_bench.records import Record
from eden_bench.records.content import TaskFacts
from eden_bench.report import notes, pretraining
from eden_bench.report.compare import comparisons
from eden_bench.report.marks import Marks
from eden_bench.report.number_text import threads_text
from eden_bench.report.rows import rows_of
from eden_bench.report.tables import Report, Row, Table, ranges


def build(
    records: Iterable[Record],
    *,
    method: str = "",
    allow_unequal: bool = False,
    audits: Audits | None = None,
    diagnosed: bool = False,
) -> Report:
    """Build a report: its tables, sorted by task and shots, and what may be claimed of their rows.

    Args:
        records: stored cells, in any order.
        method: whose rows are tested, and whose pairs are the family of tests; empty for the method whose card is the
            headline, else each table's best, and all pairs.
        allow_unequal: compare rows of different seeds too.
        audits: what ``data audit`` found, for the notes on leakage.
        diagnosed: with what stored probabilities say beside the scores.

    Raises:
        UsageError: no record has this method.
    """
    records = list(records)
    methods = sorted({record.label for record in records})
    if method and method not in methods:
        raise unknown("method", method, methods)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in sorted(records, key=lambda record: record.id):
        groups.setdefault(_comparable(record), []).append(record)
    tables = [part for group in groups.values() for part in _split_by_pretraining(group)]
    made = [_table(part, method, allow_unequal, audits or {}) for part in tables]
    from eden_bench.report.across.over_tasks import across
    from eden_bench.report.analysis import analysed
    from eden_bench.report.diagnostics.collect import Diagnoses
    from eden_bench.report.pairs.paired import Family

    ordered = sorted(made, key=_place)
    family, diagnoses = (
        Family.of(ordered, method, allow_unequal=allow_unequal),
        Diagnoses(records) if diagnosed else None,
    )
    compared = analysed(ordered, family, diagnoses)
    said = diagnoses.all() if diagnoses else ()
    return Report(tables=tuple(compared), family=family.text, across=across(compared), diagnostics=said)


def select(records: Iterable[Record], patterns: Iterable[str]) -> list[Record]:
    """Select the records of some tasks: names, globs, or groups ('@all', '@segmentation', '@scr').

    Raises:
        UsageError: a pattern fits no record.
    """
    records = list(records)
    wanted = [part.strip() for text in patterns for part in text.split(",") if part.strip()]
    names = {record.cell.task: _groups(record.task) for record in records}
    chosen = {pattern: _fitting(pattern, names) for pattern in wanted}
    for pattern, found in chosen.items():
        if not found:
            raise unknown("task", pattern, names)
    kept = set().union(*chosen.values()) if wanted else set(names)
    return [record for record in records if record.cell.task in kept]


def need(records: Sequence[Record], where: object) -> None:
    """Validate that there is something to report. Raises UsageError."""
    if not records:
        raise UsageError(f"{where} holds no records: make some with 'eden-bench run', or name their folder with --out")


def _comparable(record: Record) -> tuple[Any, ...]:
    cell, score = record.cell, record.score
    return (
        *(cell.task, cell.shots, record.protocol_digest, cell.code, cell.data, cell.splits),
        *(score.name, score.version, record.phantom, record.marks.quick),
    )


def _split_by_pretraining(group: list[Record]) -> list[list[Record]]:
    """Split records by pretraining data; those without pretraining go into every part."""
    kinds = sorted({record.pretraining.digest for record in group} - {""})
    return [[record for record in group if record.pretraining.digest in ("", kind)] for kind in kinds or [""]]


def _table(group: list[Record], method: str, allow_unequal: bool, audits: Audits) -> Table:
    first, rows = group[0], rows_of(group)
    cell, score = first.cell, first.score
    tested = [row for row in rows if not (row.control and first.task.kind == "probe")]
    return Table(
        task=cell.task,
        title=first.task.title,
        dataset=first.task.dataset,
        shots=cell.shots,
        kind=first.task.kind,
        once=first.task.repeats == "once",
        ceilings=first.task.ceilings,
        protocol=" / ".join(sorted({record.protocol for record in group})),
        budget="" if cell.shots is None else str(cell.protocol.get("few_shot_budget", "")),
        steps=tuple(sorted({record.training.steps_planned for record in group} - {-1})),
        score=score,
        data=cell.data,
        splits=cell.splits,
        pretrain_data=max(record.pretraining.digest for record in group),
        marks=Marks.of(group),
        counts=first.data.counts,
        rows=tuple(rows),
        comparisons=comparisons(tested, method, allow_unequal=allow_unequal, higher_is_better=score.higher_is_better),
        notes=(*_notes(group, rows), *_leakage(group, audits)),
    )


def _notes(group: Sequence[Record], rows: Sequence[Row]) -> tuple[str, ...]:
    everyone = {seed for row in rows for each in row.pretrainings for seed in each.scores}
    once = group[0].task.repeats == "once"
    missing = [] if once else [(row.label, everyone - row.seeds) for row in rows]
    lacks = [f"missing: {label} has no record of seeds {ranges(seeds)}" for label, seeds in missing if seeds]
    origins = dict.fromkeys((row.label, row.origin) for row in rows)
    devices = sorted({threads_text(row.backbone.threads) if row.backbone.threads else "a GPU" for row in rows})
    mixed = [f"rows were computed on {' and '.join(devices)}, which moves last digits"] if len(devices) > 1 else []
    warned = [f"{row.label}: {warning}" for row in rows for warning in row.warnings]
    told = [f"{label}: {origin}" for label, origin in origins]
    alike = pretraining.compared({row.label: row.facts for row in rows})
    return (*lacks, *told, *warned, *alike, *notes.of_data(group), *_shares(group), *mixed)


def _shares(group: Sequence[Record]) -> list[str]:
    """Report what all pretrained rows of a table have in common with its test data."""
    first = group[0]
    own = [record.pretraining for record in group if record.pretraining.dataset == first.task.dataset]
    if not own:
        return []
    test = first.data.test_list
    if test is not None and all(data.test_list == test for data in own):
        return ["pretraining used the training split of the task's own dataset, without its test images"]
    return [
        "pretraining used the task's own dataset, by test lists that are others or not told: whether it saw these test "
        "images is not checked"
    ]


def _leakage(group: Sequence[Record], audits: Audits) -> list[str]:
    """Report test images known to be shared with the pretraining, or with the task's own training split."""
    first = group[0]
    data = [record.pretraining for record in group if record.pretraining.dataset]
    seen = {each.dataset: each.train_list for each in data}
    return leakage(audits, first.task.dataset, seen, test=first.data.test_list, phantom=first.phantom)


def _groups(task: TaskFacts) -> tuple[str, ...]:
    return "all", task.kind, task.dataset


def _fitting(pattern: str, names: Mapping[str, tuple[str, ...]]) -> set[str]:
    if pattern.startswith("@"):
        return {name for name, groups in names.items() if pattern[1:] in groups}
    return {name for name in names if fnmatch.fnmatchcase(name, pattern)}


def _place(table: Table) -> tuple[Any, ...]:
    shots = (table.shots is None, table.shots or 0)
    return table.task, shots, table.protocol, table.marks, table.data, table.splits, table.pretrain_data, table.budget
