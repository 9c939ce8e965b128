"""Records: what a finished cell leaves in ``OUT/records/<cell id>/``, and failures in ``OUT/failures/``.

A record is a folder of ``record.json`` and ``cases.csv``, written aside and renamed into place, so it is there or
not there, never half; folders of two runs merge with ``cp -r``. It is never changed: ``--force`` moves the old one
to ``OUT/superseded/``. Everything but ``provenance`` and the paths in ``command`` is a function of the cell, and
repeats byte for byte.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench import atomic
from eden_bench.contracts import Cell, Outcome, ScoreDefinition
from eden_bench.digests import canonical_json, digest, file_digest
from eden_bench.errors import EdenError, UsageError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
_RECORD, _CASES = "record.json", "cases.csv"
_SECTIONS = ("schema", "id", "cell", "scores", "score", "cases", "task", "data", "marks", "checkpoint", "provenance")
Warn = Callable[[str], None]


def warn_stderr(line: str) -> None:
    """Print one warning line."""
    print(f"warning: {line}", file=sys.stderr)  # noqa: T201


class StoreFailed(EdenError):
    """A result cannot be written; the run stops, since nothing more could be kept."""


class RecordDamaged(EdenError):
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

        path = self.folder / _CASES
        if not path.is_file() or file_digest(path) != self.content["cases"]["sha256"]:
            raise RecordDamaged(f"{path} is not the file that was written: remove {self.folder} and run its cell again")
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        columns = zip(*rows, strict=True) if rows else ([] for _ in header)
        return pd.DataFrame(
            {name: _typed(name, list(texts)) for name, texts in zip(header, columns, strict=True)}, columns=header
        )


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
        },
        "training": outcome.training,
        **sections,
    }
    _write_folder(folder_of(out, cell.id), {_CASES: table, _RECORD: _json(content).encode()})
    return read(folder_of(out, cell.id))


def check_outcome(outcome: Outcome, score: ScoreDefinition) -> None:
    """Refuse an outcome that no report could use.

    Raises:
        EdenError: the primary score is absent, a score is not in [0, 1], or the columns of the cases differ in length.
    """
    if score.name not in outcome.scores:
        raise EdenError(f"the task returned the scores {sorted(outcome.scores)}, expected its primary {score.name!r}")
    for name, value in outcome.scores.items():
        if not (math.isfinite(value) and 0 <= value <= 1):
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
        content = json.loads((folder / _RECORD).read_bytes())
        missing = [name for name in _SECTIONS if name not in content]
        if missing:
            raise RecordDamaged(f"record {folder} has no {missing[0]!r}")
        if content["schema"] != SCHEMA:
            raise RecordDamaged(f"record {folder} has schema {content['schema']}, this version reads {SCHEMA}")
        found = digest(content["cell"])
        unknown = set(content["cell"]) ^ {field.name for field in fields(Cell)}
        if not unknown:
            _touch(Record(folder, content))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RecordDamaged(f"record {folder} cannot be read: {type(error).__name__}: {error}") from error
    if not found == content["id"] == folder.name or unknown:
        raise RecordDamaged(f"record {folder} describes cell {found[:12]}, not the one it is named after")
    return Record(folder, content)


def _touch(record: Record) -> None:
    """Read once whatever is used of a record later, so that what is not there is found here."""
    content = record.content
    _ = record.cell, record.score, record.value, record.phantom, record.protocol, record.seconds, record.label
    _ = [float(value) for value in record.scores.values()]
    _ = [content["marks"][name] for name in ("quick", "part", "base")]
    _ = content["task"]["dataset"], content["task"]["kind"], content["cases"]["rows"], content["cases"]["sha256"]
    _ = content["checkpoint"].get("card", {}).get("data", {}), content["data"].get("digest")
    if not (record.folder / _CASES).is_file():
        raise RecordDamaged(f"record {record.folder} has no {_CASES}")


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
    """Move a record out of the way of the one that replaces it; nothing where there is none."""
    old = folder_of(out, cell_id)
    if old.exists():
        place = out / "superseded"
        place.mkdir(parents=True, exist_ok=True)
        number = 1 + sum(1 for _ in place.glob(f"{cell_id}-*"))
        old.rename(place / f"{cell_id}-{number}")


def _write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    try:
        with atomic.folder(path) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    except OSError as error:
        raise StoreFailed(
            f"{path} cannot be written ({error.strerror}): mend that and issue the same command again, what is stored "
            "is reused"
        ) from error


def write_failure(out: Path, name: str, content: Mapping[str, Any]) -> Path:
    """Store why a cell or a pretraining failed, in place of what an earlier attempt left."""
    path = out / "failures" / f"{name}.json"
    atomic.write_text(path, _json(content))
    return path


def clear_failure(out: Path, name: str) -> None:
    """Forget a failure that has been redone."""
    (out / "failures" / f"{name}.json").unlink(missing_ok=True)


def failures(out: Path) -> dict[str, dict[str, Any]]:
    """Read all failures: cell id or checkpoint folder to what was stored; unreadable ones are left out."""
    found = {}
    for path in sorted((out / "failures").glob("[!.]*.json")):
        try:
            found[path.stem] = dict(json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError):
            continue
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
