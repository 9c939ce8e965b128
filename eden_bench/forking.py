"""Do many things by several processes that share the memory of this one, in order, as if it did them by itself.

Processes are forked where that is safe: on Linux, from a process of one thread that has not loaded PyTorch, whose
threads a fork loses, or for work that never calls it. What one of them cannot do, as when it is killed or raises, is
done here, and raises here.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn, TypeVar

from eden_bench.devices import THREAD_VARIABLES
from eden_bench.settings import available_cores

T = TypeVar("T")
R = TypeVar("R")
_MOST = 4
"""Processes: what more of them made could not be taken from them in time."""
_ENDED = object()


def processes(*, beside_torch: bool = False) -> int:
    """Return how many processes are forked for something long; 0 where none may be, or there is one core.

    Args:
        beside_torch: even where PyTorch is loaded, for work that never calls it.
    """
    threaded = {"ray"} if beside_torch else {"ray", "torch"}
    if sys.platform != "linux" or threading.active_count() > 1 or threaded & sys.modules.keys():
        return 0
    cores = available_cores()
    return min(_MOST, cores) if cores > 1 else 0


def each_of(items: Sequence[T], work: Callable[[T], R], count: int) -> Iterator[R]:
    """Yield what the work makes of each item, in order.

    Args:
        items: of which a process does every count-th.
        work: what is done; its results are pickled, and its exceptions lead to its being done again here.
        count: of processes; below 2 for this one alone.
    """
    others: list[_Other] = []
    count = min(count, len(items))
    try:
        for place in range(count if count > 1 else 0):
            others.append(_Other(items[place::count], work, others))
        for number, item in enumerate(items):
            result: Any = others[number % count].next() if others else _ENDED
            yield work(item) if result is _ENDED else result
    finally:
        for other in others:
            other.end()


class _Other:
    """A process that works, as this one sees it."""

    def __init__(self, items: Sequence[T], work: Callable[[T], R], earlier: Iterable[_Other]) -> None:
        self._from, to = Pipe(duplex=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: NumPy's live through a fork
            self._process = os.fork()
        if not self._process:
            for each in earlier:
                each._from.close()  # else it would be listened to by this one when nobody else does
            self._from.close()
            _send_all(to, items, work)
        to.close()

    def next(self) -> Any:  # noqa: ANN401 - what the work makes
        """Receive the next result; _ENDED if the process has ended before."""
        try:
            return self._from.recv()
        except (EOFError, OSError):  # at its end, or in the midst of a result
            return _ENDED

    def end(self) -> None:
        """Let the process end, which it does when nobody listens."""
        self._from.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process, 0)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let BLAS work on one thread, since there are as many processes as cores."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # for one that is loaded later
    if "numpy" in sys.modules:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            yield
    else:
        yield


def _send_all(to: Connection, items: Iterable[T], work: Callable[[T], R]) -> NoReturn:
    """Send the result of each item, in the forked process, which ends with it and writes nothing else."""
    try:
        with _one_thread():
            for item in items:
                to.send(work(item))
    finally:
        os._exit(0)
