"""Workers on this machine: one process a GPU, or a number of CPU processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

from eden_bench import preemption
from eden_bench.errors import EdenError, UsageError
from eden_bench.execution.job import Job
from eden_bench.execution.launchers.pool import Event, Lost
from eden_bench.execution.launchers.worker import Setup

_LOOK_S = 1.0
"""How often a worker is looked after whose pipe a process of its own keeps open."""
_MOST_STARTS = 3
_RESERVE_S = 5.0
"""Of the grace that the system gives, kept for the driver's own end."""
_START = "import sys; from eden_bench.execution.launchers.process import main; main(*map(int, sys.argv[1:]))"


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    pipe: connection.Connection[Any, Any]
    ooms: int
    """Processes that the kernel had killed for memory before this one began."""
    is_ready: bool = False
    pretrains: bool = False
    """Whether its last job was a pretraining, whose state is worth saving."""


class Processes:
    """A crew of processes of this machine. Each sees one GPU, or none."""

    def __init__(self, setup: Setup, gpus: Sequence[str], workers: int) -> None:
        """Start the workers.

        Args:
            setup: of each.
            gpus: one for each worker, as CUDA_VISIBLE_DEVICES names it; empty on the CPU.
            workers: how many.
        """
        self.size, self._setup, self._gpus = workers, setup, gpus
        self._failed_starts = 0
        self._made: list[_Process] = []
        try:
            for number in range(workers):
                self._made.append(self._start(number))
        except BaseException:
            self.close()
            raise

    def send(self, worker: int, job: Job) -> None:
        """Send a job; one that has died meanwhile is found so by ``event``."""
        self._made[worker].pretrains = not job.task
        with contextlib.suppress(OSError):
            self._made[worker].pipe.send(job.to_json())

    def event(self) -> tuple[int, Event]:
        """Wait for the next message, or the end, of a worker.

        Raises:
            EdenError: workers die as they start.
            Preempted: the system asks this process to stop.
        """
        while True:
            preemption.check()
            ready = connection.wait([made.pipe for made in self._made], timeout=_LOOK_S)
            for number, made in enumerate(self._made):
                if made.pipe in ready or made.process.poll() is not None:
                    return number, self._heard(number, made)

    def _heard(self, number: int, made: _Process) -> Event:
        try:
            if made.process.poll() is None or made.pipe.poll():
                said: Event = made.pipe.recv()
                made.is_ready, self._failed_starts = True, 0
                return said
        except (EOFError, OSError):
            pass
        return self._lost(number, made)

    def _lost(self, number: int, made: _Process) -> Lost:
        """Start another worker in the place of one that has died."""
        preemption.check()  # it may have been asked as well
        cause = cause_of(_end(made), out_of_memory=kernel_ooms() > made.ooms)
        self._failed_starts += not made.is_ready
        if self._failed_starts >= _MOST_STARTS:
            raise EdenError(f"a worker {cause} as it started, {self._failed_starts} times: see what it said above")
        self._made[number] = self._start(number)
        return Lost(cause)

    def _start(self, number: int) -> _Process:
        ours, theirs = socket.socketpair()
        variables = {**os.environ, **self._setup.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        if self._gpus:
            variables["CUDA_VISIBLE_DEVICES"] = self._gpus[number]
        with theirs:
            command = [sys.executable, "-P", "-c", _START, str(theirs.fileno()), str(os.getpid())]
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command, env=variables, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        made = _Process(process, connection.Connection(ours.detach()), kernel_ooms())
        made.pipe.send(self._setup)
        return made

    def close(self) -> None:
        """Kill all workers and what they started, and wait for their end.

        Where the system asks to stop, those that pretrain are asked first and have most of the grace to save.
        """
        saving = [made for made in self._made if made.pretrains] if preemption.requested() else []
        for made in self._made:
            made.process.terminate() if made in saving else _kill(made.process)
        for made in saving:
            with contextlib.suppress(subprocess.TimeoutExpired):
                made.process.wait(max(0.0, preemption.left_s() - _RESERVE_S))
            _kill(made.process)
        for made in self._made:
            _end(made)


def visible_gpus(devices: Sequence[str], per_gpu: int) -> list[str]:
    """Return one entry of CUDA_VISIBLE_DEVICES a worker; all GPUs of this process where no device is named.

    Raises:
        UsageError: there is no such GPU.
    """
    import torch

    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    known = named or [str(number) for number in range(torch.cuda.device_count())]
    numbers = [int(device.partition(":")[2] or 0) for device in devices] or range(len(known))
    for number in numbers:
        if number >= len(known):
            raise UsageError(f"device cuda:{number} is not on this machine, which has {len(known)} CUDA devices")
    return [known[number] for number in numbers for _ in range(per_gpu)]


def cause_of(code: int, *, out_of_memory: bool) -> str:
    """Say how a process ended.

    >>> cause_of(-9, out_of_memory=True)
    'was killed by signal 9 (SIGKILL), as the machine ran out of memory'
    >>> cause_of(3, out_of_memory=False)
    'ended with exit code 3'
    """
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    memory = out_of_memory and -code == signal.SIGKILL
    return f"was killed by signal {-code} ({name})" + (", as the machine ran out of memory" if memory else "")


def kernel_ooms() -> int:
    """Count the processes that this machine's kernel has killed for want of memory; 0 where it does not say."""
    try:
        counts = dict(line.split() for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return 0
    return int(counts.get("oom_kill", 0))


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with all that it started: it leads a session of its own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()


def _end(made: _Process) -> int:
    """Wait for a worker's end, and end what it left running; return its exit code."""
    made.pipe.close()
    code = made.process.wait()
    _kill(made.process)
    return code
