"""Plan a command: its cells, which are done or can be reused, and which backbones must be pretrained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from eden_bench import protocols, registry
from eden_bench.contracts import Cell, Task
from eden_bench.errors import DataMissing, UsageError
from eden_bench.execution.backbones import (
    Backbone,
    Problem,
    State,
    fits,
    unfit_text,
)
from eden_bench.execution.inputs import Inputs, OpenedTask
from eden_bench.execution.job import Job, cell_of, pretraining_job
from eden_bench.execution.opener import Opener
from eden_bench.execution.request import Ask, shots_text
from eden_bench.protocols import Protocol
from eden_bench.records import Record


@dataclass(eq=False)
class Slot:
    """One planned cell. Its id is known once its backbone has weights."""

    backbone: Backbone
    task: str
    shots: int | None
    seed: int
    opened: OpenedTask | None = None
    """None where the task could not be opened, or need not be (nothing of it is stored)."""
    problem: Problem | None = None
    record: Record | None = None
    """What is stored, where the cell is done."""
    state: State = "pending"
    looks_at: OpenedTask | None = None
    """The task whose fine-tuned network, of the same backbone, shots and seed, it is given."""

    def cell(self, threads: int) -> Cell:
        """Return the cell.

        Raises:
            ValueError: the backbone has no weights yet, or the task is not open.
        """
        if self.opened is None:
            raise ValueError(f"{self} has no identity before its task is open")
        job = self._job()
        looked_at = cell_of(job, self.looks_at, self.seed, threads) if self.looks_at else None
        return cell_of(job, self.opened, self.seed, threads, looked_at)

    def job(self, plan: Plan) -> Job:
        """Return the job that computes it; without the protocol if the task is not open."""
        ask, protocol = plan.ask, plan.protocol
        how: dict[str, Any] = {
            "base": protocol.of_tasks,
            "protocol_name": protocol.name,
            "protocol_argument": ask.protocol or protocol.name,
            "names_data": ask.pretrain_data is not None,
            "plugins": ask.plugins,
            "keep_masks": ask.keep_masks,
        }
        own = replace(self._job(), keep_network=self.task in plan.looked_at, **how)
        if self.looks_at is None:
            return own
        name, values = self.looks_at.task.name, self.looks_at.protocol
        of = replace(own, task=name, protocol=values, keep_network=False, keep_masks=False)
        return replace(own, looks_at=of)

    def _job(self) -> Job:
        protocol = self.opened.protocol if self.opened else {}
        whole = replace(pretraining_job(self.backbone), task=self.task, protocol=protocol)
        return replace(whole, shots=self.shots, seeds=(self.seed,))

    def __str__(self) -> str:
        """Name the cell for a progress line."""
        pretraining = f" · pretraining {self.backbone.seed}" if self.backbone.seed else ""
        return f"{self.backbone.label}{pretraining} · {self.task} · {shots_text(self.shots)} · seed {self.seed}"


@dataclass
class Plan:
    """The cells of a command, in the order they will run."""

    ask: Ask
    protocol: Protocol
    phantom: bool
    slots: list[Slot] = field(default_factory=list)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Task to the methods that it would have to fine-tune and that can only be probed."""
    without_protocol: tuple[str, ...] = ()
    """Tasks that have not the frozen protocol that was asked for."""
    looked_at: frozenset[str] = frozenset()
    """Tasks whose fine-tuned networks other tasks of the plan look at."""

    @property
    def left_out_text(self) -> str:
        """What of the request is not planned, and why; "" if all is."""
        lacking = f"{', '.join(self.without_protocol)}: left out, which have no protocol {self.protocol.name!r}"
        return "; ".join(filter(None, [unfit_text(self.left_out), lacking if self.without_protocol else ""]))

    @property
    def new(self) -> list[Slot]:
        """Cells to run."""
        return [slot for slot in self.slots if not (slot.record or slot.problem or slot.backbone.problem)]

    def count(self, state: State) -> int:
        """Count the cells in a state."""
        return sum(slot.state == state for slot in self.slots)

    def without_masks(self) -> list[Slot]:
        """Return the cells whose masks shall be kept and which are stored without."""
        stored = [slot for slot in self.slots if slot.record and self.ask.keep_masks]
        return [s for s in stored if s.record and s.record.task.kind == "segmentation" and not s.record.facts.arrays]

    @property
    def to_pretrain(self) -> list[Backbone]:
        """Backbones to pretrain before new cells can run."""
        return list(dict.fromkeys(slot.backbone for slot in self.new if slot.backbone.digest is None))


