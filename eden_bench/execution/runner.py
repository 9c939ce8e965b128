"""Run a plan's cells: lock, pretrain, launch, store what comes back; a failed cell does not stop the others.

Several processes may work on one output folder: a cell or a pretraining is claimed by a kernel file lock, which
dies with its process, so nothing is done twice and nobody waits for the dead. What another process holds is put
off and looked at again. Workers compute; only this process claims and stores.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from eden_bench import preemption, records
from eden_bench.contracts import Cell
from eden_bench.devices import cpu_threads
from eden_bench.errors import EdenError, StoreFailed
from eden_bench.execution import locks, pretraining
from eden_bench.execution.backbones import STATES, Backbone, Problem, find_checkpoint
from eden_bench.execution.execute import Result
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import Job, pretraining_job
from eden_bench.execution.launchers.choice import make_launcher
from eden_bench.execution.launchers.launcher import Launch, Launcher
from eden_bench.execution.ledger import Ledger
from eden_bench.execution.plan import Plan, Slot
from eden_bench.execution.queue import Queue
from eden_bench.execution.watch import Silent, Watch
from eden_bench.trackers import Trackers

OnError = Literal["continue", "stop"]
_LOOK_AGAIN_S = 0.1


@dataclass
class _Work:
    """What a launcher was given under one ticket: a pretraining, or cells by seed."""

    backbone: Backbone | None = None
    cells: dict[int, tuple[Slot, Cell]] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)


@dataclass
class Runner:
    """Executes one plan.

    Attributes:
        force: run cells anew although they are stored; the old record moves to ``superseded/``.
        only_failed: run only what failed before.
        on_error: "stop" ends the run at the first failure, and what other workers compute then.
        launch: where jobs are computed.
    """

    plan: Plan
    inputs: Inputs
    watch: Watch = field(default_factory=Silent)
    trackers: Trackers = field(default_factory=Trackers)
    force: bool = False
    only_failed: bool = False
    on_error: OnError = "continue"
    launch: Launch = field(default_factory=Launch)
    _stopped: bool = False
    _total: int = 0
    _ended: int = 0
    _told: bool = False
    _running: dict[int, _Work] = field(default_factory=dict)
    _tickets: Iterator[int] = field(default_factory=itertools.count)

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
            if left_out := self.plan.left_out_text:
                self.watch.say(left_out)
            self._claims = stack.enter_context(contextlib.closing(locks.Claims(self.out)))
            self._ledger = Ledger(self.plan, self.inputs, self.trackers)
            waiting = self._sort_out()
            self._total = len(waiting)
            self._queue = Queue(waiting, self.plan.looked_at)
            if waiting and not self._stopped:
                self._launcher = stack.enter_context(self._launched())
                self._work_off()

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
        names = {f"task-{slot.task}" for slot in self.plan.slots if slot.problem is None}
        names |= {slot.backbone.name for slot in self.plan.slots if slot.backbone.digest is not None}
        for name in names:
            records.clear_failure(self.out, name)

    def _names(self, slot: Slot) -> set[str]:
        """Return the names under which a failure of this cell may be stored."""
        names = {f"task-{slot.task}", slot.backbone.name}
        return names if slot.backbone.digest is None else {*names, slot.cell(self.inputs.threads).id}

    def _work_off(self) -> None:
        """Start what can be started, store what has ended, until nothing is left."""
        while (self._queue or self._running) and not self._stopped:
            preemption.check()
            self._start_what_can()
            if self._running:
                self._receive(*self._launcher.wait())
            elif self._queue and not self._stopped:
                self._wait_for_others()

    @contextlib.contextmanager
    def _launched(self) -> Iterator[Launcher]:
        token, plugins = f"driver-{uuid.uuid4().hex[:12]}", self.plan.ask.plugins
        with locks.claim(self.out, token, wait=False):
            try:
                made = make_launcher(self.launch, self.inputs, token=token, plugins=plugins, say=self.watch.say)
                with contextlib.closing(made):
                    yield made
            finally:
                locks.forget(self.out, token)

    def _wait_for_others(self) -> None:
        if not self._told:
            self._told = True
            self.watch.say(f"another process works on the {len(self._queue)} cells that are left: waiting for it")
        time.sleep(_LOOK_AGAIN_S)

    def _start_what_can(self) -> None:
        """Start jobs in the plan's order while there is room; cells that have to wait keep their places.

        Pretrainings, which others wait for, go first where there are several workers; one is left to the cells.
        """
        held, launcher = set[str](), self._launcher
        for backbone in self._queue.unpretrained if launcher.workers > 1 else ():
            pretrainings = sum(work.backbone is not None for work in self._running.values())
            if launcher.free and pretrainings + 1 < launcher.workers and not self._stopped:
                self._bring(backbone, held)
        for slot in self._queue.look():
            if not launcher.free or self._stopped:
                break
            if self._begin(slot, held):
                self._queue.take(slot)

    def _begin(self, slot: Slot, held: set[str]) -> bool:
        """Start a cell, or end it where there is nothing to compute; return False if it has to wait."""
        if not self._bring(slot.backbone, held):
            return False
        if slot.backbone.problem:
            self._give_up(slot)
            return True
        work = _Work()
        if self._queue.waits_for_network(slot) or not self._claim(slot, work):
            return False
        if work.cells:
            self._add_mates(slot, work)
            self._start(slot.job(self.plan).of_seeds(work.cells), work)
        return True

    def _add_mates(self, slot: Slot, work: _Work) -> None:
        """Let other seeds of the same task, backbone and shots share a cell's job, as many as make a pack."""
        pack = self.launch.pack or self.inputs.settings.at_once
        for mate in self._queue.mates(slot) if pack > 1 else ():
            if self._claim(mate, work):
                self._queue.take(mate)
            if len(work.cells) >= pack or self._stopped:
                return

    def _claim(self, slot: Slot, work: _Work) -> bool:
        """Claim a cell for a job, or end it where it is known; return False if another process holds it."""
        cell = slot.cell(self.inputs.threads)
        if not self._claims.take(cell.id):
            return False
        stored = self._ledger.stored(cell, only_fresh=self.force)
        if stored is not None:
            slot.record, slot.state = stored, "reused"
            self._let_go(slot, cell)
        elif (problem := self._ledger.known_problem(slot, cell)) is not None:
            self._end(slot, problem)
            self._let_go(slot, cell)
        else:
            work.cells[slot.seed] = (slot, cell)
        return True

    def _bring(self, backbone: Backbone, held: set[str]) -> bool:
        """Find a backbone's weights or start to pretrain it; return whether it is there, or known not to come."""
        if backbone.digest or backbone.problem:
            return True
        name = backbone.name
        if name in self._claims or name in held:
            return False
        if not self._claims.take(name):
            held.add(name)
            return False
        try:
            find_checkpoint(backbone, self.inputs)
            if backbone.digest is None and self._ledger.is_fresh_failure(name):
                raise EdenError(f"pretraining {backbone.label} failed in another process just now")
        except StoreFailed:
            raise
        except (Exception, SystemExit) as error:  # the runner's edge
            backbone.problem = Problem.of(error)
        if backbone.digest is None and backbone.problem is None:
            self.watch.say(pretraining.beginning(backbone))
            self._start(pretraining_job(backbone), _Work(backbone))
            return False
        self._claims.release(name)
        return True

    def _start(self, job: Job, work: _Work) -> None:
        ticket = next(self._tickets)
        self._running[ticket] = work
        self._launcher.start(ticket, job)

    def _receive(self, ticket: int, result: Result) -> None:
        """Store what a worker has computed."""
        work = self._running[ticket]
        if work.backbone is not None:
            self._pretrained(work.backbone, result, work.started)
        elif result.seed is not None:
            self._finish(*work.cells.pop(result.seed), result)
        if not work.cells:
            del self._running[ticket]

    def _pretrained(self, backbone: Backbone, result: Result, started: float) -> None:
        pretraining.take_over(backbone, result, started, self.watch.say)
        if backbone.problem is None:
            records.clear_failure(self.out, backbone.name)
            self.trackers.pretraining(self.out / "checkpoints" / backbone.name, backbone.label, backbone.seed)
        self._claims.release(backbone.name)

    def _finish(self, slot: Slot, cell: Cell, result: Result) -> None:
        slot.problem = result.problem
        if result.problem is None and result.cell_id != cell.id:
            text = f"its worker computed cell {result.cell_id[:12]}, expected {cell.id[:12]}: it has other data or code"
            slot.problem = Problem("failed", text)
        if slot.problem is None:
            self._ledger.store(slot, result)
            if result.note:
                self.watch.say(f"{slot}: {result.note}")
        elif slot.problem.kind == "failed":
            self._ledger.store_failure(cell.id, slot.problem, slot, cell)
        self._end(slot, slot.problem)
        self._let_go(slot, cell)

    def _let_go(self, slot: Slot, cell: Cell) -> None:
        self._queue.ended(slot)
        self._claims.release(cell.id, done=slot.record is not None)

    def _give_up(self, slot: Slot) -> None:
        """Skip a cell whose task or backbone is not available; store a failure or missing weights once."""
        problem = slot.problem or slot.backbone.problem
        name = f"task-{slot.task}" if slot.problem else slot.backbone.name
        if problem is not None and problem.kind in ("failed", "excused") and not self._ledger.is_fresh_failure(name):
            self._ledger.store_failure(name, problem, slot)
        self._end(slot, problem)

    def _end(self, slot: Slot, problem: Problem | None) -> None:
        slot.problem = problem
        slot.state = problem.kind if problem else "ran"
        self._stopped = self._stopped or (slot.state == "failed" and self.on_error == "stop")
        self._ended += 1
        self.watch.cell(self._ended, max(self._ended, self._total), f"{slot}: {_ending(slot)}")


def _ending(slot: Slot) -> str:
    if slot.record is not None and slot.problem is None:
        return f"{slot.record.score.name} {slot.record.value:.4f} in {slot.record.seconds:.1f} s"
    return f"{STATES[slot.state]}: {slot.problem.text}" if slot.problem else STATES[slot.state]
