"""Store of records, ``OUT/records/<cell id>/``: written once, validated when read, moved aside when superseded."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eden_bench.contracts import Cell, Outcome, ScoreDefinition
from eden_bench.digests import canonical_json, digest, text_digest
from eden_bench.errors import EdenError, UsageError
from eden_bench.files import atomic, plain_text
from eden_bench.forking import processes
from eden_bench.garbage import uncollected
from eden_bench.printable import printable_line
from eden_bench.records import arrays
from eden_bench.records.processes import FEW, Wanted, each_read, read_by
from eden_bench.records.record import ARRAYS, CASES, RECORD, REMEDY, Record, RecordDamaged, reason
from eden_bench.records.shape import Misshapen, is_number
from eden_bench.records.shared import Shared

SCHEMA = 3
"""3: scores with unit, bounds and statistic, controls, arrays. 2: with a digest of itself; read as well. An edit of a
record without one could not be seen, so it is left out."""
_READABLE = (2, SCHEMA)
Warn = Callable[[str], None]
Files = Mapping[str, bytes]
"""File name to content: a record before it is stored."""


def warn_stderr(line: str) -> None:
    """Print one warning line."""
    print(f"warning: {printable_line(line)}", file=sys.stderr)  # noqa: T201


def render(cell: Cell, score: ScoreDefinition, outcome: Outcome, sections: Mapping[str, Any]) -> dict[str, bytes]:
    """Render a finished cell's record to the bytes of its files, validated and sealed with a digest.

    Args:
        cell: what was computed.
        score: definition of the primary score.
        outcome: what the task returned.
        sections: "task", "data", "marks", "checkpoint", "provenance", "command".

    Raises:
        EdenError: the outcome breaks its contract (a NaN score, columns of unequal length).
    """
    check_outcome(outcome, score)
    table = cases_csv(outcome.cases)
    stored = arrays.encode(outcome.arrays) if outcome.arrays else b""
    content = {
        "schema": SCHEMA,
        "id": cell.id,
        "cell": json.loads(canonical_json(cell)),
        "scores": {name: float(value) for name, value in outcome.scores.items()},
        "score": score.as_json(),
        "cases": {"rows": len(outcome.cases["case"]), "columns": list(outcome.cases), **_facts(table)},
        "training": outcome.training,
        **({"controls": {name: float(value) for name, value in outcome.controls.items()}} if outcome.controls else {}),
        **({"arrays": _facts(stored)} if stored else {}),
        **sections,
    }
    sealed = seal(json.loads(to_json(content)))
    if wrong := misshapen(Record(Path(), sealed)):
        raise EdenError(f"the record of {cell.method} on {cell.task} cannot be stored: {wrong}")
    return {CASES: table, **({ARRAYS: stored} if stored else {}), RECORD: to_json(sealed).encode()}


def put(out: Path, cell_id: str, files: Files) -> Record:
    """Store a rendered record; an existing one is kept.

    Raises:
        StoreFailed: the disk is full or read-only.
    """
    with atomic.folder(folder_of(out, cell_id)) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
    return read(folder_of(out, cell_id))


def scores_in(files: Files) -> dict[str, float]:
    """Parse the scores of a rendered record."""
    scores: dict[str, float] = json.loads(files[RECORD])["scores"]
    return scores


def write(out: Path, cell: Cell, score: ScoreDefinition, outcome: Outcome, sections: Mapping[str, Any]) -> Record:
    """Render and store a record. Raises as ``render`` and ``put``."""
    return put(out, cell.id, render(cell, score, outcome, sections))


def folder_of(out: Path, cell_id: str) -> Path:
    """Return the folder of a cell's record, stored or not."""
    return out / "records" / cell_id


def stored(out: Path, cell_id: str) -> Record | None:
    """Return the record of a cell, or None if it is not done or its record is damaged."""
    try:
        return read(folder_of(out, cell_id))
    except RecordDamaged:
        return None


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Add to a record's content its digest, as the last entry, so that later edits are noticed."""
    plain = {name: value for name, value in content.items() if name != "digest"}
    return {**plain, "digest": digest(plain)}


def check_outcome(outcome: Outcome, score: ScoreDefinition) -> None:
    """Validate an outcome: scores within bounds, cases of equal length, arrays.

    Raises:
        EdenError: the primary score is absent, a score is not within its bounds, or the columns of the cases differ in
            length.
    """
    if score.name not in outcome.scores:
        raise EdenError(f"the task returned the scores {sorted(outcome.scores)}, expected its primary {score.name!r}")
    for name, value in outcome.scores.items():
        _check_value(f"score {name!r}", float(value), score.of(name))
    for name, value in outcome.controls.items():
        _check_value(f"control {name!r}", float(value), score)
    lengths = {name: len(column) for name, column in outcome.cases.items()}
    if "case" not in lengths or len(set(lengths.values())) != 1:
        raise EdenError(f"the cases have columns of lengths {lengths}, expected equal lengths and a column 'case'")


def _check_value(what: str, value: float, score: ScoreDefinition) -> None:
    low, high = score.limits
    if not (is_number(value) and low <= value <= high):
        bounds = f" in [{low:g}, {high:g}]" if score.bounds != (None, None) else ""
        raise EdenError(f"{what} is {value}, expected a number{bounds}")


