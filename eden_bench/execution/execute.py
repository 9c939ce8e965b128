"""Execute a job: compute its cells, or pretrain its backbone.

The runner, ``--replay`` and every worker call ``execute``. It writes no record: whoever called it stores what it
returns. (A pretraining writes its own checkpoint folder as it goes, so that it can be resumed.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench import records, registry
from eden_bench.contracts import Cell, Outcome
from eden_bench.contracts.members import is_source
from eden_bench.devices import free_device_memory
from eden_bench.errors import EdenError, StoreFailed, WeightsMissing
from eden_bench.execution import networks, record_sections
from eden_bench.execution.backbones import Problem
from eden_bench.execution.inputs import Inputs, OpenedTask, rebuilt
from eden_bench.execution.job import Job, cell_of
from eden_bench.records import masks, provenance
from eden_bench.weights.checkpoints import Checkpoint
from eden_bench.weights.file_method import register_file

if TYPE_CHECKING:
    from torch import nn

    from eden_bench.encoders import Encoder


@dataclass(frozen=True)
class Result:
    """Result of one seed of a job, or of a pretraining: a record, a checkpoint, or a problem."""

    seed: int | None
    cell_id: str = ""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """The record, rendered; empty where there is a problem."""
    network: bytes = b""
    """The fine-tuned network's weights, where the job keeps them."""
    weights: str = ""
    """SHA-256 of the encoder that a pretraining made."""
    problem: Problem | None = None
    note: str = ""
    """What is said of it, as a sentence."""


def execute(job: Job, inputs: Inputs) -> Iterator[Result]:
    """Execute a job; yield a result as each of its seeds ends. Every error becomes a ``Problem``.

    Raises:
        StoreFailed: a checkpoint or a cache cannot be written, which no other seed would survive either.
    """
    left: list[int | None] = [*job.seeds] or [None]
    try:
        for result in _cells(job, inputs) if job.task else _pretraining(job, inputs):
            left.remove(result.seed)
            yield result
    except StoreFailed:
        raise
    except (Exception, SystemExit) as error:  # the edge of a job (design, section 9)
        yield from (Result(seed, problem=Problem.of(error)) for seed in left)


def opened_task(job: Job, inputs: Inputs) -> OpenedTask:
    """Open a job's task under its protocol."""
    task = registry.tasks.get(job.task)
    return inputs.opened(task, rebuilt(task.protocol(job.base), job.protocol))


def _pretraining(job: Job, inputs: Inputs) -> Iterator[Result]:
    data = inputs.pretrain_data(job.dataset)
    config = rebuilt(registry.methods.get(job.method).Config(), job.config)
    asked = {"speedups": inputs.settings.speedups} if inputs.settings.speedups else {}
    checkpoint: Checkpoint = registry.engine().pretrain(
        job.method,
        config,
        data,
        seed=job.pretrain_seed,
        folder=_folder(job, inputs),
        context=inputs.context(job.dataset),
        **asked,
    )
    yield Result(None, weights=checkpoint.encoder_digest)


def _cells(job: Job, inputs: Inputs) -> Iterator[Result]:
    opened, same = opened_task(job, inputs), provenance.gather(inputs.device, inputs.threads)
    clock = provenance.Clock(inputs.device)
    for seed, outcome in opened.open.run_many(_subject_of(job, inputs), job.seeds, job.shots):
        cell = _cell(job, opened, seed, inputs)
        if isinstance(outcome, StoreFailed):
            raise outcome
        if isinstance(outcome, Outcome):
            sections = record_sections.sections(job, opened, seed, inputs)
            sections["provenance"] = {**same, **clock.measured(), **_shared(outcome)}
            result = _result(job, opened, cell, outcome, sections)
        else:
            result = Result(seed, cell.id, problem=Problem.of(outcome))
        del outcome  # and with it the network, or the frames of a failure, while the next seed runs
        if result.problem is not None:
            free_device_memory(inputs.device)
        yield result
        clock = provenance.Clock(inputs.device)


def _shared(outcome: Outcome) -> dict[str, object]:
    """Tell how a seed shared the device with others of its pack; nothing where it ran alone."""
    return {} if outcome.shared is None else outcome.shared._asdict()


def _result(job: Job, opened: OpenedTask, cell: Cell, outcome: Outcome, sections: Mapping[str, object]) -> Result:
    note = ""
    try:
        if job.keep_masks:
            outcome, note = masks.beside(outcome)
        files = records.render(cell, opened.task.score, outcome, sections)
        network = networks.encode(outcome.network, job.task) if job.keep_network else b""
    except EdenError as error:  # the task broke its contract for this seed
        return Result(cell.seed, cell.id, problem=Problem.of(error))
    return Result(cell.seed, cell.id, files, network, note=note)


def _cell(job: Job, opened: OpenedTask, seed: int, inputs: Inputs) -> Cell:
    of = job.looks_at
    looked_at = cell_of(of, opened_task(of, inputs), seed, inputs.threads) if of else None
    return cell_of(job, opened, seed, inputs.threads, looked_at)


def _subject_of(job: Job, inputs: Inputs) -> Callable[[int], Encoder]:
    """Return a factory of fresh encoders by seed, or of fine-tuned networks if the task inspects one."""
    if job.looks_at is None:
        return lambda seed: encoder_of(job, seed, inputs)
    of = job.looks_at
    return lambda seed: _network(of, seed, inputs)  # type: ignore[return-value]  # as Task.looks_at says


def encoder_of(job: Job, seed: int, inputs: Inputs) -> Encoder:
    """Build a fresh encoder with the job's weights.

    Raises:
        WeightsMissing: the weights at hand are not the job's.
    """
    if job.folder:
        return inputs.encoder(_folder(job, inputs))
    if job.file:
        register_file(registry.methods, f"{job.method}={job.file}")
    made = registry.methods.get(job.method)
    source = made(rebuilt(made.Config(), job.config))
    if not is_source(made) or (found := source.weights_digest()) != job.weights:
        had = found[:12] if is_source(made) else "none"
        raise WeightsMissing(
            f"{job.method}: the weights at hand are {had}, expected {job.weights[:12]}: put the file back"
        )
    encoder: Encoder = source.load_encoder(seed)
    return encoder


def _network(job: Job, seed: int, inputs: Inputs) -> nn.Module:
    """Return a cell's fine-tuned network: loaded if it was stored, else trained again, which gives the same."""
    opened = opened_task(job, inputs)
    kept = networks.path_of(inputs.settings.out, cell_of(job, opened, seed, inputs.threads).id)
    encoder = encoder_of(job, seed, inputs)
    if kept.is_file():
        return networks.load(kept, opened.open.network(encoder, seed))
    return networks.returned(opened.open.run(encoder, seed, job.shots).network, job.task)


def _folder(job: Job, inputs: Inputs) -> Path:
    return inputs.settings.out / "checkpoints" / job.folder
