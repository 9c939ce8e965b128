"""Convert records to a data frame: one row a cell, or one row a score."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from eden_bench.records import Record

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    *("id", "method", "task", "dataset", "kind", "shots", "seed", "pretrain_seed"),
    *("score", "unit", "value", "protocol", "quick", "phantom"),
    *("part", "checkpoint", "data", "splits", "score_version", "device", "threads", "seconds", "started"),
)
_OF_A_SCORE = ("score", "unit", "value")


def frame(found: Iterable[Record], alternatives: bool = False) -> pd.DataFrame:
    """Return columns ``COLUMNS``, sorted by task, method, shots and seed.

    Args:
        found: the records.
        alternatives: also one row for each score beside the primary one.
    """
    import pandas as pd

    rows = [_row(record, name) for record in found for name in _score_names(record, alternatives)]
    made = pd.DataFrame(rows, columns=list(COLUMNS))
    made = made.astype({"shots": "Int64", "pretrain_seed": "Int64"})
    order = ["task", "method", "shots", "pretrain_seed", "seed", "id", "score"]
    return made.sort_values(order, na_position="last", ignore_index=True)


def facts_of(record: Record) -> dict[str, Any]:
    """Return a record's row of the frame without a score: names, marks, digests and machine of its cell."""
    return {name: value for name, value in _row(record, record.score.name).items() if name not in _OF_A_SCORE}


def _score_names(record: Record, alternatives: bool) -> list[str]:
    return list(record.scores) if alternatives else [record.score.name]


def _row(record: Record, score: str) -> dict[str, Any]:
    cell, marks, provenance = record.cell, record.marks, record.provenance
    return {
        "id": record.id,
        "method": record.label,
        "task": cell.task,
        "dataset": record.task.dataset,
        "kind": record.task.kind,
        "shots": cell.shots,
        "seed": cell.seed,
        "pretrain_seed": record.checkpoint.card.seed,
        "score": score,
        "unit": record.score.of(score).unit,
        "value": record.scores[score],
        "protocol": marks.protocol,
        "quick": marks.quick,
        "phantom": marks.phantom,
        "part": marks.part,
        "checkpoint": cell.checkpoint,
        "data": cell.data,
        "splits": cell.splits,
        "score_version": cell.score_version,
        "device": provenance.device,
        "threads": cell.threads,
        "seconds": record.seconds,
        "started": provenance.started,
    }
