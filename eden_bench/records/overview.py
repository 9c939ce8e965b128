"""Look over a results folder: which cells are stored, without reading again each record that was found whole before.

What a plan asks of stored records stands in one file, ``OUT/.records.json``, with the stamps (size, times, inode) of
each record's files when it was read and validated. A record whose stamps differ, as after an edit, is read again;
whatever else is asked of one reads it, and validates it. The file may be deleted: the next run reads every record.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from eden_bench.contracts import Cell
from eden_bench.digests import canonical_json
from eden_bench.errors import EdenError
from eden_bench.files import atomic, plain_text
from eden_bench.garbage import uncollected
from eden_bench.records.processes import each_told
from eden_bench.records.record import CASES, RECORD, Record
from eden_bench.records.store import SCHEMA, Warn, folders, read, warn_stderr

INDEX = ".records.json"
_FORMAT = f"1, schema {SCHEMA}"
_MOST_BYTES = 1 << 30
_SETTLED_NS = 2_000_000_000
"""A record younger than this when the file is written is not noted: an edit within the same tick of the disk's clock
would leave the same stamps."""


class _Kind(NamedTuple):
    """What cells that differ in their seed alone have in common."""

    cell: Cell
    protocol: str


class _Entry(NamedTuple):
    kind: int
    seed: int
    seconds: float
    stamps: str


class _Told(NamedTuple):
    """What is noted of a record, as its reader tells it."""

    kind: str
    seed: int
    seconds: float


class _Unread(Mapping[str, Any]):
    """The content of a record, read and validated when something is asked of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _content(self) -> Mapping[str, Any]:
        return read(self._folder).content

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - JSON
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)


@dataclass(frozen=True)
class Glanced(Record):
    """A stored record of which cell, protocol and time are known, and the rest is read when it is asked for.

    What is asked for raises RecordDamaged where the record is not what was written.
    """

    kind: _Kind
    seed: int
    took: float

    @property
    def id(self) -> str:
        """The cell's id, 64 hex digits."""
        return self.folder.name

    @property
    def cell(self) -> Cell:
        """Everything that can change the scores."""
        return replace(self.kind.cell, seed=self.seed)

    @property
    def protocol(self) -> str:
        """Name of the protocol."""
        return self.kind.protocol

    @property
    def seconds(self) -> float:
        """Wall-clock time the cell took."""
        return self.took


def glance(out: Path, warn: Warn = warn_stderr, *, keep: bool = True) -> list[Record]:
    """Return all records of a run, sorted by id; damaged ones are skipped with a warning that names them.

    Args:
        out: the folder of the run.
        warn: called with one line for each damaged record.
        keep: note what was read for the next time; False in a dry run, which writes nothing.
    """
    known = _Index.of(out)
    with uncollected():
        found = list(_each(out, known, warn))
    if keep and known.changed:
        with contextlib.suppress(EdenError, OSError):  # without it the next run takes longer, no more
            known.write(out, {record.folder.name for record in found})
    return found


def _each(out: Path, known: _Index, warn: Warn) -> Iterator[Record]:
    stamped = [(folder, _stamps(folder)) for folder in folders(out / "records")]
    places = [(folder, stamps, known.get(folder, stamps)) for folder, stamps in stamped]
    unknown = [folder for folder, _, record in places if record is None]
    anew = each_told(unknown, read, _told)  # after their stamps were taken
    for folder, stamps, record in places:
        if record is not None:
            yield record
        elif isinstance(told := next(anew), str):
            warn(f"{told}; it is left out")
        else:
            yield known.note(folder, stamps, told)


def state(out: Path) -> str:
    """Return a digest of which records there are, and of the stamps of their files."""
    stamps = "".join(f"{folder.name}{_stamps(folder)}" for folder in folders(out / "records"))
    return hashlib.sha256(stamps.encode()).hexdigest()


