"""Run a plan's cells in this process: lock, pretrain, execute, store; a failed cell does not stop the others.

Several processes may work on one output folder: a cell or a pretraining is claimed by a kernel file lock, which
dies with its process, so nothing is done twice and nobody waits for the dead. What another process holds is put
off and looked at again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from eden_bench import preemption, records
from eden_bench.contracts import NETWORK_OF, Cell
from eden_bench.devices import cpu_threads, free_device_memory
from eden_bench.errors import EdenError, StoreFailed
from eden_bench.execution import locks, networks, record_sections
from eden_bench.execution.backbones import STATES, Backbone, Problem, find_checkpoint
from eden_bench.execution.execute import Result, execute
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import pretraining_job
from eden_bench.execution.plan import Plan, Slot
from eden_bench.files import atomic
from eden_bench.records import provenance
from eden_bench.trackers import Trackers

OnError = Literal["continue", "stop"]


class Watch(Protocol):
    """Receives messages and progress of a run."""

    def say(self, line: str) -> None:
        """Show one line."""
        ...

    def cell(self, done: int, total: int, line: str) -> None:
        """Report that a cell has ended."""
        ...

    def progress(self, what: str, done: int, total: int) -> None:
        """Report the progress of a part of the work."""
        ...


class Silent:
    """A ``Watch`` that discards all messages."""

    def say(self, line: str) -> None:
        """Discard it."""

    def cell(self, done: int, total: int, line: str) -> None:
        """Discard it."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Discard it."""


