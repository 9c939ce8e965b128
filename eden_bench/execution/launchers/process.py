"""A worker process: answers jobs that come through a pipe, and ends when the process at its other end does.

SIGTERM and SIGUSR1 end it at a safe point, with exit code 75: a pretraining saves its state first.
"""

from __future__ import annotations

import ctypes
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from eden_bench import preemption
from eden_bench.errors import Preempted
from eden_bench.execution.launchers.worker import Worker

_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int) -> None:
    """Work until the pipe is closed.

    Args:
        descriptor: the inherited end of the pipe.
        parent: process that started this one.
    """
    os.dup2(2, 1)  # what a library prints is no data
    _end_with(parent)
    connection = Connection(descriptor)
    os.set_inheritable(descriptor, False)
    worker = Worker(connection.recv())
    jobs: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, jobs), daemon=True).start()
    with preemption.heeded():
        try:
            connection.send(worker.begin())
            while True:
                for answer in worker.answers(jobs.get()):
                    connection.send(answer)
        except Preempted as stop:
            sys.exit(stop.exit_code)


def _listen(connection: Connection, jobs: queue.SimpleQueue[str]) -> None:
    """Pass jobs on; at the end of the pipe end the process, whatever it is computing."""
    try:
        while True:
            jobs.put(connection.recv())
    except (EOFError, OSError):
        os._exit(0)


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, on Linux; elsewhere the pipe's end does it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's, who ends us
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
