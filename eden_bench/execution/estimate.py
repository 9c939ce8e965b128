"""Estimate time, memory and disk of a plan's new cells from what past ones took on this machine, for the dry run.

What was run on another processor or card, or on other threads, foretells nothing. A cell takes the median of the past
cells most like it: of its task, protocol and number of shots, by the same method, or else by one of the same
architecture. Where only other numbers of shots were run, their time is scaled by the images that fine-tuning sees. A
pretraining takes what one of the same settings took, scaled by its epochs.
"""

from __future__ import annotations

import math
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.errors import EdenError
from eden_bench.execution.backbones import Backbone, checkpoint_folders
from eden_bench.execution.inputs import Inputs, plain
from eden_bench.execution.plan import Plan, Slot
from eden_bench.execution.request import shots_text
from eden_bench.records import Record, provenance
from eden_bench.weights.checkpoints import Checkpoint

_SAMPLE = 25
"""Past cells of a kind whose median is taken, and whose size."""
_MOST_READ = 500
"""Past cells of a kind that are looked at for some of this machine, the latest first."""
_Key = tuple[object, ...]
_LENGTHS = ("epochs",)
"""Fields of a pretraining's config that only say how long it is."""


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a plan; a part is None without a comparable past run on this machine."""

    device: str
    """Name of the processor or card."""
    threads: int
    cell_seconds: float | None
    pretrain_seconds: float | None
    disk_bytes: int | None
    memory_bytes: int | None
    """Peak of the process, as its operating system counts it."""
    device_memory_bytes: int | None
    """Peak on a card; None on a processor, too."""
    unknown: tuple[str, ...] = ()
    """What nothing comparable was run of."""


@dataclass(frozen=True)
class _Cost:
    """What one cell or pretraining took, or will."""

    seconds: float
    memory_bytes: int
    device_memory_bytes: int


def estimate(plan: Plan, past: Sequence[Record], inputs: Inputs) -> Estimate:
    """Estimate the cost of a plan's new cells on this machine."""
    here = provenance.machine(inputs.device, inputs.threads)
    name, out = str(here["device_name"]), inputs.settings.out
    known = _Known(past if plan.new else (), name, inputs.threads)
    cells = [(slot, known.cost(slot, plan)) for slot in plan.new]
    pretrainings = {each: _past_pretraining(each, out, name, inputs.threads) for each in plan.to_pretrain}
    costs = [*(cost for _, cost in cells), *pretrainings.values()]
    unknown = [_kind(slot) for slot, cost in cells if cost is None]
    unknown += [f"pretraining {each.label}" for each, cost in pretrainings.items() if cost is None]
    return Estimate(
        device=name,
        threads=inputs.threads,
        cell_seconds=_total(cost for _, cost in cells),
        pretrain_seconds=_total(pretrainings.values()),
        disk_bytes=_disk(len(cells), past, [_last_size(each, out) for each in plan.to_pretrain]),
        memory_bytes=_peak(costs, lambda cost: cost.memory_bytes),
        device_memory_bytes=_peak(costs, lambda cost: cost.device_memory_bytes),
        unknown=tuple(dict.fromkeys(unknown)),
    )


class _Known:
    """Past cells of this machine, by what they share with a new one; of those alike, the latest few are read."""

    def __init__(self, past: Iterable[Record], device: str, threads: int) -> None:
        self._here = device, threads
        self._alike: dict[_Key, list[Record]] = defaultdict(list)
        self._read: dict[_Key, list[Record]] = {}
        self._costs: dict[_Key, _Cost | None] = {}
        for record in past:
            cell = record.cell
            arch = str(cell.method_config.get("arch", ""))
            for key in _keys(cell.task, record.protocol, cell.shots, cell.method, arch):
                self._alike[key].append(record)

    def cost(self, slot: Slot, plan: Plan) -> _Cost | None:
        """Return what a new cell will take, by the past cells most like it; None if there is none."""
        arch = str(getattr(slot.backbone.config, "arch", ""))
        kind = slot.task, slot.shots, slot.backbone.method, arch
        if kind not in self._costs:
            keys = _keys(slot.task, plan.protocol.name, slot.shots, slot.backbone.method, arch)
            found = next(filter(None, map(self._of_this_machine, keys)), [])
            own = plan.protocol.task_protocol(registry.tasks.get(slot.task)) if found else None
            self._costs[kind] = _median([_scaled(record, slot.shots, own) for record in found]) if found else None
        return self._costs[kind]

    def _of_this_machine(self, key: _Key) -> list[Record]:
        """Return the latest records under a key that were computed here."""
        if key not in self._read:
            latest = sorted(self._alike.get(key, ()), key=_age)[:_MOST_READ]
            own = (record for record in latest if _machine(record) == self._here)
            self._read[key] = list(islice(own, _SAMPLE))
        return self._read[key]


