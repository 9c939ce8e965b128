"""Read many records by several processes, each of which validates its share and parses columns that will be asked for.

Processes are forked, where the system forks and this process has one thread, before any library has started others.
What one of them cannot do any more, as when it is killed, is done here.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

from eden_bench.records.record import Record, RecordDamaged
from eden_bench.records.shared import Shared

if TYPE_CHECKING:
    import numpy as np

Wanted = Callable[[Record], Collection[str]]
"""Which columns of a record's cases will be asked for; none if they are many, or not known."""
Read = Callable[[Path, Shared], Record]
FEW = 2000
"""Records up to which one process is as fast."""
_MOST = 4
"""Processes: what more of them read could not be taken from them in time."""
_BLOCK = 200
_LENGTH = 8
_Entry = str | tuple[dict[str, Any], dict[str, Any]]
"""Of a record: its content and columns; of a damaged one, what is wrong."""


def count_for(records: int) -> int:
    """Return by how many processes so many records are read; 0 for none but this one."""
    if records <= FEW or sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
        return 0
    cores = len(os.sched_getaffinity(0))
    return min(_MOST, cores) if cores > 1 else 0


def each_read(folders: Iterable[Path], read: Read) -> Iterator[Record | RecordDamaged]:
    """Yield every record in order, or what is wrong with it, as this process reads them."""
    shared = Shared()
    return (_tried(folder, read, shared) for folder in folders)


def read_by(count: int, folders: Sequence[Path], read: Read, wanted: Wanted) -> Iterator[Record | RecordDamaged]:
    """Yield every record in order, or what is wrong with it.

    Args:
        count: of processes.
        folders: of the records.
        read: reads and validates one.
        wanted: which columns are parsed on the way, for ``Record.columns``.
    """
    blocks = [folders[start : start + _BLOCK] for start in range(0, len(folders), _BLOCK)]
    shared, others = Shared(), list[_Other]()
    try:
        for place in range(count):
            others.append(_Other(blocks[place::count], read, wanted, others))
        for number, block in enumerate(blocks):
            entries = others[number % count].next_block()
            for place, folder in enumerate(block):
                yield (
                    others[number % count].record(folder, entries[place], shared)
                    if entries
                    else _tried(folder, read, shared)
                )
    finally:
        for other in others:
            other.end()


def _tried(folder: Path, read: Read, shared: Shared) -> Record | RecordDamaged:
    try:
        return read(folder, shared)
    except RecordDamaged as error:
        return error


class _Other:
    """A process that reads blocks of records, as this one sees it."""

    def __init__(self, blocks: Sequence[Sequence[Path]], read: Read, wanted: Wanted, earlier: Iterable[_Other]) -> None:
        ours, theirs = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, of which there are none
            self._process = os.fork()
        if not self._process:
            for each in earlier:
                each._from.close()  # else it would be listened to by this one when nobody else does
            os.close(ours)
            _send_all(theirs, blocks, read, wanted)
        os.close(theirs)
        self._from: IO[bytes] = os.fdopen(ours, "rb")
        self._texts: list[np.ndarray] = []

    def next_block(self) -> list[_Entry] | None:
        """Receive the next block; None if the process has ended before."""
        length = int.from_bytes(self._from.read(_LENGTH), "little")
        content = self._from.read(length)
        return marshal.loads(content) if length and len(content) == length else None  # noqa: S302 - from ourselves

    def record(self, folder: Path, entry: _Entry, shared: Shared) -> Record | RecordDamaged:
        """Return what an entry tells."""
        if isinstance(entry, str):
            return RecordDamaged(entry)
        content, columns = entry
        ahead = {name: self._column(each) for name, each in columns.items()}
        return Record(folder, shared.content(content), shared=shared, ahead=ahead)

    def _column(self, told: bytes | list[str] | int) -> np.ndarray:
        """Return numbers from their bytes, text from the list of it or from the number of an earlier one."""
        import numpy as np

        if isinstance(told, bytes):
            return np.frombuffer(told)
        if isinstance(told, list):
            self._texts.append(np.array(told, dtype=object))
        return self._texts[-1 if isinstance(told, list) else told]

    def end(self) -> None:
        """Let the process end, which it does when nobody listens."""
        self._from.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process, 0)


def _send_all(to: int, blocks: Sequence[Sequence[Path]], read: Read, wanted: Wanted) -> NoReturn:
    """Read blocks and send them, in the forked process, which ends with it; whoever forked it does what is missing."""
    try:
        shared, known = Shared(), dict[tuple[str, ...], int]()
        with os.fdopen(to, "wb") as file:
            for block in blocks:
                content = marshal.dumps([_entry(folder, read, wanted, shared, known) for folder in block])
                file.write(len(content).to_bytes(_LENGTH, "little") + content)
    finally:
        os._exit(0)


def _entry(folder: Path, read: Read, wanted: Wanted, shared: Shared, known: dict[tuple[str, ...], int]) -> _Entry:
    try:
        record = read(folder, shared)
    except RecordDamaged as error:
        return str(error)
    try:
        names = wanted(record)
        columns: Mapping[str, np.ndarray] = record.columns(names) if names else {}
    except Exception:
        columns = {}
    return dict(record.content), {name: _told(each, known) for name, each in columns.items()}


def _told(column: np.ndarray, known: dict[tuple[str, ...], int]) -> bytes | list[str] | int:
    """Return a column as it is sent: numbers as their bytes, text once, and later its number."""
    if column.dtype != object:
        return column.tobytes()
    texts = tuple(column.tolist())
    if texts in known:
        return known[texts]
    known[texts] = len(known)
    return list(texts)
