"""Find and read untrusted files, within bounds; every failure is one sentence that names the file."""

from __future__ import annotations

import csv
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

from eden_bench.errors import DataDamaged, DataMissing, nearest

_BREAKS = re.compile(r"\s*[\x00-\x1f\x7f-\x9f\u2028\u2029]+\s*")
"""Line ends and other characters that steer a terminal, with the blanks around them."""
_MOST_DEEP = 6
_MOST_BYTES = 32 << 20
"""Of a text file: four times the largest of these datasets, and no more than 1 GiB when it is taken apart."""


class Damaged(ValueError):
    """Invalid value inside a file; the reader of the file catches it and adds the path and the remedy.

    Args:
        found: what is there, as "has 3 run lengths".
        expected: what should be.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}, expected {expected}")
        self.found = found
        self.expected = expected


def damaged(dataset: str, path: Path, found: str, expected: str, remedy: str) -> DataDamaged:
    """Build the one-sentence DataDamaged for a file, without line breaks from its content."""
    return DataDamaged(_BREAKS.sub(" ", f"{dataset}: {path} {found}, expected {expected}: {remedy}"))


class NoDecoder(DataDamaged):
    """Raised for a file that may be whole: what decodes it is not installed."""


def no_masks(dataset: str, image: str, structure: str, other: str) -> DataMissing:
    """Build the DataMissing for a mask of a dataset without masks; other names a dataset that has them."""
    return DataMissing(
        f"{dataset}: {image} has no mask of {structure!r}: expected a dataset with masks, such as {other}"
    )


@contextmanager
def readable(dataset: str, path: Path) -> Iterator[None]:
    """Convert an OSError of the block (no permission, a link that leads to itself) to one DataDamaged.

    Raises:
        DataDamaged: names the file or folder, path where the system does not say which.
    """
    try:
        yield
    except OSError as error:
        place = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        found = f"cannot be read ({error.strerror or error})"
        raise damaged(
            dataset, place, found, "a file or folder that can", "set its permissions and links right"
        ) from error


def size_of(dataset: str, path: Path) -> int:
    """Return the size in bytes of a regular file; an empty one is refused.

    Raises:
        DataDamaged: it is absent, empty, or no regular file (reading a pipe would wait for ever).
    """
    remedy = "unpack or copy it again"
    try:
        found = path.stat()
    except OSError as error:
        raise damaged(dataset, path, f"cannot be opened ({error.strerror})", "a file", remedy) from error
    if not stat.S_ISREG(found.st_mode):
        raise damaged(dataset, path, "is not a regular file", "one", remedy)
    if found.st_size == 0:
        raise damaged(dataset, path, "is empty", "content", remedy)
    return found.st_size


def read_text(dataset: str, path: Path, most_bytes: int = _MOST_BYTES) -> str:
    """Read a text file, UTF-8 with or without a byte order mark, else Latin-1.

    Raises:
        DataDamaged: it is absent, empty, too large, or holds zero bytes.
    """
    size = size_of(dataset, path)
    if size > most_bytes:
        raise damaged(dataset, path, f"has {size:,} bytes", f"at most {most_bytes:,}", "get the original file again")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise damaged(dataset, path, f"cannot be read ({error.strerror})", "a text file", "copy it again") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise damaged(dataset, path, "is UTF-16 text", "UTF-8", "save it again as UTF-8")
    if b"\0" in content:
        raise damaged(dataset, path, "holds zero bytes", "text", "get the original file again")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_json(dataset: str, path: Path, expected: str, remedy: str, most_bytes: int = _MOST_BYTES) -> Any:  # noqa: ANN401
    """Parse a JSON file.

    Args:
        dataset: whose file it is.
        path: the file.
        expected: what it should hold, for the error.
        remedy: what to do where it is none.
        most_bytes: that it may have.

    Raises:
        DataDamaged: it is absent, empty, too large or no JSON.
    """
    try:
        return json.loads(read_text(dataset, path, most_bytes))
    except (ValueError, RecursionError) as error:
        raise damaged(dataset, path, f"is no JSON ({str(error)[:80]})", expected, remedy) from error


def read_lines(dataset: str, path: Path) -> list[str]:
    """Return the lines that are not blank, stripped; LF, CR LF and CR alone all end a line."""
    lines = (line.strip() for line in read_text(dataset, path).splitlines())
    return [line for line in lines if line]


def read_header(dataset: str, path: Path) -> list[str]:
    """Return the column names of a csv file, stripped."""
    return [name.strip() for name in next(csv.reader([next(_lines(dataset, path), "")]), [""])]


def read_table(dataset: str, path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield (row number, the fields of the named columns) of a csv file; the header is row 1.

    Further columns are passed over, so headers with unquoted commas and trailing commas do no harm to the right of
    the columns asked for.

    Raises:
        DataDamaged: a column is missing, or a row is too short; names the column or the row.
    """
    rows = csv.reader(_lines(dataset, path))
    try:
        header = [name.strip() for name in next(rows, [])]
        places = [_place(dataset, path, column, header) for column in columns]
        enough = max(places) + 1
        for fields in rows:
            if len(fields) < enough:
                if not "".join(fields).strip():
                    continue
                found = f"row {rows.line_num} has {len(fields)} fields"
                raise damaged(dataset, path, found, f"at least {enough}", "get the original file again")
            yield rows.line_num, tuple([fields[place].strip() for place in places])
    except csv.Error as error:
        found = f"row {rows.line_num} cannot be parsed ({error})"
        raise damaged(dataset, path, found, "comma-separated values", "get the original file again") from error


def files_under(root: Path, deepest: int = _MOST_DEEP) -> Iterator[Path]:
    """Yield the files below root in a fixed order, links followed, to a bounded depth.

    What archivers of other systems leave (``__MACOSX``, ``._name``) and hidden files are passed over.
    """
    with os.scandir(root) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    for entry in ordered:
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            continue
        if _is_folder(entry):
            if deepest > 1:
                yield from files_under(root / entry.name, deepest - 1)
        else:
            yield root / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; a link that leads to itself is none, and spoils what is read from it."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def need_folder(dataset: str, root: Path, expected: str, remedy: str) -> None:
    """Validate that root is a folder and not empty. Raises DataMissing."""
    if not root.is_dir():
        raise DataMissing(f"{dataset}: {root} is not a folder, expected {expected}: {remedy}")
    if next(root.iterdir(), None) is None:
        raise DataMissing(f"{dataset}: {root} is empty, expected {expected}: {remedy}")


def _lines(dataset: str, path: Path) -> Iterator[str]:
    """Yield the lines, one at a time; LF, CR LF and CR alone all end a line."""
    return StringIO(read_text(dataset, path), newline=None)


def _place(dataset: str, path: Path, column: str, header: Sequence[str]) -> int:
    if column in header:
        return header.index(column)
    if len(header) == 1 and (other := next((sign for sign in ";\t" if sign in header[0]), None)):
        found = f"parts its columns by {'semicolons' if other == ';' else 'tabs'}"
        raise damaged(dataset, path, found, "commas", "save it again with commas, or put the original file back")
    hint = nearest(column, header).strip()
    found = f"has no column {column!r}" + (f" ({hint})" if hint else "")
    raise damaged(dataset, path, found, f"a header with {column!r}", "get the original file again")