def _age(record: Record) -> int:
    """Return what is the lower the later a record was written; those that are gone are last."""
    try:
        return -os.stat(record.folder).st_mtime_ns  # noqa: PTH116 - of a hundred thousand
    except OSError:
        return 0


def _machine(record: Record) -> tuple[str, int] | None:
    """Return a record's machine and threads; None where it cannot be read any more."""
    try:
        return record.provenance.device_name, record.provenance.threads
    except EdenError:
        return None


def _keys(task: str, protocol: str, shots: int | None, method: str, arch: str) -> list[_Key]:
    """Return keys of decreasing similarity by which cells are compared; without an architecture nothing else fits."""
    same: list[_Key] = [(task, protocol, shots, method), (task, protocol, method)]
    return [same[0], (task, protocol, shots, "", arch), same[1], (task, protocol, "", arch)] if arch else same


def _scaled(record: Record, shots: int | None, protocol: Any) -> _Cost:  # noqa: ANN401 - each kind of task has its own
    """Return what a past cell would have taken with another number of shots."""
    seen, wanted = (_images(number, record.data.train or 0, protocol) for number in (record.cell.shots, shots))
    measured = record.provenance
    return _Cost(record.seconds * wanted / seen, measured.peak_memory_bytes, measured.peak_device_memory_bytes)


def _images(shots: int | None, train: int, protocol: Any) -> float:  # noqa: ANN401 - each kind of task has its own
    """Return images that a run sees: in proportion to its shots, or, at equal steps, to the images of a batch."""
    count, batch = shots or train, getattr(protocol, "batch_size", 0)
    if not batch or count <= 0:
        return 1.0  # it trains nothing
    in_epochs = getattr(protocol, "few_shot_budget", "epochs") == "epochs"
    return count if in_epochs else count / math.ceil(count / batch)


def _past_pretraining(backbone: Backbone, out: Path, device: str, threads: int) -> _Cost | None:
    """Return what a pretraining will take, by the latest of the same settings on this machine."""
    folders = sorted(checkpoint_folders(out, backbone.method), key=lambda folder: -folder.stat().st_mtime)
    return next((cost for cost in (_cost_of(folder, backbone, device, threads) for folder in folders) if cost), None)


def _cost_of(folder: Path, backbone: Backbone, device: str, threads: int) -> _Cost | None:
    try:
        card = Checkpoint(folder).card
    except EdenError:  # what cannot be read tells nothing; the run itself says so where it matters
        return None
    seconds = _section(card, "history").get("seconds")
    theirs, ours = _section(card, "config"), plain(asdict(backbone.config))
    same_place = (card.get("device_name"), card.get("threads")) == (device, threads)
    same_data = _section(card, "data").get("dataset") == backbone.dataset
    if not (same_place and same_data and _without_length(theirs) == _without_length(ours)):
        return None
    length = math.prod(ours[name] / theirs[name] for name in _LENGTHS if name in theirs)
    memory = [int(card.get(name) or 0) for name in ("peak_memory_bytes", "peak_device_memory_bytes")]
    return _Cost(seconds * length, *memory) if isinstance(seconds, int | float) else None


def _section(card: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = card.get(name)
    return found if isinstance(found, Mapping) else {}


def _without_length(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name not in _LENGTHS}


def _kind(slot: Slot) -> str:
    return f"{slot.backbone.label} · {slot.task} · {shots_text(slot.shots)}"


def _median(costs: Sequence[_Cost]) -> _Cost:
    return _Cost(
        statistics.median(cost.seconds for cost in costs),
        max(cost.memory_bytes for cost in costs),
        max(cost.device_memory_bytes for cost in costs),
    )


def _total(costs: Iterable[_Cost | None]) -> float | None:
    """Return the sum of seconds, or None if one is unknown."""
    known = list(costs)
    return None if None in known else sum(cost.seconds for cost in known if cost)


def _peak(costs: Sequence[_Cost | None], of: Callable[[_Cost], int]) -> int | None:
    """Return the most that any needs, or None if one is unknown or none was measured."""
    found = [of(cost) for cost in costs if cost]
    return max(found, default=0) or None if len(found) == len(costs) else None


def _disk(cells: int, past: Sequence[Record], checkpoints: Sequence[int | None]) -> int | None:
    """Return the bytes of new records and checkpoints, as large as past ones of any machine."""
    sizes = [_size(record.folder) for record in past[:_SAMPLE]]
    if (cells and not sizes) or None in checkpoints:
        return None
    return int(cells * (statistics.median(sizes) if sizes else 0)) + sum(size for size in checkpoints if size)


def _last_size(backbone: Backbone, out: Path) -> int | None:
    folders = checkpoint_folders(out, backbone.method)
    return _size(max(folders, key=lambda folder: folder.stat().st_mtime)) if folders else None


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
