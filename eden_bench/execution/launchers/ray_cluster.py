"""Workers on a Ray cluster: long-lived actors, some a GPU, each of which computes one job at a time.

The cluster is one of our own on this machine unless an address is given; nothing is found by itself, since that may be
another user's. Ray 2.56 and later show every GPU to what asked for none, so a CPU worker hides them itself.
"""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eden_bench import preemption
from eden_bench.errors import EdenError, Preempted, UsageError
from eden_bench.execution.execute import Result
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.devices import kernel_ooms
from eden_bench.execution.launchers.launcher import Launch
from eden_bench.execution.launchers.pool import Event, Lost
from eden_bench.execution.launchers.ray_folder import own_folder
from eden_bench.execution.launchers.worker import Begun, Hello, Setup, Unstorable, Worker
from eden_bench.settings import available_cores

_LEAST = (2, 56)
_LOOK_S = 1.0
_REACH_S = 10.0
"""For which something has to answer at a cluster's address."""
_MOST_STARTS = 3
"""Of each worker, while nothing else is heard."""
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

    def answers(self, text: str) -> Iterator[Begun | Result | Unstorable]:
        """Compute a job; as ``Worker.answers``."""
        yield from self._worker.answers(text)


class Actors:
    """A crew of Ray actors. One that died is replaced by a new one, wherever there is room.

    Ray itself restarts none: of an actor that it restarts it does not say why it had died.
    """

    def __init__(self, setup: Setup, launch: Launch, say: Callable[[str], None]) -> None:
        self._ray, self._stack = _library(joins=launch.ray_address is not None), contextlib.ExitStack()
        self._calls: dict[Any, int] = {}
        self._failed_starts = 0
        self._ooms: dict[int, int] = {}
        """Of each worker of this machine: processes that the kernel had killed for memory before it was ready."""
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
            for call in self._ray.wait(list(self._calls), num_returns=1, timeout=_LOOK_S)[0]:
                if (said := self._heard(call)) is not None:
                    return said

    def _heard(self, call: Any) -> tuple[int, Event] | None:  # noqa: ANN401 - a reference, or a generator of them
        """Return what a call says; None at its end, or where an actor died before it was ready."""
        worker, is_job = self._calls[call], hasattr(call, "__next__")
        try:
            said: Event = self._ray.get(next(call) if is_job else call)
        except StopIteration:
            del self._calls[call]
            return None
        except self._ray.exceptions.RayError as error:
            return self._lost(call, is_job, cause_of(error, out_of_memory=self._ran_out_of_memory(worker)))
        self._failed_starts = 0
        if isinstance(said, Hello):
            del self._calls[call]
            self._ooms |= {worker: kernel_ooms()} if said.host == platform.node() else {}
        return worker, said

    def _lost(self, call: Any, is_job: bool, cause: str) -> tuple[int, Event] | None:  # noqa: ANN401
        """Put another actor in the place of one that died."""
        worker = self._calls[call]
        self._calls = {other: at for other, at in self._calls.items() if at != worker}  # all to the dead
        self._failed_starts += not is_job
        if self._failed_starts >= _MOST_STARTS * self.size:
            raise EdenError(f"workers die as they start, {self._failed_starts} times in a row: the last one {cause}")
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actors[worker])
        self._ooms.pop(worker, None)
        self._begin(worker)
        return (worker, Lost(cause)) if is_job else None

    def _begin(self, worker: int) -> None:
        """Start an actor, and ask it to set up."""
        self._actors[worker] = self._make()
        self._calls[self._actors[worker].begin.remote()] = worker

    def _ran_out_of_memory(self, worker: int) -> bool:
        """Return whether this machine's kernel killed for memory since a worker here was ready."""
        return kernel_ooms() > self._ooms.get(worker, sys.maxsize)

    def _join(self, setup: Setup, launch: Launch) -> None:
        """Join the cluster that was named, or start one."""
        if self._ray.is_initialized():
            raise UsageError("this process is connected to a Ray cluster already: call ray.shutdown() first")
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        if launch.ray_address is None:
            cpus = max(available_cores(), (launch.workers or 1) * setup.settings.threads)
            folder = self._stack.enter_context(own_folder())
            own = {"include_dashboard": False, "_temp_dir": folder, "object_store_memory": _STORE_BYTES}
            gpus = {"num_gpus": 0} if setup.settings.device == "cpu" else {}
            self._init("local", num_cpus=cpus, **own, **gpus, **quiet)
            return
        self._init(reached(launch.ray_address), **quiet)

    def _init(self, address: str, **how: object) -> None:
        try:
            with _own_signals():
                self._ray.init(address=address, **how)
        except Exception as error:  # Ray raises bare ones
            what = "Ray did not start here" if address == "local" else f"--ray-address {address}: no cluster was joined"
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
        kind = self._ray.remote(max_restarts=0, max_task_retries=0)(Actor)
        kind = kind.options(**{"num_cpus": 0, **share}, scheduling_strategy="SPREAD")
        self._make: Callable[[], Any] = lambda: kind.remote(setup)
        self._actors = [None] * self.size
        for number in range(self.size):
            self._begin(number)

    def close(self) -> None:
        """Kill the actors; leave the cluster, or end it if it is ours."""
        for actor in filter(None, self._actors):
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)
        self._ray.shutdown()
        self._stack.close()


