"""Read many records by several processes, which validate them and parse the columns that will be asked for."""

from __future__ import annotations

import functools
import marshal
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eden_bench import preemption
from eden_bench.files.read_ahead import ReadAhead
from eden_bench.forking import each_of, processes
from eden_bench.records.record import CASES, RECORD, Record, RecordDamaged
from eden_bench.records.shared import Shared

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
Wanted = Callable[[Record], Collection[str]]
"""Which columns of a record's cases will be asked for; none if they are many, or not known."""
Read = Callable[[Path, Shared, Wanted | None], Record]
FEW = 2000
"""Records up to which one process is as fast."""
FILES = (RECORD, CASES)
"""Read of every record."""
_BLOCK = 200
_Entry = str | tuple[dict[str, Any], dict[str, bytes | int]]
"""Of a record: its content and columns; of a damaged one, what is wrong."""
_Block = tuple[list[_Entry], list[tuple[str, ...]]]
"""Entries, and the columns of text that they name by their numbers."""


def each_read(folders: Sequence[Path], read: Read) -> Iterator[Record | RecordDamaged]:
    """Yield every record in order, or what is wrong with it, as this process reads them."""
    shared, blocks = Shared(), _Blocks(folders, 0)

    def found(folder: Path) -> Record | RecordDamaged:
        try:
            return read(folder, shared, None)
        except RecordDamaged as error:
            return error

    return blocks.of_each(found)


def each_told(folders: Sequence[Path], read: Read, tell: Callable[[Record], T]) -> Iterator[T | str]:
    """Yield of every record in order what is asked of it, or what is wrong with it.

    Args:
        folders: of the records, which are read by several processes if they are many.
        read: reads and validates one.
        tell: is asked of one, without PyTorch; its answers are pickled.

    Raises:
        Preempted: the system asks this process to stop.
    """
    shared, blocks = Shared(), _Blocks(folders, processes(beside_torch=True) if len(folders) > FEW else 0)

    def told(folder: Path) -> T | str:
        try:
            return tell(read(folder, shared, None))
        except RecordDamaged as error:
            return str(error)

    for answer in blocks.of_each(told):
        preemption.check()
        yield answer


def read_by(count: int, folders: Sequence[Path], read: Read, wanted: Wanted) -> Iterator[Record | RecordDamaged]:
    """Yield every record in order, or what is wrong with it.

    Args:
        count: of processes.
        folders: of the records.
        read: reads and validates one.
        wanted: which columns are parsed on the way, for ``Record.columns``.
    """
    blocks = _Blocks(folders, count)
    shared, theirs, array_of = Shared(), Shared(), functools.cache(_array)

    def content_of(number: int) -> bytes:
        return marshal.dumps(_block(blocks.folders(number), read, wanted, theirs))

    for block, content in zip(blocks.each, blocks.by(content_of), strict=True):
        entries, told = marshal.loads(content)  # noqa: S302 - from ourselves
        known, met = list(map(array_of, told)), dict[int, Any]()
        yield from (_record(folder, entry, known, shared, met) for folder, entry in zip(block, entries, strict=True))


class _Blocks:
    """Folders in blocks, of which each of several processes reads every count-th."""

    def __init__(self, folders: Sequence[Path], count: int) -> None:
        self.each = [folders[start : start + _BLOCK] for start in range(0, len(folders), _BLOCK)]
        self._count, self._ahead = count, ReadAhead(FILES)

    def by(self, make: Callable[[int], T]) -> Iterator[T]:
        """Yield what is made of each block, called with its number."""
        try:
            yield from each_of(range(len(self.each)), make, self._count)
        finally:
            self._ahead.end()

    def of_each(self, make: Callable[[Path], T]) -> Iterator[T]:
        """Yield what is made of each folder."""
        for made in self.by(lambda number: list(map(make, self.folders(number)))):
            yield from made

    def folders(self, number: int) -> Iterator[Path]:
        """Yield the folders of a block, to be read; those of the process' next one are read ahead on a slow disk."""
        later = number + max(self._count, 1)
        return self._ahead.through(self.each[number], self.each[later] if later < len(self.each) else ())


def _array(texts: tuple[str, ...]) -> np.ndarray:
    import numpy as np

    return np.array(texts, dtype=object)


def _record(
    folder: Path, entry: _Entry, texts: Sequence[np.ndarray], shared: Shared, met: dict[int, Any]
) -> Record | RecordDamaged:
    """Return what an entry tells; numbers come as their bytes, text by its number, equal parts as one object."""
    import numpy as np

    if isinstance(entry, str):
        return RecordDamaged(entry)
    content, columns = entry
    ahead = {name: texts[each] if isinstance(each, int) else np.frombuffer(each) for name, each in columns.items()}
    record = Record(folder, shared.content(content, met), shared=shared, ahead=ahead)
    _ = record.facts  # while others read
    return record


def _block(folders: Iterable[Path], read: Read, wanted: Wanted, shared: Shared) -> _Block:
    """Read a block of records, in a process of several."""
    texts: dict[tuple[str, ...], int] = {}
    return [_entry(folder, read, wanted, shared, texts) for folder in folders], list(texts)


def _entry(folder: Path, read: Read, wanted: Wanted, shared: Shared, texts: dict[tuple[str, ...], int]) -> _Entry:
    try:
        record = read(folder, shared, wanted)
    except RecordDamaged as error:
        return str(error)
    return dict(record.content), {name: _told(each, texts) for name, each in record.ahead.items()}


def _told(column: np.ndarray, texts: dict[tuple[str, ...], int]) -> bytes | int:
    """Return numbers as their bytes, text as its number among those of the block."""
    if column.dtype != object:
        return column.tobytes()
    return texts.setdefault(tuple(column.tolist()), len(texts))
