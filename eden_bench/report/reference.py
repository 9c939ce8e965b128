"""Reference results: records of our methods on the phantom at ``quick``, which travel with the package.

``report --with-reference`` puts a user's methods beside them, without pretraining the others. They are phantom: toy
images, toy networks. A reference record is taken only where a table of the user's has the same data, splits, protocol,
score and numbers version; another number of threads is noted below the table. What has none is said with the reason.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

from eden_bench import records
from eden_bench.errors import UsageError
from eden_bench.files import atomic
from eden_bench.records import Record
from eden_bench.report.tables import Report, Table

ARCHIVE = Path(__file__).parents[1] / "reference" / "quick.tar.xz"
_SAYS = (
    "reference results that travel with eden-bench, phantom at quick: they show a recipe's cost and that it runs, not "
    "which method helps on patients"
)


class _Key(NamedTuple):
    """What a reference record must share with a user's, by the words that say so."""

    data: str
    splits: str
    protocol: str
    score: str
    numbers_version: int


@dataclass(frozen=True)
class Reference:
    """The reference records that stand beside a user's, and why others do not.

    Attributes:
        records: those taken.
        left_out: task and shots to the reason, in words.
    """

    records: Sequence[Record]
    left_out: Mapping[str, str]

    def tested(self, own: Sequence[Record]) -> str:
        """Return the one method of the user's, whose rows are tested against the reference; "" where there are more."""
        methods = {record.label for record in own}
        return methods.pop() if self.records and len(methods) == 1 else ""

    def noted(self, report: Report) -> Report:
        """Return a report whose tables name the rows that are reference results, and why they have none."""
        ids = {record.id for record in self.records}
        return replace(report, tables=tuple(self._noted(table, ids) for table in report.tables))

    def _noted(self, table: Table, ids: set[str]) -> Table:
        labels = [row.label for row in table.rows if {record.id for record in row.cells.values()} <= ids]
        reason = self.left_out.get(_place(table.task, table.shots), "")
        notes = [f"{', '.join(labels)}: {_SAYS}"] if labels else []
        notes += [f"no reference results beside these rows: {reason}"] if reason else []
        return replace(table, notes=(*table.notes, *notes))


NONE = Reference((), {})


def beside(own: Sequence[Record], cache: Path, archive: Path = ARCHIVE) -> Reference:
    """Return the reference records that may stand in the tables of a user's records; of other methods than theirs.

    Args:
        own: the user's records.
        cache: folder that the archive is unpacked to, once.
        archive: the package's, or another.

    Raises:
        UsageError: the archive is not there.
        StoreFailed: the cache cannot be written.
    """
    shipped = load(cache, archive)
    taken: list[Record] = []
    left_out: dict[str, str] = {}
    for place, group in _by_place(own).items():
        there = _by_place(shipped).get(place, [])
        keys, labels = set(map(_key, group)), {record.label for record in group}
        fitting = [record for record in there if _key(record) in keys and record.label not in labels]
        taken += fitting
        if not fitting:
            left_out[place] = _reason(group, there)
    return Reference(taken, left_out)


def load(cache: Path, archive: Path = ARCHIVE) -> list[Record]:
    """Read the reference records, unpacked in the cache. Raises as ``beside``."""
    if not archive.is_file():
        raise UsageError(f"--with-reference: {archive} is not there: install eden-bench again")
    packed = archive.read_bytes()
    folder = cache / "reference" / hashlib.sha256(packed).hexdigest()[:16]
    if not folder.is_dir():
        with atomic.folder(folder) as made, tarfile.open(fileobj=io.BytesIO(packed)) as content:
            content.extractall(made, filter="data")
    return records.load(folder)


def _by_place(found: Iterable[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in found:
        groups.setdefault(_place(record.cell.task, record.cell.shots), []).append(record)
    return groups


def _place(task: str, shots: int | None) -> str:
    return task if shots is None else f"{task} at {shots} shots"


def _key(record: Record) -> _Key:
    cell = record.cell
    score = f"{record.score.name} {cell.score_version}"
    return _Key(cell.data, cell.splits, record.protocol_digest, score, cell.code)


def _reason(own: Sequence[Record], there: Sequence[Record]) -> str:
    """Say why no reference record fits: the fields in which the nearest one differs."""
    if not there:
        return "there are none of this task and number of shots"
    pairs = list(product(dict.fromkeys(map(_key, own)), dict.fromkeys(map(_key, there))))
    differing = min(
        ([name for name in _Key._fields if getattr(a, name) != getattr(b, name)] for a, b in pairs), key=len
    )
    if not differing:
        return "these rows are of the same methods"
    mine, theirs = next((a, b) for a, b in pairs if all(getattr(a, n) != getattr(b, n) for n in differing))
    told = [f"{name.replace('_', ' ')} {_short(mine, name)} against {_short(theirs, name)}" for name in differing]
    return f"they are of other {'; '.join(told)}"


def _short(key: _Key, name: str) -> str:
    return str(getattr(key, name))[:12]
