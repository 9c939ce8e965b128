"""Replay a record's cell from its record alone, and compare scores and cases bit for bit."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from pathlib import Path

from eden_bench import records, registry
from eden_bench.contracts import NETWORK_OF, NUMBERS_VERSION
from eden_bench.contracts.members import is_source
from eden_bench.devices import cpu_threads
from eden_bench.errors import DataMissing, UsageError, WeightsMissing, WeightsRefused
from eden_bench.execution.backbones import checkpoint_folders
from eden_bench.execution.execute import Result, execute, opened_task
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import Job, job_of
from eden_bench.records import Record
from eden_bench.records.arrays import decode, encode
from eden_bench.weights.checkpoints import Checkpoint
from eden_bench.weights.file_method import register_file


@dataclass(frozen=True)
class Replayed:
    """A record and the scores and cases of its replay."""

    record: Record
    scores: dict[str, float]
    same_cases: bool
    """The columns of cases and the arrays that are stored agree to the last bit."""

    @property
    def identical(self) -> bool:
        """Whether every score and every case that is stored agrees to the last bit.

        What this version computes besides, as a score that came after the record, is not compared.
        """
        stored = self.record.scores
        return self.same_cases and {name: self.scores.get(name) for name in stored} == stored


def replay(record: Record, inputs: Inputs) -> Replayed:
    """Replay a record's cell and compare.

    Args:
        record: what is stored.
        inputs: data and device; its thread count must be the record's.

    Raises:
        UsageError: this machine's device or this version's numbers or fields are not the record's.
        DataMissing: the data are others than the record's.
        WeightsMissing: no checkpoint has the record's weights.
    """
    _check_version(record)
    if inputs.threads != record.cell.threads:
        kind = "a GPU" if record.cell.threads == 0 else f"the CPU with {record.cell.threads} threads"
        raise UsageError(f"record {record.id[:12]} was made on {kind}: give --device and --threads to match")
    with cpu_threads(inputs.settings.threads):
        job = _with_weights(job_of(record, _looked_at(record, inputs)), record, inputs)
        _check_data(record, job, inputs)
        (result,) = execute(job, inputs)
    return _compared(record, result)


def _compared(record: Record, result: Result) -> Replayed:
    if result.problem is not None:
        raise result.problem.error(result.problem.text)
    cases, arrays = (result.files.get(name, b"") for name in (records.CASES, records.ARRAYS))
    same = _holds(cases, record.cases_bytes()) and _holds_arrays(arrays, record)
    return Replayed(record, records.scores_in(result.files), same)


def _holds_arrays(arrays: bytes, record: Record) -> bool:
    """Return whether arrays have every array that is stored, as it is stored."""
    if arrays == record.arrays_bytes():
        return True
    new, old = decode(arrays) if arrays else {}, record.arrays()
    return all(name in new and encode({name: new[name]}) == encode({name: old[name]}) for name in old)


def _holds(cases: bytes, stored: bytes) -> bool:
    """Return whether cases have every column that is stored, as it is stored."""
    if cases == stored:
        return True
    new, old = (_columns(content) for content in (cases, stored))
    return all(new.get(name) == column for name, column in old.items())


def _columns(cases: bytes) -> dict[str, list[str]]:
    header, *rows = csv.reader(io.StringIO(cases.decode()))
    return {name: [row[place] for row in rows] for place, name in enumerate(header)}


def _check_version(record: Record) -> None:
    cell, task = record.cell, registry.tasks.get(record.cell.task)
    if cell.code != NUMBERS_VERSION:
        raise UsageError(
            f"record {record.id[:12]} was computed by version {cell.code} of the numbers, this is version "
            f"{NUMBERS_VERSION}, which gives others: run its cell again"
        )
    if task.score.version != cell.score_version:
        raise UsageError(
            f"record {record.id[:12]} has version {cell.score_version} of the score {task.score.name}, this is version "
            f"{task.score.version}"
        )


def _looked_at(record: Record, inputs: Inputs) -> Record | None:
    """Return the record of the fine-tuning whose network a cell inspects; None if it inspects none."""
    of = record.cell.protocol.get(NETWORK_OF)
    if of is None:
        return None
    found = records.stored(inputs.settings.out, str(of))
    if found is None:
        raise DataMissing(
            f"record {record.id[:12]} looked at the network of cell {str(of)[:12]}, of which {inputs.settings.out} has "
            "no record: run that fine-tuning again"
        )
    return found


def _check_data(record: Record, job: Job, inputs: Inputs) -> None:
    cell, opened = record.cell, opened_task(job, inputs)
    found = (opened.open.data["digest"], opened.open.data["splits"])
    if found != (cell.data, cell.splits):
        raise DataMissing(
            f"record {record.id[:12]} was made from data {cell.data[:12]}, splits {cell.splits[:12]}; at hand are "
            f"{found[0][:12]}, {found[1][:12]}: give --data as it was then"
        )


def _with_weights(job: Job, record: Record, inputs: Inputs) -> Job:
    """Return the job with the folder in which the record's weights are found now."""
    if job.file:
        register_file(registry.methods, f"{job.method}={job.file}")
    if is_source(registry.methods.get(job.method)):
        return job
    for folder in checkpoint_folders(inputs.settings.out):
        if _weights(folder) == job.weights:
            of = replace(job.looks_at, folder=folder.name) if job.looks_at else None
            return replace(job, folder=folder.name, looks_at=of)
    raise WeightsMissing(
        f"no checkpoint in {inputs.settings.out / 'checkpoints'} has the weights {job.weights[:12]}: pretrain "
        f"{job.method} again with the settings of record {record.id[:12]}, or copy its folder there"
    )


def _weights(folder: Path) -> str:
    """Return the digest of a checkpoint's weights, "" if its card cannot be read."""
    try:
        return Checkpoint(folder).encoder_digest
    except WeightsRefused:
        return ""
