"""Merge the records of several results folders into one; what disagrees is an error, and nothing is written then."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from eden_bench import records
from eden_bench.audit.storage import load as load_audits
from eden_bench.errors import DataDamaged, UsageError
from eden_bench.files import atomic, plain_text
from eden_bench.records import Record, RecordDamaged, Warn, warn_stderr

_JSON, _ID_DIGITS = "record.json", 64
_COMPARED = ("scores", "controls", "cases", "arrays", "training", "data", "marks", "checkpoint")
"""Sections in which two records of one cell must agree; titles, machine, time and command may differ."""


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What a merge did."""

    into: Path
    total: int
    """Records in the folder now."""
    copied: dict[Path, int]
    """Folder to how many of its records were copied."""
    shared: int
    """Records that were there already, or in an earlier folder, with equal content."""


def merge(sources: Sequence[Path], into: Path, warn: Warn = warn_stderr) -> Merged:
    """Copy the records, failures and audits of some results folders into another; checkpoints stay where they are.

    The same cell in two folders is one record if both say the same. Damaged records are left out with a warning.

    Args:
        sources: results folders; the first that has a cell gives its record.
        into: results folder; what it holds is kept.
        warn: called with one line for each record or audit that is left out.

    Raises:
        UsageError: a source holds no records.
        DataDamaged: two folders have other content for one cell; names both records.
        StoreFailed: the disk is full or read-only.
    """
    found = {folder: _whole(folder, warn) for folder in dict.fromkeys((into, *sources))}
    for folder in sources:
        if not found[folder]:
            raise UsageError(f"{folder} holds no records: name a results folder, as 'eden-bench run --out' writes it")
    chosen: dict[str, Record] = {}
    _agree([record for each in found.values() for record in each], chosen)
    new = {folder: [each for each in found[folder] if chosen[each.id] is each] for folder in found if folder != into}
    for record in (record for each in new.values() for record in each):
        records.supersede(into, record.id)  # one that lies there and is damaged
        records.put(into, record.id, dict(_files(record)))
    for folder in new:
        _copy_failures(folder, into, chosen)
        _copy_audits(folder, into, warn)
    copied = {folder: len(each) for folder, each in new.items()}
    return Merged(into=into, total=len(chosen), copied=copied, shared=sum(map(len, found.values())) - len(chosen))


def _whole(folder: Path, warn: Warn) -> list[Record]:
    """Load the records of a folder of which every file is the one that was written."""
    return [record for record in records.load(folder, warn) if _has_arrays(record, warn)]


def _has_arrays(record: Record, warn: Warn) -> bool:
    try:
        record.arrays_bytes()
    except RecordDamaged as error:
        warn(f"{error}; it is left out")
        return False
    return True


def _agree(found: Sequence[Record], chosen: dict[str, Record]) -> None:
    """Choose the first record of each cell; raise DataDamaged naming both if another says something else."""
    for record in found:
        first = chosen.setdefault(record.id, record)
        if differing := [name for name in _COMPARED if _said(first, name) != _said(record, name)]:
            raise DataDamaged(
                f"{first.folder} and {record.folder} are one cell with other {', '.join(differing)}, expected the same "
                f"(nothing was merged): repeat it with 'eden-bench run --replay {record.id[:12]}' on both machines and "
                "take the wrong one away"
            )


def _said(record: Record, section: str) -> object:
    """Return a section of a record without what may differ by machine: the path of a file of weights."""
    said = getattr(record.facts, section)
    return replace(said, file=None) if section == "checkpoint" else said


def _files(record: Record) -> Iterator[tuple[str, bytes]]:
    yield records.CASES, record.cases_bytes()
    if stored := record.arrays_bytes():
        yield records.ARRAYS, stored
    yield _JSON, (record.folder / _JSON).read_bytes()


def _copy_failures(folder: Path, into: Path, chosen: dict[str, Record]) -> None:
    """Copy the failures of cells that no folder has a record of."""
    for name in records.failures(folder, lambda line: None):
        path = into / "failures" / f"{name}.json"
        if len(name) == _ID_DIGITS and name not in chosen and not path.exists():
            atomic.write_bytes(path, plain_text.read_bytes(folder / "failures" / path.name))


def _copy_audits(folder: Path, into: Path, warn: Warn) -> None:
    """Copy audits; of two for one dataset the first stays, and the other is named."""
    there = load_audits(into, lambda line: None)
    for dataset, content in load_audits(folder, warn).items():
        target = into / "audit" / f"{dataset}.json"
        if Path(dataset).name != dataset:
            warn(f"{folder / 'audit'} has an audit of {dataset!r}, which is no file's name; it is left out")
        elif dataset not in there:
            atomic.write_json(target, content)
        elif there[dataset] != content:
            warn(f"the audit of {dataset} in {folder} differs from {target}, which is kept")
