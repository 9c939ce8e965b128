"""Read files before they are asked for, by several threads, where the disk makes a process wait.

On a network's disk, or on one that must first find them, a file costs a millisecond however small it is, and most disks
serve many at once. Files that are in memory already are not read twice: nothing is done before a process has waited.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

THREADS, _NAME = 16, "read-ahead"
_BLOCK = 1 << 20
_WAITED_S, _TIMES = 5e-4, 2.0
"""Seconds of waiting for a folder, and times as long as was worked, from which a disk is slow."""


class ReadAhead:
    """Looks after the folders that one process reads, a block after another.

    Args:
        names: of the files that are read of each folder.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._pool: ThreadPoolExecutor | None = None

    @property
    def slow(self) -> bool:
        """Whether the disk has made the process wait, so that threads read ahead."""
        return self._pool is not None

    def through(self, folders: Sequence[Path], later: Sequence[Path]) -> Iterator[Path]:
        """Yield folders, which are read by whoever asks for them.

        Args:
            folders: of one block.
            later: of the block that this process reads next, whose files threads read meanwhile if the disk is slow.
        """
        if self._pool is not None:
            for folder in later:
                self._pool.submit(self._read, folder)
        start, busy = time.perf_counter(), time.process_time()
        yield from folders
        worked = time.process_time() - busy
        waited = time.perf_counter() - start - worked
        if self._pool is None and waited > max(_WAITED_S * len(folders), _TIMES * worked):
            self._pool = ThreadPoolExecutor(THREADS, _NAME)

    def end(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None

    def _read(self, folder: Path) -> None:
        """Read a folder's files, which the system then holds; what is wrong with one is told when it is asked for."""
        for name in self._names:
            with contextlib.suppress(OSError), (folder / name).open("rb", buffering=0) as file:
                while file.read(_BLOCK):
                    pass
