"""Records: what a finished cell leaves in ``OUT/records/<cell id>/``, and failures in ``OUT/failures/``.

A record is a folder of ``record.json`` and ``cases.csv``, written aside and renamed into place, so it is there or
not there, never half; folders of two runs merge with ``cp -r``. It is never changed: it carries its own digest, which
shows an edit (no more: a forger can compute it too), and ``--force`` moves the old one to ``OUT/superseded/``.
Everything but ``provenance``, the digest over it and the paths in ``command`` is a function of the cell, and repeats
byte for byte.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import Cell, Outcome, ScoreDefinition
from eden_bench.digests import canonical_json, digest
from eden_bench.errors import DataMissing, EdenError, UsageError
from eden_bench.files import atomic, plain_text
from eden_bench.printable import printable_line
from eden_bench.records.shape import is_share, misshapen_failure, misshapen_record

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2
"""2: with a digest of itself. An edit of an older record could not be seen, so it is left out."""
_RECORD, _CASES = "record.json", "cases.csv"
_REMEDY = "issue its 'eden-bench run' again, which keeps this one in superseded/, or put the file back"
Warn = Callable[[str], None]


def warn_stderr(line: str) -> None:
    """Print one warning line."""
    print(f"warning: {printable_line(line)}", file=sys.stderr)  # noqa: T201


class RecordDamaged(DataMissing):
    """A record cannot be read as what it should be; the message names its folder."""


@dataclass(frozen=True)
class Record:
    """One stored cell.

    Attributes:
        folder: where it lies.
        content: ``record.json`` as read.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The cell's id, 64 hex digits."""
        return str(self.content["id"])

    @cached_property
    def cell(self) -> Cell:
        """Everything that can change the scores."""
        return Cell(**self.content["cell"])

    @property
    def label(self) -> str:
        """What it ran as: the method's name, or that of a protocol's variant of it."""
        return str(self.content.get("method", {}).get("variant", self.cell.method))

    @property
    def scores(self) -> dict[str, float]:
        """The primary score and its alternatives, each in [0, 1]."""
        return dict(self.content["scores"])

    @cached_property
    def score(self) -> ScoreDefinition:
        """Definition of the primary score."""
        return ScoreDefinition(**self.content["score"])

    @property
    def value(self) -> float:
        """The primary score."""
        return float(self.content["scores"][self.content["score"]["name"]])

    @property
    def phantom(self) -> bool:
        """It was made from the phantom, not from patients."""
        return bool(self.content["marks"]["phantom"])

    @property
    def protocol(self) -> str:
        """Name of the protocol: "paper", "quick" or the stem of a TOML file."""
        return str(self.content["marks"]["protocol"])

    @property
    def seconds(self) -> float:
        """Wall-clock time the cell took."""
        return float(self.content["provenance"]["seconds"])

    def cases(self) -> pd.DataFrame:
        """Read the per-case scores: columns "case", "patient" (text), then numbers, exactly as computed.

        Raises:
            RecordDamaged: the file is absent or not the one that was written.
        """
        import pandas as pd

        header, *rows = csv.reader(io.StringIO(self.cases_bytes().decode()))
        columns = zip(*rows, strict=True) if rows else ([] for _ in header)
        return pd.DataFrame(
            {name: _typed(name, list(texts)) for name, texts in zip(header, columns, strict=True)}, columns=header
        )

    def cases_bytes(self) -> bytes:
        """Return the file of the cases.

        Raises:
            RecordDamaged: it is not the one that was written.
        """
        path, told = self.folder / _CASES, self.content["cases"]
        try:
            content = plain_text.read_bytes(path, told["bytes"])
        except (OSError, ValueError) as error:
            raise RecordDamaged(f"{path} is not the file that was written ({_reason(error)}): {_REMEDY}") from error
        if hashlib.sha256(content).hexdigest() != told["sha256"]:
            raise RecordDamaged(f"{path} is not the file that was written: {_REMEDY}")
        return content


def folder_of(out: Path, cell_id: str) -> Path:
    """Where the record of a cell lies or will lie."""
    return out / "records" / cell_id


def stored(out: Path, cell_id: str) -> Record | None:
    """Return the record of a cell, or None where the cell is not done (or its record is damaged)."""
    try:
        return read(folder_of(out, cell_id))
    except RecordDamaged:
        return None


def write(out: Path, cell: Cell, score: ScoreDefinition, outcome: Outcome, sections: Mapping[str, Any]) -> Record:
    """Store a finished cell; a record that is already there is kept.

    Args:
        out: folder of the run.
        cell: what was computed.
        score: definition of the primary score.
        outcome: what the task returned.
        sections: "task", "data", "marks", "checkpoint", "provenance", "command".

    Raises:
        EdenError: the outcome breaks its contract (a NaN score, columns of unequal length).
        StoreFailed: the disk is full or read-only.
    """
    check_outcome(outcome, score)
    table = cases_csv(outcome.cases)
    content = {
        "schema": SCHEMA,
        "id": cell.id,
        "cell": json.loads(canonical_json(cell)),
        "scores": {name: float(value) for name, value in outcome.scores.items()},
        "score": asdict(score),
        "cases": {
            "rows": len(outcome.cases["case"]),
            "columns": list(outcome.cases),
            "sha256": hashlib.sha256(table).hexdigest(),
            "bytes": len(table),
        },
        "training": outcome.training,
        **sections,
    }
    sealed = seal(json.loads(_json(content)))
    if wrong := misshapen_record(sealed):
        raise EdenError(f"the record of {cell.method} on {cell.task} cannot be stored: {wrong}")
    _write_folder(folder_of(out, cell.id), {_CASES: table, _RECORD: _json(sealed).encode()})
    return read(folder_of(out, cell.id))


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's content with its digest, which stands last."""
    plain = {name: value for name, value in content.items() if name != "digest"}
    return {**plain, "digest": digest(plain)}


