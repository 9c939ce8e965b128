"""Reports: tables and the paper's test, from stored records alone.

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
from eden_bench.digests import digest
from eden_bench.errors import UsageError, unknown
from eden_bench.records import Record
from eden_bench.report import notes, pretraining
from eden_bench.report.statistics import LEVEL, TTest, two_sample_t
from eden_bench.report.tables import Backbone, Comparison, Marks, Row, Table, Verdict, ranges

_SHORT = 8
_EXHAUSTED_FROM = 0.99
"""Share of queries without a negative from which a loss says nothing; the engine stops selecting there too."""


def build(
    records: Iterable[Record], *, method: str = "", allow_unequal: bool = False, audits: Audits | None = None
) -> list[Table]:
    """Build the tables, in order of task and shots.

    Args:
        records: stored cells, in any order.
        method: whose rows are tested; empty for the method whose card is the headline, else each table's best.
        allow_unequal: test rows of different seeds too.
        audits: what ``data audit`` found, for the notes on leakage.

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
    return sorted(made, key=_place)


def select(records: Iterable[Record], patterns: Iterable[str]) -> list[Record]:
    """Keep the records of some tasks: names, globs, or groups ('@all', '@segmentation', '@scr').

    Raises:
        UsageError: a pattern fits no record.
    """
    records = list(records)
    wanted = [part.strip() for text in patterns for part in text.split(",") if part.strip()]
    names = {record.cell.task: _groups(record.content["task"]) for record in records}
    chosen = {pattern: _fitting(pattern, names) for pattern in wanted}
    for pattern, found in chosen.items():
        if not found:
            raise unknown("task", pattern, names)
    kept = set().union(*chosen.values()) if wanted else set(names)
    return [record for record in records if record.cell.task in kept]


def compare(row: Row, others: Sequence[Row], allow_unequal: bool) -> Comparison:
    """Test a row against the others' best by mean, as the paper does (independent t, pooled variance)."""
    other = max(others, key=lambda each: (each.summary.mean, each.label))
    if set(row.scores) != set(other.scores) and not allow_unequal:
        note = (
            f"no test: {row.label} has seeds {ranges(row.scores)}, {other.label} has {ranges(other.scores)}; run the "
            "missing cells or pass --allow-unequal"
        )
        return Comparison(row=row, other=other, test=None, verdict="refused", note=note)
    test = two_sample_t(list(row.scores.values()), list(other.scores.values()))
    return Comparison(row=row, other=other, test=test, verdict=_verdict(test), note=test.note)


def need(records: Sequence[Record], where: object) -> None:
    """Raise UsageError where there is nothing to report."""
    if not records:
        raise UsageError(f"{where} holds no records: make some with 'eden-bench run', or name their folder with --out")


def _comparable(record: Record) -> tuple[Any, ...]:
    cell, score = record.cell, record.score
    marks = record.content["marks"]
    return (
        *(cell.task, cell.shots, digest(cell.protocol), cell.code, cell.data, cell.splits),
        *(score.name, score.version, bool(marks["phantom"]), bool(marks["quick"])),
    )


def _split_by_pretraining(group: list[Record]) -> list[list[Record]]:
    """Part records by what they were pretrained on; those without pretraining stand in every part."""
    kinds = sorted({_pretrain_data(record) for record in group} - {""})
    return [[record for record in group if _pretrain_data(record) in ("", kind)] for kind in kinds or [""]]


def _pretraining(record: Record) -> Mapping[str, Any]:
    """Return the provenance of the pretraining data; empty for weights that were brought along."""
    found = record.content["checkpoint"].get("card", {}).get("data", {})
    return found if isinstance(found, Mapping) else {"digest": str(found)}


def _pretrain_data(record: Record) -> str:
    return str(_pretraining(record).get("digest", ""))


