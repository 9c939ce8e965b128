"""Keep a run's books: what is stored, what failed just now in another process, and write both. Only a driver does."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from eden_bench import records
from eden_bench.contracts import NETWORK_OF, Cell
from eden_bench.errors import StoreFailed
from eden_bench.execution import networks, record_sections
from eden_bench.execution.backbones import Backbone, Problem
from eden_bench.execution.execute import Result
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import Plan, Slot
from eden_bench.files import atomic
from eden_bench.records import Record, provenance
from eden_bench.trackers import Trackers


@dataclass
class Ledger:
    """The books of one plan's run; made when the run begins."""

    plan: Plan
    inputs: Inputs
    trackers: Trackers
    _before: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Note what is there, so that what another process writes meanwhile is told from it."""
        for folder in (self.out / "records", self.out / "failures"):
            self._before |= atomic.identities(folder)
        self._forget_looked_at()

    @property
    def out(self) -> Path:
        """Output folder of records."""
        return self.inputs.settings.out

    def stored(self, cell: Cell, *, only_fresh: bool) -> Record | None:
        """Return a cell's record, if it is stored; with only_fresh, if it was stored since the run began."""
        found = records.stored(self.out, cell.id)
        return None if found is None or (only_fresh and not self._is_fresh(found.folder)) else found

    def known_problem(self, slot: Slot, cell: Cell) -> Problem | None:
        """Return why a cell need not be tried: it, or the fine-tuning it looks at, failed since the run began."""
        if self.is_fresh_failure(cell.id):
            return Problem("failed", "it failed in another process just now")
        if (of := cell.protocol.get(NETWORK_OF)) and self.is_fresh_failure(str(of)):
            problem = Problem("failed", "the fine-tuning whose network it looks at failed in this run")
            self.store_failure(cell.id, problem, slot, cell)
            return problem
        return None

    def store(self, slot: Slot, result: Result) -> None:
        """Store a cell's record, and let the network go that it looked at."""
        records.supersede(self.out, result.cell_id)
        slot.record = records.put(self.out, result.cell_id, result.files)
        records.clear_failure(self.out, result.cell_id)
        self.trackers.cell(slot.record)
        if looked_at := slot.record.cell.protocol.get(NETWORK_OF):
            networks.discard(self.out, looked_at)

    def store_failure(self, name: str, problem: Problem, slot: Slot, cell: Cell | None = None) -> None:
        """Store why a cell failed, or why a task or backbone is not available."""
        content = {
            "what": str(slot) if cell else name,
            "kind": problem.kind,
            "method": slot.backbone.label,
            "tasks": self._tasks[slot.backbone],
            "error": problem.text,
            "traceback": problem.traceback,
            "cell": cell and cell.__dict__,
            "command": record_sections.redo_command(slot.job(self.plan), slot.seed, self.inputs),
            "provenance": self._provenance,
        }
        try:
            records.write_failure(self.out, name, content)
        except StoreFailed as error:
            raise StoreFailed(f"{error}; the failure was: {problem.text}") from error

    def is_fresh_failure(self, name: str) -> bool:
        """Return whether a failure was stored since the run began; clocks are not compared."""
        return self._is_fresh(self.out / "failures" / f"{name}.json")

    def _forget_looked_at(self) -> None:
        """Let networks go whose look is stored: a process was killed between storing that and deleting them."""
        if kept := networks.names(self.out):
            looks = (slot.record.cell.protocol.get(NETWORK_OF) for slot in self.plan.slots if slot.record)
            for looked_at in kept.intersection(map(str, looks)):
                networks.discard(self.out, looked_at)

    def _is_fresh(self, path: Path) -> bool:
        return atomic.identity(path) not in (None, self._before.get(path))

    @cached_property
    def _provenance(self) -> dict[str, object]:
        return provenance.gather(self.inputs.device, self.inputs.threads)

    @cached_property
    def _tasks(self) -> dict[Backbone, list[str]]:
        found: dict[Backbone, set[str]] = {}
        for slot in self.plan.slots:
            found.setdefault(slot.backbone, set()).add(slot.task)
        return {backbone: sorted(tasks) for backbone, tasks in found.items()}