def check_outcome(outcome: Outcome, score: ScoreDefinition) -> None:
    """Refuse an outcome that no report could use.

    Raises:
        EdenError: the primary score is absent, a score is not in [0, 1], or the columns of the cases differ in length.
    """
    if score.name not in outcome.scores:
        raise EdenError(f"the task returned the scores {sorted(outcome.scores)}, expected its primary {score.name!r}")
    for name, value in outcome.scores.items():
        if not is_share(float(value)):
            raise EdenError(f"score {name!r} is {value}, expected a number in [0, 1]")
    lengths = {name: len(column) for name, column in outcome.cases.items()}
    if "case" not in lengths or len(set(lengths.values())) != 1:
        raise EdenError(f"the cases have columns of lengths {lengths}, expected equal lengths and a column 'case'")


def cases_csv(cases: Mapping[str, Sequence[Any]]) -> bytes:
    """Render columns as CSV; a float is its shortest text that reads back to the same bits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(cases)
    writer.writerows(zip(*([_plain(value) for value in column] for column in cases.values()), strict=True))
    return text.getvalue().encode()


def read(folder: Path) -> Record:
    """Read one record and check that it is what its name says.

    Raises:
        RecordDamaged: names the folder and what is wrong.
    """
    try:
        content = plain_text.read_json(folder / _RECORD)
        _refuse_others(folder, content)
        record = Record(folder, content)
        _ = record.cell, record.score  # which have the fields of this version
    except (OSError, ValueError, TypeError) as error:
        raise RecordDamaged(f"record {folder} cannot be read ({_reason(error)}): {_REMEDY}") from error
    if not record.cell.id == content["id"] == folder.name:
        raise RecordDamaged(f"record {folder} describes cell {record.cell.id[:12]}, not the one it is named after")
    record.cases_bytes()
    return record


def _refuse_others(folder: Path, content: Mapping[str, Any]) -> None:
    """Refuse what another version wrote, what was edited, and what no report could use."""
    if content.get("schema") != SCHEMA:
        raise RecordDamaged(
            f"record {folder} has schema {content.get('schema')!s:.20}, this version reads {SCHEMA}: run its cell again"
        )
    if content.get("digest") != seal(content)["digest"]:
        raise RecordDamaged(f"record {folder} was edited after it was written: {_REMEDY}")
    if wrong := misshapen_record(content):
        raise RecordDamaged(f"record {folder} cannot be used, {wrong}: {_REMEDY}")


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def load(out: Path, warn: Warn = warn_stderr) -> list[Record]:
    """Read all records of a run, sorted by id; a damaged one is left out with a warning that names it."""
    records = []
    for folder in _folders(out / "records"):
        try:
            records.append(read(folder))
        except RecordDamaged as error:
            warn(f"{error}; it is left out")
    return records


def find(out: Path, prefix: str) -> Record:
    """Return the one record whose id begins with prefix.

    Raises:
        UsageError: prefix is not hexadecimal, or fits no record or several.
    """
    if not re.fullmatch(r"[0-9a-f]{4,64}", prefix):
        raise UsageError(f"record {prefix!r}: expected 4 to 64 hex digits, as `eden-bench report --json` prints them")
    found = [folder for folder in _folders(out / "records") if folder.name.startswith(prefix)]
    if len(found) != 1:
        known = f"{len(found)} records begin so: give more digits" if found else f"{out} has no such record"
        raise UsageError(f"record {prefix!r}: {known}")
    return read(found[0])


def supersede(out: Path, cell_id: str) -> None:
    """Move a record out of the way of the one that replaces it; nothing where there is none.

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


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    with atomic.folder(path) as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)


def write_failure(out: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Store why a cell or a pretraining failed, in place of what an earlier attempt left."""
    path = out / "failures" / f"{name}.json"
    atomic.write_text(path, _json(content))
    return path


def clear_failure(out: Path, name: str) -> None:
    """Forget a failure that has been redone.

    Raises:
        StoreFailed: it cannot be removed.
    """
    path = out / "failures" / f"{name}.json"
    if os.path.lexists(path):
        with atomic.explained(path.parent):
            path.unlink(missing_ok=True)


def failures(out: Path, warn: Warn = warn_stderr) -> dict[str, dict[str, Any]]:
    """Read all failures: cell id or checkpoint folder to what was stored; a damaged one is left out with a warning."""
    found = {}
    for path in sorted((out / "failures").glob("[!.]*.json")):
        try:
            content = plain_text.read_json(path)
        except FileNotFoundError:  # another process has just redone it
            continue
        except (OSError, ValueError) as error:
            wrong = _reason(error)
        else:
            wrong = misshapen_failure(content)
        if wrong:
            warn(f"{path} cannot be used ({wrong}); it is left out: remove it, or run its cell again")
        else:
            found[path.stem] = content
    return found


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(folder for folder in parent.iterdir() if not folder.name.startswith("."))


def _json(content: object) -> str:
    return json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False, default=_plain) + "\n"


def _typed(name: str, texts: list[str]) -> list[str] | list[float]:
    """Turn a column's text into numbers; names of cases and patients stay text, however numeric they look."""
    if name in ("case", "patient"):
        return texts
    try:
        return [float(text) if text else math.nan for text in texts]
    except ValueError:
        return texts


def _plain(value: Any) -> Any:  # noqa: ANN401 - a column holds text, integers or floats
    """Turn NumPy and torch scalars into Python's, and floats into text that reads back exactly."""
    value = value.item() if hasattr(value, "item") else value
    return str(value) if isinstance(value, Path) else value
