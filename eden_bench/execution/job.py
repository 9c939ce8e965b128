"""Jobs: units of work as plain data, to execute here, in another process or on another machine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from eden_bench import registry
from eden_bench.contracts import DETERMINISTIC, NETWORK_OF, Cell
from eden_bench.digests import canonical_json
from eden_bench.execution.backbones import Backbone
from eden_bench.execution.inputs import OpenedTask, plain
from eden_bench.records import Record
from eden_bench.records.shape import Kind, parse

_WHOLES = Kind(
    "a list of whole numbers", lambda value: isinstance(value, list) and all(type(one) is int for one in value), tuple
)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A pack of cells that share task, backbone and shots; or, without a task, a pretraining.

    It names everything by value or by name and holds nothing open: ``from_json(job.to_json()) == job``.
    """

    method: str
    label: str
    """What the command calls it: the method, or a variant that the protocol names."""
    config: Mapping[str, Any]
    weights: str = ""
    """SHA-256 of the encoder's weights, "seeded", or "" before they are pretrained."""
    folder: str = ""
    """Name of the checkpoint's folder below OUT/checkpoints; "" for weights that are brought along."""
    file: str = ""
    """Path of weights that were named on the command line."""
    dataset: str = ""
    """What it is pretrained on; "" for weights that are brought along."""
    pretrain_seed: int = 0
    task: str = ""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the task's own protocol."""
    shots: int | None = None
    seeds: Annotated[tuple[int, ...], _WHOLES] = ()
    looks_at: Job | None = None
    """The fine-tuning, of the same backbone, shots and seeds, whose networks the task is given."""
    keep_network: bool = False
    """Hand the fine-tuned networks back too, for a task that looks at them."""
    keep_masks: bool = False
    """Store predicted masks beside the records."""
    base: str = "paper"
    """Built-in protocol that the task's own is derived from."""
    protocol_name: str = "paper"
    protocol_argument: str = "paper"
    """What the command line said: a name or a path."""
    names_data: bool = False
    """The command line named the pretraining data."""
    plugins: tuple[str, ...] = ()
    """Plugin files to load first."""

    def of_seeds(self, seeds: Iterable[int]) -> Job:
        """Return the job of other seeds, its own and those of the networks it looks at."""
        chosen = tuple(seeds)
        return replace(self, seeds=chosen, looks_at=self.looks_at and self.looks_at.of_seeds(chosen))

    def to_json(self) -> str:
        """Serialise to JSON."""
        return canonical_json(self)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Parse the JSON of ``to_json``. Raises Misshapen if an entry is absent or of another type."""
        return parse(cls, json.loads(text))

    def __str__(self) -> str:
        """Name the job for a progress line."""
        shots = "full" if self.shots is None else f"{self.shots} shots"
        seeds = ", ".join(map(str, self.seeds))
        return f"{self.label} · {self.task} · {shots} · seed {seeds}" if self.task else f"pretraining {self.label}"


def pretraining_job(backbone: Backbone) -> Job:
    """Return the job that pretrains a backbone."""
    return Job(
        method=backbone.method,
        label=backbone.label,
        config=plain(backbone.config),
        weights=backbone.digest or "",
        folder=backbone.folder.name if backbone.folder else "",
        file=registry.methods.get(backbone.method).file if backbone.dataset is None else "",
        dataset=backbone.dataset or "",
        pretrain_seed=backbone.seed,
    )


def job_of(record: Record, looked_at: Record | None = None) -> Job:
    """Rebuild the job of a record's cell from the record alone, for replay.

    Args:
        record: what is stored.
        looked_at: the record of the fine-tuning whose network it looked at, where it did.
    """
    cell, checkpoint = record.cell, record.checkpoint
    return Job(
        method=cell.method,
        label=record.label,
        config=cell.method_config,
        weights=cell.checkpoint,
        folder=checkpoint.folder,
        file=checkpoint.file or "",
        dataset=record.pretraining.dataset,
        pretrain_seed=checkpoint.card.seed or 0,
        task=cell.task,
        protocol={name: value for name, value in cell.protocol.items() if name not in (NETWORK_OF, DETERMINISTIC)},
        shots=cell.shots,
        seeds=(cell.seed,),
        looks_at=job_of(looked_at) if looked_at else None,
        keep_masks=record.task.kind == "segmentation" and record.facts.arrays is not None,
        base=record.marks.base,
        protocol_name=record.protocol,
        protocol_argument=record.protocol,
    )


def cell_of(job: Job, opened: OpenedTask, seed: int, threads: int, looked_at: Cell | None = None) -> Cell:
    """Return the cell of one of a job's seeds.

    Args:
        job: whose weights are known.
        opened: its task.
        seed: one of its seeds.
        threads: CPU threads; 0 on a GPU.
        looked_at: the cell of the network that the task looks at, where it does.

    Raises:
        ValueError: the job has no weights yet.
    """
    if not job.weights:
        raise ValueError(f"{job} has no identity before its backbone has weights")
    of = {} if looked_at is None else {NETWORK_OF: looked_at.id}
    return Cell(
        method=job.method,
        method_config=job.config,
        checkpoint=job.weights,
        task=opened.task.name,
        data=opened.open.data["digest"],
        splits=opened.open.data["splits"],
        protocol=opened.hashed_protocol(job.shots) | of,
        shots=job.shots,
        seed=seed,
        score_version=opened.task.score.version,
        threads=threads,
    )
