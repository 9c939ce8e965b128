"""Estimate time and disk of a plan's new cells from past records and checkpoints, for the dry run."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from eden_bench.errors import EdenError
from eden_bench.execution.backbones import Backbone, checkpoint_folders
from eden_bench.execution.plan import Plan, Slot
from eden_bench.records import Record
from eden_bench.weights.checkpoints import Checkpoint

_SAMPLE = 100
_Key = tuple[object, ...]


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a plan; a part is None without a comparable past run."""

    cell_seconds: float | None
    pretrain_seconds: float | None
    disk_bytes: int | None


def estimate(plan: Plan, past: Sequence[Record], out: Path) -> Estimate:
    """Estimate time and disk of a plan's new cells.

    A cell takes the median of the past cells most like it: same task, protocol, shots and method if there are
    any, else the same but another method, else any shots. A pretraining takes what the last of its method took.
    """
    medians = _medians(past)
    cells = [_seconds(slot, plan.protocol.name, medians) for slot in plan.new]
    trained = [_past_pretraining(backbone, out) for backbone in plan.to_pretrain]
    sizes = [_size(record.folder) for record in past[:_SAMPLE]]
    checkpoints = _sum(size for _, size in trained)
    records = statistics.median(sizes) * len(cells) if sizes else None if cells else 0.0
    return Estimate(
        cell_seconds=_sum(cells),
        pretrain_seconds=_sum(seconds for seconds, _ in trained),
        disk_bytes=None if records is None or checkpoints is None else int(records + checkpoints),
    )


def _medians(past: Sequence[Record]) -> dict[_Key, float]:
    seconds: dict[_Key, list[float]] = defaultdict(list)
    for record in past:
        cell = record.cell
        for key in _keys(cell.task, record.protocol, cell.shots, cell.method):
            seconds[key].append(record.seconds)
    return {key: statistics.median(values) for key, values in seconds.items()}


def _keys(task: str, protocol: str, shots: int | None, method: str) -> list[_Key]:
    """Return keys of decreasing similarity by which past cells are compared."""
    return [(task, protocol, shots, method), (task, protocol, shots), (task, protocol)]


def _seconds(slot: Slot, protocol: str, medians: dict[_Key, float]) -> float | None:
    keys = _keys(slot.task, protocol, slot.shots, slot.backbone.method)
    return next((medians[key] for key in keys if key in medians), None)


def _past_pretraining(backbone: Backbone, out: Path) -> tuple[float | None, float | None]:
    """Return seconds and bytes of a method's most recent pretraining."""
    folders = checkpoint_folders(out, backbone.method)
    if not folders:
        return None, None
    last = max(folders, key=lambda folder: folder.stat().st_mtime)
    try:
        seconds = Checkpoint(last).card.get("history", {}).get("seconds")
    except EdenError:  # what cannot be read tells nothing; the run itself says so where it matters
        seconds = None
    return seconds, float(_size(last))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def _sum(values: Iterable[float | None]) -> float | None:
    """Return the sum, or None if a value is unknown."""
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)
