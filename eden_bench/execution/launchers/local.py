"""Compute jobs in this process, one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from eden_bench.execution.execute import Result
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.worker import computed


class Local:
    """A launcher whose only worker is this process."""

    workers = 1

    def __init__(self, inputs: Inputs) -> None:
        self._inputs = inputs
        self._ticket, self._left = 0, 0
        self._results: Iterator[Result] = iter(())

    @property
    def free(self) -> bool:
        """Whether nothing is being computed."""
        return self._left == 0

    def start(self, ticket: int, job: Job) -> None:
        """Take a job; it is computed while somebody waits for its results."""
        self._ticket, self._left = ticket, len(job.seeds) or 1
        self._results = computed(job, self._inputs)

    def wait(self) -> tuple[int, Result]:
        """Compute the next result."""
        result = next(self._results)
        self._left -= 1
        return self._ticket, result

    def close(self) -> None:
        """Drop what is left."""
        self._results, self._left = iter(()), 0
