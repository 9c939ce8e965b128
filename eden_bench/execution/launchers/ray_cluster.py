"""Workers on a Ray cluster: long-lived actors, some a GPU, each of which computes one job at a time.

The cluster is one of our own on this machine unless an address is given; nothing is found by itself, since that may be
another user's. Ray 2.56 and later show every GPU to what asked for none, so a CPU worker hides them itself.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eden_bench import preemption
from eden_bench.errors import EdenError, UsageError
from eden_bench.execution.execute import Result
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.pool import Event, Lost
from eden_bench.execution.launchers.worker import Hello, Setup, Unstorable, Worker
from eden_bench.settings import available_cores

_LEAST = (2, 56)
_LOOK_S, _AGAIN_S = 1.0, 0.5
_MOST_STARTS = 3
_STORE_BYTES = 128 * 1024**2
"""Object store of our own cluster: only records pass through it."""
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
"""No telemetry; no environment made anew on each node; no warning of what we do ourselves."""


class Actor:
    """A worker inside a Ray process. Nothing that can fail is in its constructor: Ray would not hand that on."""

    def __init__(self, setup: Setup) -> None:
        self._worker = Worker(setup)

    def begin(self) -> Hello:
        """Set up; as ``Worker.begin``."""
        return self._worker.begin()

    def answers(self, text: str) -> Iterator[Result | Unstorable]:
        """Compute a job; as ``Worker.answers``."""
        yield from self._worker.answers(text)


class Actors:
    """A crew of Ray actors. Ray starts those that die again, on another node where theirs is gone."""

    def __init__(self, setup: Setup, launch: Launch, say: Callable[[str], None]) -> None:
        self._ray, self._folder = _library(), ""
        self._calls: dict[Any, int] = {}
        self._later: list[tuple[float, int]] = []
        self._failed_starts: dict[int, int] = {}
        self._actors: list[Any] = []
        try:
            self._join(setup, launch)
            self._fill(setup, launch, say)
        except BaseException:
            self.close()
            raise

    def send(self, worker: int, job: Job) -> None:
        """Send a job."""
        call = self._actors[worker].answers.options(num_returns="streaming")
        self._calls[call.remote(job.to_json())] = worker

    def event(self) -> tuple[int, Event]:
        """Wait for what the next actor says.

        Raises:
            EdenError: workers die as they start.
            Preempted: the system asks this process to stop.
        """
        while True:
            preemption.check()
            self._greet(now=time.monotonic())
            if not self._calls:
                time.sleep(_AGAIN_S)
                continue
            for call in self._ray.wait(list(self._calls), num_returns=1, timeout=_LOOK_S)[0]:
                if (said := self._heard(call)) is not None:
                    return said

    def _heard(self, call: Any) -> tuple[int, Event] | None:  # noqa: ANN401 - a reference, or a generator of them
        """Return what a call says; None at its end, or where an actor is not there yet."""
        worker, is_job = self._calls[call], hasattr(call, "__next__")
        try:
            said: Event = self._ray.get(next(call) if is_job else call)
        except StopIteration:
            del self._calls[call]
            return None
        except self._ray.exceptions.RayError as error:
            del self._calls[call]
            self._later.append((time.monotonic() + _AGAIN_S, worker))
            if is_job:
                return worker, Lost(_cause(error))
            self._count_start(worker, error)
            return None
        if not is_job:
            del self._calls[call]
            self._failed_starts.pop(worker, None)
        return worker, said

    def _count_start(self, worker: int, error: Exception) -> None:
        """Count an actor that died before it was ready; one that is only being started again is none."""
        gone = isinstance(error, self._ray.exceptions.ActorDiedError)
        self._failed_starts[worker] = self._failed_starts.get(worker, 0) + gone
        if self._failed_starts[worker] >= _MOST_STARTS:
            raise EdenError(f"a worker {_cause(error)} as it started, {_MOST_STARTS} times")

    def _greet(self, now: float) -> None:
        """Ask those to begin who died a moment ago."""
        due = [worker for at, worker in self._later if at <= now]
        self._later = [(at, worker) for at, worker in self._later if at > now]
        for worker in due:
            self._calls[self._actors[worker].begin.remote()] = worker

    def _join(self, setup: Setup, launch: Launch) -> None:
        """Join the cluster that was named, or start one."""
        if self._ray.is_initialized():
            raise UsageError("this process is connected to a Ray cluster already: call ray.shutdown() first")
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if launch.ray_address is None:
            cpus = max(available_cores(), (launch.workers or 1) * setup.settings.threads)
            self._folder = tempfile.mkdtemp(prefix="eb-", dir=_short_folder())
            own = {"include_dashboard": False, "_temp_dir": self._folder, "object_store_memory": _STORE_BYTES}
            gpus = {"num_gpus": 0} if setup.settings.device == "cpu" else {}
            self._init("local", num_cpus=cpus, **own, **gpus, **quiet)
            return
        if "://" in launch.ray_address:
            raise UsageError(f"--ray-address {launch.ray_address}: expected HOST:PORT of the cluster, not Ray Client's")
        self._init(launch.ray_address, **quiet)

    def _init(self, address: str, **how: object) -> None:
        try:
            with _own_signals():
                self._ray.init(address=address, **how)
        except Exception as error:  # Ray raises bare ones
            what = "Ray did not start here" if address == "local" else f"--ray-address {address}"
            raise UsageError(f"{what}: {str(error).strip()}") from error

    def _fill(self, setup: Setup, launch: Launch, say: Callable[[str], None]) -> None:
        """Start the actors: as many as fit, or as are asked for."""
        on_cpu = setup.settings.device == "cpu"
        share = {"num_cpus": setup.settings.threads, "num_gpus": 0} if on_cpu else {"num_gpus": 1 / launch.per_gpu}
        what, each = ("CPU", setup.settings.threads) if on_cpu else ("GPU", 1 / launch.per_gpu)
        fit = sum(int(node["Resources"].get(what, 0) / each) for node in self._ray.nodes() if node["Alive"])
        self.size = launch.workers or fit
        if not fit:
            raise UsageError(f"no node of the cluster has {each:g} {what}s, as one worker needs")
        gpus = sum(node["Resources"].get("GPU", 0) for node in self._ray.nodes() if node["Alive"])
        if on_cpu and gpus:
            say(f"the cluster's {gpus:g} GPUs are not used: this process has none, or --device says cpu")
        if self.size > fit:
            say(f"{fit} of {self.size} workers fit the cluster as it is: the others begin as nodes join")
        kind = self._ray.remote(max_restarts=-1, max_task_retries=0)(Actor)
        for number in range(self.size):
            self._actors.append(kind.options(**{"num_cpus": 0, **share}, scheduling_strategy="SPREAD").remote(setup))
            self._calls[self._actors[number].begin.remote()] = number

    def close(self) -> None:
        """Kill the actors; leave the cluster, or end it if it is ours."""
        for actor in self._actors:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor, no_restart=True)
        self._ray.shutdown()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _library() -> Any:  # noqa: ANN401 - ray, untyped where it is not installed
    """Import Ray.

    Raises:
        UsageError: it is not installed, or too old.
    """
    try:
        found = version("ray")
    except PackageNotFoundError:
        raise UsageError("--launcher ray needs Ray: pip install 'eden-bench[ray]'") from None
    if tuple(map(int, found.split(".")[:2])) < _LEAST:
        raise UsageError(f"Ray {found} is installed, expected 2.56 or later: pip install 'eden-bench[ray]'")
    os.environ.update(_QUIET)
    import ray

    return ray


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers of the signals that ask it to stop: Ray puts its own in their place."""
    before = {number: signal.getsignal(number) for number in preemption.SIGNALS}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _short_folder() -> str | None:
    """Return where our cluster's files lie: a socket's whole path may have 107 bytes."""
    return "/tmp" if os.access("/tmp", os.W_OK) else None  # noqa: S108 - mkdtemp makes a private folder there


def _cause(error: Exception) -> str:
    if "low on memory" in str(error):
        return "was killed by Ray, as its node ran out of memory"
    return f"died, or its node did ({type(error).__name__})"