def make_plan(ask: Ask, inputs: Inputs, past: Sequence[Record]) -> Plan:
    """Plan the requested cells: open tasks, find checkpoints, look up records.

    Args:
        ask: what is wanted.
        inputs: where data and encoders come from. In a dry run (``Inputs.build`` is False) only what past records
            make worth opening is opened: cells whose data are not decoded yet, or whose phantom is not drawn, count
            as new.
        past: the records that are there.

    Raises:
        UsageError: names, shots or the protocol do not fit the methods and tasks.
        DataMissing: no task at all has its data.
    """
    ask, without = _with_protocol(ask)
    asked, ask = ask.tasks, replace(ask, tasks=_with_looked_at(ask.tasks))
    opener = Opener(ask, inputs, past)
    looked_at = frozenset(registry.tasks.get(name).looks_at for name in ask.tasks)
    plan = Plan(ask, opener.protocol, opener.phantom, looked_at=looked_at, without_protocol=without)
    for name in ask.tasks:
        if name not in asked and opener.looked_at_in_vain(name, asked):
            continue
        task: Task = registry.tasks.get(name)
        opened, problem, looks_at = opener.with_looked_at(task)
        backbones = opener.backbones(name)
        unfit = {each.label for each in backbones if not fits(each, task, plan.protocol.evaluation)}
        plan.left_out.update({name: tuple(sorted(unfit))} if unfit and name in asked else {})
        for backbone in (each for each in backbones if each.label not in unfit):
            plan.slots += [
                Slot(backbone, name, shots, seed, opened, problem, looks_at=looks_at)
                for shots in ask.shots
                for seed in opener.seeds(task, shots, backbone)
            ]
    if not plan.slots:
        raise UsageError(f"nothing to run: {unfit_text(plan.left_out)}")
    _look_up(plan, {record.id: record for record in past}, inputs.threads)
    missing = [slot.problem.text for slot in plan.slots if slot.problem and slot.problem.kind == "missing"]
    if missing and len(missing) == len(plan.slots):
        raise DataMissing(missing[0])
    plan.slots.sort(key=_turn(plan))
    return plan


def _look_up(plan: Plan, known: Mapping[str, Record], threads: int) -> None:
    """Find the record of each slot by its cell's id; cells that differ in their seed alone are made from one."""
    made: dict[tuple[Backbone, str, int | None], Cell] = {}
    for slot in plan.slots:
        if slot.opened is not None and slot.backbone.digest is not None:
            like = None if slot.looks_at else made.get((slot.backbone, slot.task, slot.shots))
            cell = replace(like, seed=slot.seed) if like else slot.cell(threads)
            made[slot.backbone, slot.task, slot.shots] = cell
            slot.record = known.get(cell.id)


def _with_protocol(ask: Ask) -> tuple[Ask, tuple[str, ...]]:
    """Return the request for the tasks that have its frozen protocol, and the names of the others.

    Raises:
        UsageError: none has it.
    """
    evaluation = protocols.load(ask.protocol).evaluation if ask.protocol else ""
    has = {name: not evaluation or evaluation in registry.tasks.get(name).frozen for name in ask.tasks}
    kept = tuple(name for name in ask.tasks if has[name])
    if not kept:
        known = "; ".join(f"{name} has {', '.join(registry.tasks.get(name).frozen) or 'none'}" for name in ask.tasks)
        raise UsageError(f"--protocol {ask.protocol}: no task asked for has it; of frozen protocols {known}")
    return replace(ask, tasks=kept), tuple(name for name in ask.tasks if not has[name])


def _with_looked_at(tasks: Sequence[str]) -> tuple[str, ...]:
    """Insert before each task the one whose fine-tuned network it inspects."""
    each = [(registry.tasks.get(name).looks_at, name) for name in tasks]
    return tuple(dict.fromkeys(name for pair in each for name in pair if name))


def _turn(plan: Plan) -> Any:  # noqa: ANN401 - a sort key
    """Sort cells so that results become usable early.

    Backbones that are ready come first, seed by seed over all methods, so that an interrupted run compares them
    on fewer seeds; then each backbone that must be pretrained, followed by its own cells. A network is looked at as
    soon as it is trained, so that one lies on the disk at a time and not hundreds.
    """
    waiting = {backbone: place for place, backbone in enumerate(plan.to_pretrain, start=1)}
    methods = {name: place for place, name in enumerate(plan.ask.methods)}
    tasks = {name: place for place, name in enumerate(plan.ask.tasks)}
    shots = {number: place for place, number in enumerate(plan.ask.shots)}

    def key(slot: Slot) -> tuple[int, ...]:
        batch, backbone, own = waiting.get(slot.backbone, 0), slot.backbone, tasks[slot.task]
        first = tasks[registry.tasks.get(slot.task).looks_at or slot.task]
        return batch, first, shots[slot.shots], slot.seed, methods[backbone.label], backbone.seed, own

    return key
