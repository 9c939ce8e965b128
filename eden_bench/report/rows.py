"""Build the rows of a table from the records of each method; pretrainings that differ in seed only are merged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from eden_bench.records import Record
from eden_bench.records.content import NO_CARD, Card
from eden_bench.report import pretraining
from eden_bench.report.number_text import threads_text
from eden_bench.report.tables import Backbone, Pretraining, Row, ranges

_SHORT = 8
_UNTRAINED = "random"
"""The method whose rows are the untrained network, a control of every property."""
_EXHAUSTED_FROM = 0.99
"""Share of queries without a negative from which a loss says nothing; the engine stops selecting there too."""


class _Recipe(NamedTuple):
    """What the pretrainings of one row share: everything but their seed."""

    method: str
    config: str
    threads: int
    data: str
    precision: str | None
    processes: int | None


def rows_of(group: Sequence[Record]) -> list[Row]:
    """Return the rows of records that may be compared, the best first.

    Checkpoints of one recipe that differ in the seed of their pretraining make one row with two levels. Where two have
    the same seed, something that the recipe does not name differs, and each is a row of its own.
    """
    recipes: dict[_Recipe, dict[str, list[Record]]] = {}
    for record in sorted(group, key=lambda each: (each.checkpoint.card.seed or 0, each.cell.seed, each.id)):
        recipes.setdefault(_recipe(record), {}).setdefault(record.cell.checkpoint, []).append(record)
    several = [part for recipe, found in recipes.items() for part in _parts(recipe, found)]
    backbones = [backbone for backbone, _ in several]
    made = [_row(backbone, found, backbones) for backbone, found in several]
    sign = -1 if group[0].score.higher_is_better else 1
    return sorted(made, key=lambda row: (sign * row.summary.mean, row.label))


def _recipe(record: Record) -> _Recipe:
    cell, card = record.cell, record.checkpoint.card
    return _Recipe(
        record.label, record.config_digest, cell.threads, record.pretraining.digest, card.precision, card.processes
    )


def _parts(recipe: _Recipe, found: Mapping[str, list[Record]]) -> Iterable[tuple[Backbone, Mapping[str, list[Record]]]]:
    seeds = [records[0].checkpoint.card.seed for records in found.values()]
    if None not in seeds and len(set(seeds)) == len(seeds):
        yield Backbone(recipe.method, recipe.config, " ".join(found), recipe.threads), found
        return
    for checkpoint, records in found.items():
        yield Backbone(recipe.method, recipe.config, checkpoint, recipe.threads), {checkpoint: records}


def _row(backbone: Backbone, found: Mapping[str, list[Record]], backbones: Sequence[Backbone]) -> Row:
    pretrainings = tuple(
        Pretraining(checkpoint, records[0].checkpoint.card.seed, {each.cell.seed: each.value for each in records})
        for checkpoint, records in found.items()
    )
    first = next(iter(found.values()))[0]
    warned = [warning for records in found.values() for warning in _starved(records[0])]
    return Row(
        backbone=backbone,
        label=_label(backbone, backbones),
        pretrainings=pretrainings,
        drawn=first.cell.checkpoint == "seeded",
        origin=_origin(first, pretrainings),
        warnings=tuple(dict.fromkeys(warned)),
        facts=pretraining.facts(first),
        headline=first.method.headline and not first.method.variant,
        controls=_controls([record for records in found.values() for record in records]),
        control="controls" in first.method.groups or first.cell.method == _UNTRAINED,
        cells={(each.cell.checkpoint, each.cell.seed): each for records in found.values() for each in records},
    )


def _controls(records: Sequence[Record]) -> dict[str, float]:
    """Average what each control scored in the records that have it."""
    values: dict[str, list[float]] = {}
    for record in records:
        for name, value in record.controls.items():
            values.setdefault(name, []).append(value)
    return {name: math.fsum(found) / len(found) for name, found in values.items()}


def _label(backbone: Backbone, all_backbones: Iterable[Backbone]) -> str:
    """Return the method's name, and if it has several rows, what distinguishes this one."""
    others = [other for other in all_backbones if other.method == backbone.method]
    words = {
        "config": f"config {backbone.config[:_SHORT]}",
        "checkpoint": f"checkpoint {backbone.checkpoint[:_SHORT]}",
        "threads": threads_text(backbone.threads) if backbone.threads else "GPU",
    }
    differing = [text for name, text in words.items() if len({getattr(other, name) for other in others}) > 1]
    return f"{backbone.method} ({', '.join(differing)})" if differing else backbone.method


def _origin(record: Record, pretrainings: Sequence[Pretraining]) -> str:
    """Describe the provenance of the weights."""
    card, data = record.checkpoint.card, record.pretraining
    if card is NO_CARD:
        return f"weights from {record.content['checkpoint'].get('from', 'a file')}"
    part = f" ({data.part})" if data.part else ""
    images = "" if data.images is None else f", {data.images:,} images"
    epochs = "" if card.epochs is None else f", {card.epochs} epochs"
    selected = _selected(card) if len(pretrainings) == 1 else ""
    seeds = ranges(each.seed or 0 for each in pretrainings)
    checkpoints = "one checkpoint, seed" if len(pretrainings) == 1 else f"{len(pretrainings)} pretrainings, seeds"
    return (
        f"pretrained on {data.dataset or 'unnamed data'}{images}{part}{epochs}{selected}, {checkpoints} {seeds or '0'}"
    )


def _selected(card: Card) -> str:
    """Name the epoch that was selected; empty if the card does not."""
    if card.selected is None:
        return ""
    if card.selected.get("rule") != "best":
        return ", last epoch"
    return f", best validation loss, epoch {card.selected.get('epoch')} of {card.selected.get('stage')}"


def _starved(record: Record) -> list[str]:
    """Warn of stages that ended with next to every negative pruned."""
    return [
        f"stage {stage.get('name')}: the pruner left no negatives, nothing was learnt"
        for stage in record.checkpoint.card.stages or ()
        if (stage.get("without_negatives") or 0) >= _EXHAUSTED_FROM
    ]
