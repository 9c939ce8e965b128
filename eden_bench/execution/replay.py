"""Replay: run one record's cell again from its record alone, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eden_bench import records, registry
from eden_bench.contracts import EncoderSource, Outcome, Task
from eden_bench.contracts.members import is_source
from eden_bench.errors import DataMissing, UsageError, WeightsMissing, WeightsRefused
from eden_bench.execution.backbones import checkpoint_folders
from eden_bench.execution.inputs import Inputs, rebuilt
from eden_bench.execution.runner import cpu_threads
from eden_bench.records import Record
from eden_bench.weights.checkpoints import Checkpoint
from eden_bench.weights.file_method import register_file

if TYPE_CHECKING:
    from pathlib import Path

    from eden_bench.encoders import Encoder
    from eden_bench.execution.inputs import OpenedTask


@dataclass(frozen=True)
class Replayed:
    """A record and what its cell gives now."""

    record: Record
    scores: dict[str, float]
    same_cases: bool

    @property
    def identical(self) -> bool:
        """Every score and every case agrees to the last bit."""
        return self.same_cases and self.scores == self.record.scores


def replay(record: Record, inputs: Inputs) -> Replayed:
    """Run a record's cell again.

    Args:
        record: what is stored.
        inputs: data and device; its thread count must be the record's.

    Raises:
        UsageError: this machine's device or this version's fields are not the record's.
        DataMissing: the data are others than the record's.
        WeightsMissing: no checkpoint has the record's weights.
    """
    cell = record.cell
    if inputs.threads != cell.threads:
        kind = "a GPU" if cell.threads == 0 else f"the CPU with {cell.threads} threads"
        raise UsageError(f"record {record.id[:12]} was made on {kind}: give --device and --threads to match")
    with cpu_threads(inputs.settings.threads):
        opened = _open(record, inputs)
        outcome = opened.open.run(_encoder(record, inputs), cell.seed, cell.shots)
    records.check_outcome(outcome, opened.task.score)
    scores = {name: float(value) for name, value in outcome.scores.items()}
    return Replayed(record, scores, _same_cases(record, outcome))


def _open(record: Record, inputs: Inputs) -> OpenedTask:
    cell = record.cell
    task: Task = registry.tasks.get(cell.task)
    if task.score.version != cell.score_version:
        raise UsageError(
            f"record {record.id[:12]} has version {cell.score_version} of the score {task.score.name}, this is version "
            f"{task.score.version}"
        )
    protocol = rebuilt(task.protocol(record.marks.base), cell.protocol)
    opened = inputs.opened(task, protocol)
    found = (opened.open.data["digest"], opened.open.data["splits"])
    if found != (cell.data, cell.splits):
        raise DataMissing(
            f"record {record.id[:12]} was made from data {cell.data[:12]}, splits {cell.splits[:12]}; at hand are "
            f"{found[0][:12]}, {found[1][:12]}: give --data as it was then"
        )
    return opened


def _encoder(record: Record, inputs: Inputs) -> Encoder:
    cell = record.cell
    if file := record.checkpoint.file:
        register_file(registry.methods, f"{cell.method}={file}")
    method = registry.methods.get(cell.method)
    if is_source(method):
        return _brought(method(rebuilt(method.Config(), cell.method_config)), record)
    for folder in checkpoint_folders(inputs.settings.out):
        if _weights(folder) == cell.checkpoint:
            return inputs.encoder(folder)
    raise WeightsMissing(
        f"no checkpoint in {inputs.settings.out / 'checkpoints'} has the weights {cell.checkpoint[:12]}: pretrain "
        f"{cell.method} again with the settings of the record, or copy its folder there"
    )


def _brought(source: EncoderSource, record: Record) -> Encoder:
    cell = record.cell
    if (found := source.weights_digest()) != cell.checkpoint:
        raise WeightsMissing(
            f"{cell.method}: the weights at hand are {found[:12]}, record {record.id[:12]} was made with "
            f"{cell.checkpoint[:12]}: put the file back"
        )
    return source.load_encoder(cell.seed)


def _weights(folder: Path) -> str:
    """Return the digest of a checkpoint's weights, "" where its card cannot be read."""
    try:
        return Checkpoint(folder).encoder_digest
    except WeightsRefused:
        return ""


def _same_cases(record: Record, outcome: Outcome) -> bool:
    return record.cases_bytes() == records.cases_csv(outcome.cases)