def _library(*, joins: bool = False) -> Any:  # noqa: ANN401 - ray, untyped where it is not installed
    """Import Ray.

    Args:
        joins: a cluster that is there already: Ray tries its address for a minute then, not for many.

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
    if joins:
        os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")
    import ray
    from ray._private import worker

    worker.listen_error_messages = lambda *ignored: None  # it prints of deaths to stdout, which is the caller's
    return ray


def reached(address: str) -> str:
    """Wait until something listens at a cluster's address, which is not for long; return it.

    Ray itself would try for minutes and say nothing.

    Args:
        address: HOST:PORT, or "auto" for the one that Ray finds here.

    Raises:
        UsageError: nothing listens there.
        Preempted: the system asks this process to stop.
    """
    host, _, port = (_found() if address == "auto" else address).rpartition(":")
    until = time.monotonic() + _REACH_S
    while True:
        preemption.check()
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH_S / 2).close()
        except (OSError, OverflowError) as error:
            if time.monotonic() >= until:
                what = address if address != "auto" else f"auto, which is {host}:{port}"
                raise UsageError(
                    f"--ray-address {what}: nothing answers there ({error}); expected the address that "
                    "'ray start --head' printed, or without --ray-address a cluster of our own is started here"
                ) from error
        else:
            return f"{host}:{port}"
        time.sleep(_LOOK_S)


def _found() -> str:
    """Return the address of a cluster that runs here, as Ray finds it.

    Raises:
        UsageError: it finds none.
    """
    from ray._private import services

    try:
        return str(services.canonicalize_bootstrap_address_or_die("auto"))
    except (ConnectionError, ValueError) as error:
        raise UsageError("--ray-address auto: no Ray cluster runs on this machine: name one by HOST:PORT") from error


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep this process's handlers of the signals that ask it to stop: Ray puts its own in their place.

    Raises:
        Preempted: the system asked meanwhile.
    """
    before, asked = {number: signal.getsignal(number) for number in preemption.SIGNALS}, False
    try:
        yield
    except SystemExit as stop:  # what Ray's own handler makes of SIGTERM
        if not (asked := stop.code == signal.SIGTERM):
            raise
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if asked:
        signal.raise_signal(signal.SIGTERM)  # to whom it was meant for
        raise Preempted(signal.SIGTERM.name)


def cause_of(error: Exception, *, out_of_memory: bool) -> str:
    """Say why a call gave no answer, by Ray's error of it.

    Args:
        error: its node's memory monitor killed it, its node or process died, or its own code raised.
        out_of_memory: whether the kernel of its machine killed processes for memory meanwhile.
    """
    raised = getattr(error, "cause", None)
    if isinstance(raised, Exception):
        return f"stopped with {type(raised).__name__}: {raised}"
    if type(error).__name__ == "OutOfMemoryError":
        return "was killed by Ray, as its node ran out of memory"
    if "node has died" in str(error):
        return "died with its node"
    return "died" + (", as the machine ran out of memory" if out_of_memory else f" ({type(error).__name__})")
