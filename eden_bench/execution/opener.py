"""Open the tasks and find the backbones of a plan, each once; collect what is wrong with each."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench import protocols, registry
from eden_bench.contracts import SEEDED, Task, shots_are_valid
from eden_bench.contracts.members import is_source
from eden_bench.data.dataset_folders import own_folder, reader
from eden_bench.errors import DataMissing, NotBuilt, UsageError, WeightsRefused
from eden_bench.execution.backbones import Backbone, Problem, checkpoint_folders, find_checkpoint, make_backbone
from eden_bench.execution.inputs import Inputs, OpenedTask, pretraining_dataset
from eden_bench.execution.request import Ask
from eden_bench.records import Record


class Opener:
    """Opens each task and backbone of a plan once, and collects the problems."""

    def __init__(self, ask: Ask, inputs: Inputs, past: Sequence[Record]) -> None:
        self._ask, self._inputs = ask, inputs
        self._recorded = set() if inputs.build else {record.cell.task for record in past}
        self._backbones: dict[tuple[str, str | None, int], Backbone] = {}
        self._tasks: dict[str, tuple[OpenedTask | None, Problem | None]] = {}
        self.phantom = self._is_phantom()
        self.protocol = protocols.load(ask.protocol or ("quick" if self.phantom else "paper"))

    def task(self, name: str) -> tuple[OpenedTask | None, Problem | None]:
        """Open a task. Errors in the protocol are raised, problems with the data are stored."""
        if name not in self._tasks:
            self._tasks[name] = self._open(name)
        return self._tasks[name]

    def with_looked_at(self, task: Task) -> tuple[OpenedTask | None, Problem | None, OpenedTask | None]:
        """Open a task and the one that it looks at, without which it cannot be opened either."""
        opened, problem = self.task(task.name)
        if not task.looks_at:
            return opened, problem, None
        looks_at, its_problem = self.task(task.looks_at)
        return (opened if looks_at else None), problem or its_problem, looks_at

    def seeds(self, task: Task, shots: int | None, backbone: Backbone) -> tuple[int, ...]:
        """Return the seeds of a task's cells: those asked for, or one where nothing depends on them."""
        repeats = task.repeats_for(self.protocol.task_protocol(task), shots)
        return self._ask.seeds if repeats == "seeds" or backbone.digest == SEEDED else (0,)

    def looked_at_in_vain(self, name: str, asked: Sequence[str]) -> bool:
        """Return whether nothing that looks at a task can be opened, so that nobody would want its networks."""
        tasks = [registry.tasks.get(other) for other in asked]
        return all(self.with_looked_at(task)[1] for task in tasks if task.looks_at == name)

    def _open(self, name: str) -> tuple[OpenedTask | None, Problem | None]:
        task = registry.tasks.get(name)
        self.protocol.task_protocol(task)
        try:
            if not self._inputs.build:
                self._glance(task)
                if name not in self._recorded:
                    return None, None
            opened = self._inputs.task(name, self.protocol)
        except NotBuilt:
            return None, None
        except (Exception, SystemExit) as error:  # the edge: one task's data must not stop the others
            return None, _problem(error)
        for shots in self._ask.shots:
            shots_are_valid(shots, opened.open.data["train"])
        return opened, None

    def _glance(self, task: Task) -> None:
        """In a dry run, validate ``--shots`` against the training split without building any cache."""
        if self._inputs.settings.data is not None:
            self._inputs.index(task.dataset)
        if any(self._ask.shots):
            made = task.lists(self._inputs.index(task.dataset), self.protocol.task_protocol(task))
            for shots in self._ask.shots if made else ():
                shots_are_valid(shots, len(made[0]["train"]) if made else 0)

    def backbones(self, task: str) -> list[Backbone]:
        """Return the backbones of all methods and variants for a task, one a pretraining; tasks of a modality share."""
        found = []
        for method in self._ask.methods:
            made = registry.methods.get(self.protocol.method_of(method))
            brought = is_source(made)
            dataset = None if brought else self._ask.pretrain_data or pretraining_dataset(registry.tasks.get(task))
            seeds = (0,) if brought else self._ask.pretrain_seeds
            found += [self._backbone(method, dataset, seed) for seed in seeds]
        return found

    def _backbone(self, method: str, dataset: str | None, seed: int) -> Backbone:
        if (method, dataset, seed) not in self._backbones:
            backbone = make_backbone(method, self.protocol, dataset, seed)
            self._backbones[method, dataset, seed] = backbone
            try:
                self._identify(backbone)
            except NotBuilt:
                pass  # its checkpoint cannot be told from another's: its cells count as new
            except (Exception, SystemExit) as error:  # the edge: one method must not stop the others
                backbone.problem = _problem(error)
        return self._backbones[method, dataset, seed]

    def _identify(self, backbone: Backbone) -> None:
        if backbone.dataset is None:
            backbone.digest = backbone.source.weights_digest()
        elif self._inputs.build or checkpoint_folders(self._inputs.settings.out, backbone.method):
            find_checkpoint(backbone, self._inputs)

    def _is_phantom(self) -> bool:
        for name in self._ask.tasks:
            dataset = registry.tasks.get(name).dataset
            if self._inputs.settings.data is None and own_folder(reader(dataset)) is None:
                return True
            try:
                return self._inputs.index(dataset).phantom
            except DataMissing:
                continue
        return False


def _problem(error: Exception | SystemExit) -> Problem:
    """Return what keeps a cell from running; raise what the user must fix first."""
    if isinstance(error, UsageError) and not isinstance(error, WeightsRefused):
        raise error
    return Problem.of(error)