def _table(group: list[Record], method: str, allow_unequal: bool, audits: Audits) -> Table:
    first, rows = group[0], _rows(group)
    cell, score, task, data = first.cell, first.score, first.content["task"], first.content["data"]
    marks = first.content["marks"]
    return Table(
        task=cell.task,
        title=str(task["title"]),
        dataset=str(task["dataset"]),
        shots=cell.shots,
        protocol=" / ".join(sorted({record.protocol for record in group})),
        budget="" if cell.shots is None else str(cell.protocol.get("few_shot_budget", "")),
        steps=_steps(group),
        score=score.name,
        score_version=score.version,
        score_text=score.text,
        decimals=score.decimals,
        data=cell.data,
        splits=cell.splits,
        pretrain_data=max(_pretrain_data(record) for record in group),
        marks=Marks(_is_phantom(group), bool(marks["quick"]), _part(group)),
        counts=", ".join(f"{data[name]} {name}" for name in ("train", "validation", "test") if name in data),
        rows=tuple(rows),
        comparisons=_comparisons(rows, method, allow_unequal),
        notes=(*_notes(group, rows), *_leakage(group, audits)),
    )


def _steps(group: Sequence[Record]) -> tuple[int, ...]:
    trainings = [record.content.get("training") or {} for record in group]
    return tuple(sorted({training["steps_planned"] for training in trainings if "steps_planned" in training}))


def _is_phantom(group: Sequence[Record]) -> bool:
    return any(record.phantom or _pretraining(record).get("phantom") for record in group)


def _part(group: Sequence[Record]) -> str:
    """Say which data are not whole: the task's, those of the pretraining, or both."""
    found = [str(group[0].content["marks"]["part"] or "")]
    parts = {str(_pretraining(record).get("part") or "") for record in group}
    return "; ".join(filter(None, [*found, *(f"pretraining on {part}" for part in sorted(parts) if part)]))


def _rows(group: Sequence[Record]) -> list[Row]:
    found: dict[Backbone, list[Record]] = {}
    for record in group:
        cell = record.cell
        key = Backbone(record.label, digest(cell.method_config), cell.checkpoint, cell.threads)
        found.setdefault(key, []).append(record)
    rows = [
        Row(
            backbone=backbone,
            label=_label(backbone, found),
            scores={record.cell.seed: record.value for record in sorted(records, key=lambda record: record.cell.seed)},
            pretraining=_origin(records[0]),
            warnings=tuple(_starved(records[0])),
            facts=pretraining.facts(records[0]),
            headline=_is_headline(records[0]),
        )
        for backbone, records in found.items()
    ]
    return sorted(rows, key=lambda row: (-row.summary.mean, row.label))


def _is_headline(record: Record) -> bool:
    """Tell whether the method's card says headline; a variant of it is another row."""
    about = record.content.get("method", {})
    return bool(about.get("headline")) and "variant" not in about


def _label(backbone: Backbone, all_backbones: Iterable[Backbone]) -> str:
    """Return the method's name and, where it has several rows, what tells this one from them."""
    others = [other for other in all_backbones if other.method == backbone.method]
    words = {
        "config": f"config {backbone.config[:_SHORT]}",
        "checkpoint": f"checkpoint {backbone.checkpoint[:_SHORT]}",
        "threads": f"{backbone.threads} threads" if backbone.threads else "GPU",
    }
    differing = [text for name, text in words.items() if len({getattr(other, name) for other in others}) > 1]
    return f"{backbone.method} ({', '.join(differing)})" if differing else backbone.method


def _origin(record: Record) -> str:
    """Say where the weights come from."""
    checkpoint, data = record.content["checkpoint"], _pretraining(record)
    if "card" not in checkpoint:
        return f"weights from {checkpoint.get('from', 'a file')}"
    part = f" ({data['part']})" if data.get("part") else ""
    images = f", {data['images']:,} images" if "images" in data else ""
    card = checkpoint["card"]
    epochs = f", {card['epochs']} epochs" if "epochs" in card else ""
    name = data.get("dataset", "unnamed data")
    selected = _selected(card.get("selected"))
    return f"pretrained on {name}{images}{part}{epochs}{selected}, one checkpoint, seed {card.get('seed', 0)}"


