"""Compute jobs where they were sent: the function around ``execute`` that every launcher calls, and a worker's set-up.

Nothing here imports torch, numpy or OpenCV before a worker has set its threads and devices.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from eden_bench import errors, registry
from eden_bench.devices import THREAD_VARIABLES, cpu_threads, free_device_memory
from eden_bench.errors import CellsFailed, DataMissing, EdenError, StoreFailed, UsageError
from eden_bench.execution import locks, networks
from eden_bench.execution.execute import Result, execute
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import Job
from eden_bench.settings import Settings

_PASSED_ON = ("EDEN_BENCH_", "TORCH_", "HF_", "CUBLAS_", "PYTHONHASHSEED")


def computed(job: Job, inputs: Inputs) -> Iterator[Result]:
    """Execute a job; put the networks that others will look at into OUT/networks, and free the device's memory.

    Raises:
        StoreFailed: a checkpoint, a cache or a network cannot be written.
    """
    for result in execute(job, inputs):
        if result.network:
            networks.put(inputs.settings.out, result.cell_id, result.network)
        if result.problem is not None:
            free_device_memory(inputs.device)
        yield replace(result, network=b"")


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a worker needs to begin."""

    settings: Settings
    token: str
    """Name of a lock in OUT that the driver holds: who does not see it works in another folder."""
    plugins: tuple[str, ...] = ()
    folder: str = "."
    """The driver's current folder, where plugin files and weights may lie."""
    memory_share: float = 1.0
    """Share of its GPU's memory."""

    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of the driver's environment that results or downloads may depend on."""

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables that must be set before torch, NumPy or OpenCV are imported."""
        threads = dict.fromkeys(THREAD_VARIABLES, self._threads)
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.settings.device == "cpu" else {}
        return {**self.variables, **threads, **hidden}

    @property
    def _threads(self) -> str:
        return str(self.settings.threads)


@dataclass(frozen=True, kw_only=True)
class Hello:
    """What a worker says of itself when it is ready, or why it is not."""

    host: str
    process: int
    device: str
    gpus: int = 0
    """GPUs that it sees."""
    threads: int = 0
    """Threads in effect."""
    has_cache: bool = True
    """Whether it sees the driver's cache; it decodes images for itself otherwise."""
    error: EdenError | None = None


@dataclass(frozen=True)
class Begun:
    """Said before a job is computed: from here on its worker's death counts against it."""


@dataclass(frozen=True)
class Unstorable:
    """Said in place of a result where a checkpoint, a cache or a network cannot be written."""

    text: str


class Worker:
    """A long-lived worker: keeps decoded data and encoders, and computes one job at a time."""

    def __init__(self, setup: Setup) -> None:
        self._setup, self._settings = setup, setup.settings
        self._stack = contextlib.ExitStack()

    def begin(self) -> Hello:
        """Set threads and devices, load plugins; say what is seen."""
        os.environ.update(self._setup.environment)
        hello = Hello(host=platform.node(), process=os.getpid(), device=self._settings.device)
        try:
            self._check_folders()
            return self._ready(hello)
        except (Exception, SystemExit) as error:  # the edge of a worker: the driver says it
            kind = DataMissing if isinstance(error, DataMissing) else UsageError
            name = "" if isinstance(error, EdenError) else f"{type(error).__name__}: "
            return replace(hello, error=kind(f"worker on {hello.host}: {name}{error}"))

    def _check_folders(self) -> None:
        out, data = self._settings.out, self._settings.data
        if not locks.exists(out, self._setup.token):
            raise UsageError(f"it does not see {out} of the driver: give --out on a disk that all machines share")
        if data is not None and not data.is_dir():
            raise DataMissing(f"it does not see {data}: give --data on a disk that all machines share")

    def _ready(self, hello: Hello) -> Hello:
        import torch

        if Path(self._setup.folder).is_dir():
            os.chdir(self._setup.folder)
        has_cache = self._settings.cache.is_dir()
        self._stack.enter_context(locks.presence(self._settings.out))
        registry.load_plugin_files(map(Path, self._setup.plugins))
        self._inputs = Inputs(self._settings)
        self._stack.enter_context(cpu_threads(self._settings.threads))
        if self._settings.device != "cpu" and self._setup.memory_share < 1:
            torch.cuda.set_per_process_memory_fraction(self._setup.memory_share)
        gpus, threads = torch.cuda.device_count(), self._checked_threads()
        return replace(hello, gpus=gpus, threads=threads, has_cache=has_cache, device=self._inputs.device)

    def answers(self, text: str) -> Iterator[Begun | Result | Unstorable]:
        """Compute the job whose JSON this is; yield each seed's result as it ends."""
        yield Begun()
        job = Job.from_json(text)
        self._checked_threads()
        try:
            with self._alone(job):
                for result in computed(job, self._inputs):
                    yield portable(result)
        except StoreFailed as error:
            yield Unstorable(str(error))

    @contextlib.contextmanager
    def _alone(self, job: Job) -> Iterator[None]:
        """Hold a pretraining's folder alone: a worker that outlives its driver by a moment may still write there."""
        if job.task:
            yield
            return
        with locks.claim(self._settings.out, f"{job.folder}-worker", wait=True):
            yield

    def _checked_threads(self) -> int:
        import torch

        threads = torch.get_num_threads()
        if threads != self._settings.threads:
            raise EdenError(f"{threads} threads are in effect, expected {self._settings.threads}: a library set them")
        return threads


def passed_on() -> dict[str, str]:
    """Return the variables of this process that workers on other machines get too."""
    return {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}


def portable(result: Result) -> Result:
    """Return a result that another process can read: an error of a plugin's own class becomes one of ours."""
    problem = result.problem
    if problem is None or problem.error.__module__ == errors.__name__:
        return result
    ours = next((kind for kind in problem.error.__mro__ if kind.__module__ == errors.__name__), CellsFailed)
    return replace(result, problem=replace(problem, error=ours))