def cases_csv(cases: Mapping[str, Sequence[Any]]) -> bytes:
    """Render columns as CSV; a float is its shortest text that reads back to the same bits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cases)
    writer.writerows(zip(*([_plain(value) for value in column] for column in cases.values()), strict=True))
    return text.getvalue().encode()


def read(folder: Path, shared: Shared | None = None, ahead: Wanted | None = None) -> Record:
    """Read one record and validate its id, digest and content.

    Args:
        folder: of the record.
        shared: holds what it has in common with others that are read with it.
        ahead: which columns of its cases will be asked for, and are parsed now, if they can be.

    Raises:
        RecordDamaged: names the folder and what is wrong.
    """
    try:
        shared = shared or Shared()
        content = plain_text.read_json(folder / RECORD, shared.parsed, digested=True)
        record = Record(folder, content, shared=shared, ahead={})
        _refuse_others(record, shared)
        cell = Cell(**record.content["cell"]).id_by(shared.section)  # which has the fields of this version
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise RecordDamaged(f"record {folder} cannot be read ({reason(error)}): {REMEDY}") from error
    if not cell == record.id == folder.name:
        raise RecordDamaged(f"record {folder} describes cell {cell[:12]}, not the one it is named after")
    cases = record.cases_bytes()
    if ahead:
        record.look_ahead(ahead, cases)
    return record


def _refuse_others(record: Record, shared: Shared) -> None:
    """Validate that a record is of this version, not edited, and usable by reports."""
    folder, content = record.folder, record.content
    if content.get("schema") not in _READABLE:
        raise RecordDamaged(
            f"record {folder} has schema {content.get('schema')!s:.20}, this version reads {SCHEMA}: run its cell again"
        )
    plain = {name: value for name, value in content.items() if name != "digest"}
    if content.get("digest") != text_digest(shared.canonical(plain)):
        raise RecordDamaged(f"record {folder} was edited after it was written: {REMEDY}")
    if wrong := misshapen(record):
        raise RecordDamaged(f"record {folder} cannot be used, {wrong}: {REMEDY}")


def misshapen(record: Record) -> str:
    """Return what is invalid in a record's content, as a clause; "" if nothing is."""
    try:
        facts = record.facts
        _ = record.pretraining
        score = record.score
    except Misshapen as error:
        return str(error)
    except (ValueError, TypeError) as error:
        return f"its score is no definition of this version ({error})"
    if score.name not in facts.scores:
        return f"its scores lack the primary one, {score.name!r}"
    return next(filter(None, (_outside(name, value, score.of(name)) for name, value in facts.scores.items())), "")


def _outside(name: str, value: float, score: ScoreDefinition) -> str:
    low, high = score.limits
    return "" if low <= value <= high else f"its scores.{name} is {value!r}, expected a number in [{low:g}, {high:g}]"


def load(out: Path, warn: Warn = warn_stderr, *, ahead: Wanted | None = None) -> list[Record]:
    """Read all records of a run, sorted by id; damaged ones are skipped with a warning that names them.

    Args:
        out: the folder of the run.
        warn: called with one line for each damaged record.
        ahead: which columns of a record's cases will be asked for; many records are then read by several processes,
            which parse these columns on the way.
    """
    places, found = folders(out / "records"), []
    count = processes() if ahead and len(places) > FEW else 0
    with uncollected():
        for one in read_by(count, places, read, ahead) if ahead and count else each_read(places, read):
            if isinstance(one, Record):
                found.append(one)
            else:
                warn(f"{one}; it is left out")
    return found


def find(out: Path, prefix: str) -> Record:
    """Find the one record whose id begins with prefix.

    Raises:
        UsageError: prefix is not hexadecimal, or fits no record or several.
    """
    if not re.fullmatch(r"[0-9a-f]{4,64}", prefix):
        raise UsageError(f"record {prefix!r}: expected 4 to 64 hex digits, as `eden-bench report --json` prints them")
    found = [folder for folder in folders(out / "records") if folder.name.startswith(prefix)]
    if len(found) != 1:
        known = f"{len(found)} records begin so: give more digits" if found else f"{out} has no such record"
        raise UsageError(f"record {prefix!r}: {known}")
    return read(found[0])


def supersede(out: Path, cell_id: str) -> None:
    """Move a record aside, to superseded/, before it is replaced; a no-op if there is none.

    Raises:
        StoreFailed: it cannot be moved.
    """
    old = folder_of(out, cell_id)
    if os.path.lexists(old):
        place = out / "superseded"
        with atomic.explained(place):
            place.mkdir(parents=True, exist_ok=True)
            number = 1 + sum(1 for _ in place.glob(f"{cell_id}-*"))
            old.rename(place / f"{cell_id}-{number}")


def to_json(content: object) -> str:
    """Serialise to JSON as stored; NumPy and torch scalars become Python's."""
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"


def _facts(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def folders(parent: Path) -> list[Path]:
    """List the folders of records, sorted by id; none where there is no such folder."""
    if not parent.is_dir():
        return []
    return [parent / name for name in sorted(os.listdir(parent)) if not name.startswith(".")]  # noqa: PTH208 - sorts text


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column holds text, integers or floats
    """Convert NumPy and torch scalars to Python's, and floats to text that reads back exactly."""
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, Path) else value