def _selected(selected: object) -> str:
    """Say which epoch was handed on; nothing where the card does not."""
    if not isinstance(selected, Mapping):
        return ""
    if selected.get("rule") != "best":
        return ", last epoch"
    return f", best validation loss, epoch {selected.get('epoch')} of {selected.get('stage')}"


def _starved(record: Record) -> list[str]:
    """Warn of stages that ended with next to every negative pruned."""
    stages = record.content["checkpoint"].get("card", {}).get("stages") or ()
    return [
        f"stage {stage.get('name')}: the pruner left no negatives, nothing was learnt"
        for stage in stages
        if isinstance(stage, Mapping) and (stage.get("without_negatives") or 0) >= _EXHAUSTED_FROM
    ]


def _comparisons(rows: Sequence[Row], method: str, allow_unequal: bool) -> tuple[Comparison, ...]:
    chosen = method or next((row for row in rows if row.headline), rows[0]).backbone.method
    others = [row for row in rows if row.backbone.method != chosen]
    if not others:
        return ()
    return tuple(compare(row, others, allow_unequal) for row in rows if row.backbone.method == chosen)


def _verdict(test: TTest) -> Verdict:
    if test.p is None:
        return "undefined"
    if test.p >= LEVEL:
        return "undecided"
    return "higher" if test.difference > 0 else "lower"


def _notes(group: Sequence[Record], rows: Sequence[Row]) -> tuple[str, ...]:
    everyone = {seed for row in rows for seed in row.scores}
    missing = [(row.label, everyone - set(row.scores)) for row in rows]
    lacks = [f"missing: {label} has no record of seeds {ranges(seeds)}" for label, seeds in missing if seeds]
    origins = dict.fromkeys((row.label, row.pretraining) for row in rows)
    devices = sorted({f"{row.backbone.threads} threads" if row.backbone.threads else "a GPU" for row in rows})
    mixed = [f"rows were computed on {' and '.join(devices)}, which moves last digits"] if len(devices) > 1 else []
    warned = [f"{row.label}: {warning}" for row in rows for warning in row.warnings]
    told = [f"{label}: {origin}" for label, origin in origins]
    alike = pretraining.compared({row.label: row.facts for row in rows})
    return (*lacks, *told, *warned, *alike, *notes.of_data(group), *_shares(group), *mixed)


def _shares(group: Sequence[Record]) -> list[str]:
    """Say what all pretrained rows of a table have in common with its test data."""
    content = group[0].content
    own = [data for data in map(_pretraining, group) if data.get("dataset") == content["task"]["dataset"]]
    if not own:
        return []
    test = content["data"].get("test_list")
    if test is not None and all(data.get("test_list") == test for data in own):
        return ["pretraining used the training split of the task's own dataset, without its test images"]
    return [
        "pretraining used the task's own dataset, by test lists that are others or not told: whether it saw these test "
        "images is not checked"
    ]


def _leakage(group: Sequence[Record], audits: Audits) -> list[str]:
    """Say which test images the pretraining, or the task's own training split, is known to share."""
    content = group[0].content
    data = [each for each in map(_pretraining, group) if each.get("dataset")]
    seen = {str(each["dataset"]): str(each.get("train_list", "")) for each in data}
    test, phantom = content["data"].get("test_list"), bool(content["marks"]["phantom"])
    return leakage(audits, content["task"]["dataset"], seen, test=test, phantom=phantom)


def _groups(task: Mapping[str, Any]) -> tuple[str, ...]:
    return "all", str(task["kind"]), str(task["dataset"])


def _fitting(pattern: str, names: Mapping[str, tuple[str, ...]]) -> set[str]:
    if pattern.startswith("@"):
        return {name for name, groups in names.items() if pattern[1:] in groups}
    return {name for name in names if fnmatch.fnmatchcase(name, pattern)}


def _place(table: Table) -> tuple[Any, ...]:
    shots = (table.shots is None, table.shots or 0)
    return table.task, shots, table.protocol, table.marks, table.data, table.splits, table.pretrain_data, table.budget
