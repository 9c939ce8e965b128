"""Hand jobs to workers that may die: whoever is free takes the next, and a cell whose worker died is tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from eden_bench.errors import StoreFailed
from eden_bench.execution.backbones import Problem
from eden_bench.execution.execute import Result
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.worker import Begun, Hello, Unstorable


@dataclass(frozen=True)
class Lost:
    """Said of a worker that died; another takes its place."""

    cause: str


Event = Hello | Begun | Result | Unstorable | Lost
_MOST_UNBEGUN = 20
"""Workers that a cell may lose before one of them says that it began: enough for any machines that are taken back."""


class Crew(Protocol):
    """Workers somewhere: they say hello when they are ready, answer to jobs, and may be lost."""

    size: int

    def send(self, worker: int, job: Job) -> None:
        """Hand a job to a worker that is ready and idle."""
        ...

    def event(self) -> tuple[int, Event]:
        """Wait for the next thing that a worker says, or that is said of it."""
        ...

    def close(self) -> None:
        """End all workers at once."""
        ...


@dataclass(frozen=True)
class _Task:
    ticket: int
    job: Job
    tries: int = 0
    """Workers that died computing it."""
    unbegun: int = 0
    """Workers that died before they began with it: taken away, not killed by it."""
    has_begun: bool = False

    @property
    def seeds(self) -> tuple[int | None, ...]:
        return self.job.seeds or (None,)


class Pool:
    """A launcher whose jobs are computed by a crew.

    A few jobs more than there are workers are held ready, so that no worker waits for the driver to store a record;
    which worker takes one is decided when it is free.
    """

    def __init__(self, crew: Crew, *, retries: int, say: Callable[[str], None]) -> None:
        self._crew, self._retries, self._say = crew, retries, say
        self._backlog: deque[_Task] = deque()
        self._busy: dict[int, _Task] = {}
        self._idle: deque[int] = deque()
        self._ended: deque[tuple[int, Result]] = deque()
        self._told: set[str] = set()

    @property
    def workers(self) -> int:
        """Jobs that are computed at once."""
        return self._crew.size

    @property
    def free(self) -> bool:
        """Whether another job may be started."""
        return len(self._busy) + len(self._backlog) < self.workers + 1 + self.workers // 4

    def start(self, ticket: int, job: Job) -> None:
        """Take a job."""
        self._backlog.append(_Task(ticket, job))
        self._dispatch()

    def wait(self) -> tuple[int, Result]:
        """Wait for the next result; a cell whose workers all died is a problem.

        Raises:
            StoreFailed: a worker cannot write a checkpoint or a cache.
            UsageError: a worker cannot begin.
            DataMissing: it does not see the data.
        """
        while not self._ended:
            self._hear(*self._crew.event())
            self._dispatch()
        return self._ended.popleft()

    def close(self) -> None:
        """End all workers at once."""
        self._crew.close()

    def _dispatch(self) -> None:
        while self._idle and self._backlog:
            worker, task = self._idle.popleft(), self._backlog.popleft()
            self._busy[worker] = task
            self._crew.send(worker, task.job)

    def _hear(self, worker: int, said: Event) -> None:
        if isinstance(said, Unstorable):
            raise StoreFailed(said.text)
        if isinstance(said, Hello):
            self._welcome(worker, said)
        elif isinstance(said, Begun):
            self._busy[worker] = replace(self._busy[worker], has_begun=True)
        elif isinstance(said, Lost):
            self._replace(worker, said.cause)
        else:
            self._take(worker, said)

    def _welcome(self, worker: int, hello: Hello) -> None:
        if hello.error:
            raise hello.error
        if not hello.has_cache:
            self._say_once(f"{hello.host} does not see the cache: its first worker decodes the images there")
        self._idle.append(worker)

    def _take(self, worker: int, result: Result) -> None:
        task = self._busy[worker]
        self._ended.append((task.ticket, result))
        left = tuple(seed for seed in task.job.seeds if seed != result.seed)
        if left:
            self._busy[worker] = replace(task, job=task.job.of_seeds(left))
        else:
            del self._busy[worker]
            self._idle.append(worker)

    def _replace(self, worker: int, cause: str) -> None:
        """Try again what a lost worker had, seed by seed, since one of them may have cost it its life."""
        if worker in self._idle:
            self._idle.remove(worker)
        if worker not in self._busy:
            return
        task = self._busy.pop(worker)
        for seed in reversed(task.seeds):
            one = task.job if seed is None else task.job.of_seeds([seed])
            self._again(_after_a_death(replace(task, job=one)), seed, cause)

    def _again(self, task: _Task, seed: int | None, cause: str) -> None:
        if task.tries > self._retries or task.unbegun > _MOST_UNBEGUN:
            times = task.tries + task.unbegun
            text = f"its worker {cause}" + (f", {times} times" if times > 1 else "")
            self._ended.append((task.ticket, Result(seed, problem=Problem("failed", text))))
            return
        how = f" again ({task.tries} of {self._retries})" if task.has_begun else " by another; it had not begun"
        self._say(f"a worker {cause}: {task.job} is tried{how}")
        self._backlog.appendleft(replace(task, has_begun=False))

    def _say_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._say(line)


def _after_a_death(task: _Task) -> _Task:
    """Count a worker's death against what it had begun; one that was taken before that counts apart."""
    if task.has_begun:
        return replace(task, tries=task.tries + 1)
    return replace(task, unbegun=task.unbegun + 1)