class _Index:
    """The file's content, and what has been read since."""

    def __init__(self, kinds: list[_Kind], entries: dict[str, _Entry]) -> None:
        self._kinds, self._entries = kinds, entries
        self._numbers = {_text(kind): number for number, kind in enumerate(kinds)}
        self._young: dict[str, int] = {}
        self.changed = False

    @classmethod
    def of(cls, out: Path) -> _Index:
        """Read the file; nothing is known where there is none, or it is not of this version."""
        try:
            content = json.loads(plain_text.read_bytes(out / INDEX, _MOST_BYTES))
            if content["format"] != _FORMAT:
                return cls([], {})
            kinds = [_kind(cell, protocol) for cell, protocol in content["kinds"]]
            made = cls(kinds, {name: _Entry(*entry) for name, entry in content["cells"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls([], {})
        return made if made._is_sound() else cls([], {})

    def _is_sound(self) -> bool:
        """Return whether cells of each kind still have the ids they were stored under."""
        one_of_each = {entry.kind: (name, entry) for name, entry in self._entries.items()}
        return set(one_of_each) <= set(range(len(self._kinds))) and all(
            replace(self._kinds[entry.kind].cell, seed=entry.seed).id == name for name, entry in one_of_each.values()
        )

    def get(self, folder: Path, stamps: tuple[int, ...] | None) -> Record | None:
        """Return a record that has not changed since it was noted; None if it has to be read."""
        entry = self._entries.get(folder.name)
        if entry is None or stamps is None or entry.stamps != _hashed(stamps):
            return None
        return self._glanced(folder, entry)

    def note(self, folder: Path, stamps: tuple[int, ...] | None, told: _Told) -> Record:
        """Note a record that was read after its stamps were taken, unless there were none, and return it."""
        number = self._numbers.setdefault(told.kind, len(self._kinds))
        if number == len(self._kinds):
            self._kinds.append(_kind(*json.loads(told.kind)))
        entry = _Entry(number, told.seed, told.seconds, _hashed(stamps) if stamps else "")
        if stamps is not None:
            self._entries[folder.name], self._young[folder.name] = entry, max(stamps)
            self.changed = True
        return self._glanced(folder, entry)

    def _glanced(self, folder: Path, entry: _Entry) -> Glanced:
        return Glanced(folder, _Unread(folder), self._kinds[entry.kind], entry.seed, entry.seconds)

    def write(self, out: Path, there: set[str]) -> None:
        """Replace the file by what is known of the records that are there and have settled."""
        with atomic.aside(out / INDEX) as temporary:
            temporary.touch()
            settled = temporary.stat().st_mtime_ns - _SETTLED_NS
            kept = {
                name: entry
                for name, entry in self._entries.items()
                if name in there and self._young.get(name, 0) < settled
            }
            kinds = [json.loads(_text(kind)) for kind in self._kinds]
            temporary.write_text(json.dumps({"format": _FORMAT, "kinds": kinds, "cells": kept}), encoding="utf-8")


def _told(record: Record) -> _Told:
    """Tell of a record what is noted of it."""
    cell = record.cell
    return _Told(_text(_Kind(cell, record.protocol)), cell.seed, record.seconds)


def _text(kind: _Kind) -> str:
    """Serialise a kind to JSON: its cell without the seed, and the protocol's name."""
    return canonical_json([{name: value for name, value in vars(kind.cell).items() if name != "seed"}, kind.protocol])


def _kind(cell: Mapping[str, Any], protocol: str) -> _Kind:
    return _Kind(Cell(seed=-1, **cell), protocol)


def _stamps(folder: Path) -> tuple[int, ...] | None:
    """Return size, times and inode of a record's files; None where one is not there."""
    try:
        both = [os.stat(f"{folder}/{name}") for name in (RECORD, CASES)]  # noqa: PTH116 - a hundred thousand times
    except OSError:
        return None
    return tuple(value for one in both for value in (one.st_size, one.st_ino, one.st_mtime_ns, one.st_ctime_ns))


def _hashed(stamps: tuple[int, ...]) -> str:
    return hashlib.blake2b(repr(stamps).encode(), digest_size=12).hexdigest()