@dataclass
class Runner:
    """Executes one plan.

    Attributes:
        force: run cells anew although they are stored; the old record moves to ``superseded/``.
        only_failed: run only what failed before.
        on_error: "stop" ends the run at the first failure.
    """

    plan: Plan
    inputs: Inputs
    watch: Watch = field(default_factory=Silent)
    trackers: Trackers = field(default_factory=Trackers)
    force: bool = False
    only_failed: bool = False
    on_error: OnError = "continue"
    _stopped: bool = False
    _total: int = 0

    def run(self) -> None:
        """Run every cell that is not done; set the state of each slot of the plan."""
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.presence(self.out))
            except StoreFailed:
                if not self._is_done():
                    raise
                for slot in self.plan.slots:  # stored on a disk that may only be read
                    slot.state = "reused"
                return
            stack.enter_context(cpu_threads(self.inputs.settings.threads))
            self._before = {path: atomic.identity(path) for path in self._written()}
            self._same = provenance.gather(self.inputs.device, self.inputs.threads)
            if left_out := self.plan.left_out_text:
                self.watch.say(left_out)
            waiting = self._sort_out()
            self._total = len(waiting)
            while waiting and not self._stopped:
                left = [slot for slot in waiting if not self._turn(slot, wait=False)]
                if len(left) == len(waiting) and not self._stopped:
                    self.watch.say(f"another process works on the {len(left)} cells that are left: waiting for it")
                    self._turn(left.pop(0), wait=True)
                waiting = left

    @property
    def out(self) -> Path:
        """Output folder of records."""
        return self.inputs.settings.out

    def _is_done(self) -> bool:
        """Return whether every cell is stored and none is forced to run anew."""
        return not self.force and all(s.record and not (s.problem or s.backbone.problem) for s in self.plan.slots)

    def _sort_out(self) -> list[Slot]:
        """Reuse or skip the cells that need no run, and return the others."""
        failed = records.failures(self.out) if self.only_failed else {}
        self._forget_mended()
        waiting = []
        for slot in self.plan.slots:
            if slot.problem or slot.backbone.problem:
                self._give_up(slot)
            elif slot.record is not None and not self.force:
                slot.state = "reused"
            elif not self.only_failed or self._names(slot) & set(failed):
                waiting.append(slot)
        return waiting

    def _forget_mended(self) -> None:
        """Delete the stored failures of tasks and weights that can be opened now."""
        for slot in self.plan.slots:
            if slot.problem is None:
                records.clear_failure(self.out, f"task-{slot.task}")
            if slot.backbone.digest is not None:
                records.clear_failure(self.out, slot.backbone.name)

    def _names(self, slot: Slot) -> set[str]:
        """Return the names under which a failure of this cell may be stored."""
        names = {f"task-{slot.task}", slot.backbone.name}
        return names if slot.backbone.digest is None else {*names, slot.cell(self.inputs.threads).id}

    def _turn(self, slot: Slot, *, wait: bool) -> bool:
        """Try one cell; return False if another process holds its lock."""
        preemption.check()
        if self._stopped:
            return True
        if not self._ready(slot.backbone, wait=wait):
            return False
        if slot.backbone.problem:
            self._give_up(slot)
            return True
        cell = slot.cell(self.inputs.threads)
        with locks.claim(self.out, cell.id, wait=wait) as got:
            if got:
                self._settle(slot, cell)
            if slot.record is not None:
                locks.forget(self.out, cell.id)
        return got

    def _settle(self, slot: Slot, cell: Cell) -> None:
        """Reuse a record stored by now, or run the cell."""
        stored = records.stored(self.out, cell.id)
        if stored is not None and (not self.force or self._is_fresh(stored.folder)):
            slot.record, slot.state = stored, "reused"
        elif self._is_fresh_failure(cell.id):
            slot.problem = Problem("failed", "it failed in another process just now")
            self._end(slot, slot.problem)
        elif (of := cell.protocol.get(NETWORK_OF)) and self._is_fresh_failure(str(of)):
            problem = Problem("failed", "the fine-tuning whose network it looks at failed in this run")
            self._store_failure(cell.id, problem, slot, cell)
            self._end(slot, problem)
        else:
            self._compute(slot, cell)

    def _compute(self, slot: Slot, cell: Cell) -> None:
        """Execute a cell's job, and store its record or failure."""
        job = slot.job(self.plan)
        (result,) = execute(job, self.inputs)
        slot.problem = result.problem
        if result.problem is None:
            self._store(slot, result)
            if result.note:
                self.watch.say(f"{slot}: {result.note}")
        else:
            if result.problem.kind == "failed":
                self._store_failure(cell.id, result.problem, slot, cell)
            free_device_memory(self.inputs.device)
        self._end(slot, slot.problem)

    def _store(self, slot: Slot, result: Result) -> None:
        records.supersede(self.out, result.cell_id)
        if result.network:
            networks.put(self.out, result.cell_id, result.network)
        slot.record = records.put(self.out, result.cell_id, result.files)
        records.clear_failure(self.out, result.cell_id)
        self.trackers.cell(slot.record)
        if looked_at := slot.record.cell.protocol.get(NETWORK_OF):
            networks.discard(self.out, looked_at)

    def _ready(self, backbone: Backbone, *, wait: bool) -> bool:
        """Pretrain a backbone unless it exists; return False if another process holds its lock."""
        if backbone.digest or backbone.problem:
            return True
        with locks.claim(self.out, backbone.name, wait=wait) as got:
            if got:
                try:
                    self._pretrain(backbone)
                except StoreFailed:
                    raise
                except (Exception, SystemExit) as error:  # the runner's edge
                    backbone.problem = Problem.of(error)
        return got

    def _pretrain(self, backbone: Backbone) -> None:
        find_checkpoint(backbone, self.inputs)
        if backbone.digest is not None:
            return
        if self._is_fresh_failure(backbone.name):
            raise EdenError(f"pretraining {backbone.label} failed in another process just now")
        pretrain(backbone, self.inputs, self.watch.say)
        if backbone.problem is None:
            records.clear_failure(self.out, backbone.name)
            self.trackers.pretraining(self.out / "checkpoints" / backbone.name, backbone.label, backbone.seed)

    def _give_up(self, slot: Slot) -> None:
        """Skip a cell whose task or backbone is not available; store a failure or missing weights once."""
        problem = slot.problem or slot.backbone.problem
        name = f"task-{slot.task}" if slot.problem else slot.backbone.name
        if problem is not None and problem.kind in ("failed", "excused") and not self._is_fresh_failure(name):
            self._store_failure(name, problem, slot)
        self._end(slot, problem)

    def _end(self, slot: Slot, problem: Problem | None) -> None:
        slot.problem = problem
        slot.state = problem.kind if problem else "ran"
        self._stopped = self._stopped or (slot.state == "failed" and self.on_error == "stop")
        ended = sum(other.state in ("ran", "failed", "missing", "excused") for other in self.plan.slots)
        self.watch.cell(ended, max(ended, self._total), f"{slot}: {_ending(slot)}")

    def _store_failure(self, name: str, problem: Problem, slot: Slot, cell: Cell | None = None) -> None:
        content = {
            "what": str(slot) if cell else name,
            "kind": problem.kind,
            "method": slot.backbone.label,
            "tasks": sorted({other.task for other in self.plan.slots if other.backbone is slot.backbone}),
            "error": problem.text,
            "traceback": problem.traceback,
            "cell": cell and cell.__dict__,
            "command": self._redo_command(slot),
            "provenance": self._same,
        }
        try:
            records.write_failure(self.out, name, content)
        except StoreFailed as error:
            raise StoreFailed(f"{error}; the failure was: {problem.text}") from error

    def _redo_command(self, slot: Slot) -> str:
        return record_sections.redo_command(slot.job(self.plan), slot.seed, self.inputs)

    def _written(self) -> list[Path]:
        """List the files of all records and failures."""
        return [*(self.out / "records").glob("[!.]*"), *(self.out / "failures").glob("[!.]*")]

    def _is_fresh(self, path: Path) -> bool:
        """Return whether a file was written since this run began, by another process; clocks are not compared."""
        return atomic.identity(path) not in (None, self._before.get(path))

    def _is_fresh_failure(self, name: str) -> bool:
        return self._is_fresh(self.out / "failures" / f"{name}.json")


def pretrain(backbone: Backbone, inputs: Inputs, say: Callable[[str], None]) -> None:
    """Pretrain a backbone in its folder, resuming an interrupted pretraining. The caller holds its lock.

    Where it fails, ``backbone.problem`` says why.
    """
    started = time.perf_counter()
    say(f"pretraining {backbone.label} on {backbone.dataset}{_seed(backbone)}")
    (result,) = execute(pretraining_job(backbone), inputs)
    if result.problem is not None:
        backbone.problem = result.problem
        return
    backbone.digest = result.weights
    took = time.perf_counter() - started
    say(f"pretrained {backbone.label}{_seed(backbone)} in {took:.0f} s: {backbone.folder}")


def _seed(backbone: Backbone) -> str:
    return f", seed {backbone.seed}" if backbone.seed else ""


def _ending(slot: Slot) -> str:
    if slot.record is not None and slot.problem is None:
        return f"{slot.record.score.name} {slot.record.value:.4f} in {slot.record.seconds:.1f} s"
    return f"{STATES[slot.state]}: {slot.problem.text}" if slot.problem else STATES[slot.state]
