"""Read the tables of VinDr-CXR: each reader's labels and boxes of each image (Nguyen et al., Sci Data 2022)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eden_bench.errors import DataDamaged, DataMissing, nearest
from tasks.reading.files import damaged, files_under, read_header, read_table, readable

LABELS = ("Pleural effusion", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")
"""The six outputs, in the order of the group's lists."""

KAGGLE_CLASSES = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "No finding",
)
"""By class_id."""

KAGGLE_LABELS = tuple(label for label in LABELS if label in KAGGLE_CLASSES)
"""Two of the six; what was said of the whole image is not in Kaggle's table."""

_SPELLINGS = {"Other diseases": ("Other diseases", "Other disease")}
"""The training table has the first, the test table the second."""
AGAIN = "download it again from PhysioNet"
TEST_TABLE = "image_labels_test.csv"
IMAGE_ID = re.compile(r"[0-9a-f]{32}")

_CELLS = {"0": 0, "0.0": 0, "1": 1, "1.0": 1, "": None, "nan": None}
_FARTHEST_PX = 100_000
_MOST_ROWS = 300_000
"""Four times as many as the longest table has."""

Vote = tuple[int | None, ...]
"""What one reader says of each label; None where the cell is empty."""


class ReaderBox(NamedTuple):
    """Box drawn by one reader, in image pixels; corners left of or above the image are moved to its border."""

    image: str
    reader: str
    """"R1" to "R17", or "" for a consensus."""
    label: str
    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def touches(self, size_px: tuple[int, int]) -> bool:
        """Return whether a pixel of an image (height, width) lies in the box."""
        height, width = size_px
        return self.x_min < min(self.x_max, width) and self.y_min < min(self.y_max, height)


def read_findings(root: Path, labels: Sequence[str]) -> tuple[tuple[str, ...], dict[str, tuple[int, ...]]]:
    """Read what the test images show: which of some columns the table has, and image id to 0 or 1 of each.

    Raises:
        DataMissing: there is no image_labels_test.csv, or it has none of the columns.
        DataDamaged: as ``read_votes``.
    """
    with readable("vindr-cxr", root):
        path = next((path for path in files_under(root) if path.name.lower() == TEST_TABLE), None)
    if path is None:
        raise DataMissing(
            f"vindr-cxr: {root} has no {TEST_TABLE}, expected the findings of the test images there: {AGAIN}"
        )
    header = read_header("vindr-cxr", path)
    there = tuple(label for label in labels if label in header)
    if not there:
        raise DataMissing(f"vindr-cxr: {path} has none of the columns {', '.join(labels)}, expected some: {AGAIN}")
    votes = read_votes(path, there)
    return there, {
        name: tuple(int(is_positive(said, "one")) for said in zip(*each, strict=True)) for name, each in votes.items()
    }


def read_votes(path: Path, labels: Sequence[str] = LABELS) -> dict[str, list[Vote]]:
    """Read a table of image labels, image id to votes on labels: a row a reader, or one row without reader column.

    Raises:
        DataDamaged: a column is missing, a cell is neither 0, 1 nor empty, a reader or an id stands twice.
    """
    votes: dict[str, list[Vote]] = {}
    header = read_header("vindr-cxr", path)
    columns = [next((name for name in _SPELLINGS.get(label, ()) if name in header), label) for label in labels]
    readers = ["rad_id"] if "rad_id" in header else []
    seen: set[tuple[str, ...]] = set()
    for row, fields in _rows(path, ["image_id", *readers, *columns]):
        name, who, cells = _id(path, row, fields[0]), fields[: 1 + len(readers)], fields[1 + len(readers) :]
        if who in seen:
            raise _bad_row(path, row, f"names {' of reader '.join(who)} again", "each once")
        seen.add(who)
        said = tuple(_cell(path, row, label, text) for label, text in zip(columns, cells, strict=True))
        votes.setdefault(name, []).append(said)
    return votes


def read_kaggle(path: Path) -> dict[str, list[Vote]]:
    """Read Kaggle's table of boxes as votes on ``KAGGLE_LABELS``, by image id: a box is its reader's vote.

    Raises:
        DataDamaged: a column is missing, a class is unknown, or its number is another's.
    """
    named: dict[str, dict[str, set[str]]] = {}
    columns = ("image_id", "rad_id", "class_name", "class_id")
    for row, (name, reader, label, number) in _rows(path, columns):
        _need_class(path, row, label)
        expected = str(KAGGLE_CLASSES.index(label))
        if number != expected:
            raise _bad_row(path, row, f"has the class_id {number[:20]!r} for {label!r}", expected)
        named.setdefault(_id(path, row, name), {}).setdefault(reader, set()).add(label)
    return {
        name: [tuple(int(label in said) for label in KAGGLE_LABELS) for said in readers.values()]
        for name, readers in named.items()
    }


def read_boxes(path: Path) -> Iterator[ReaderBox]:
    """Read a table of boxes; rows of "No finding" hold none.

    Raises:
        DataDamaged: a finding without four numbers; names file and row.
    """
    readers = ["rad_id"] if "rad_id" in read_header("vindr-cxr", path) else []
    columns = ["image_id", "class_name", "x_min", "y_min", "x_max", "y_max", *readers]
    for row, (name, label, *fields) in _rows(path, columns):
        if label == "No finding":
            continue
        corners = [max(0.0, _coordinate(path, row, text)) for text in fields[:4]]
        yield ReaderBox(_id(path, row, name), fields[4] if readers else "", label, *corners)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    row = 0
    for row, fields in read_table("vindr-cxr", path, columns):
        if row > _MOST_ROWS:
            raise _bad_row(path, row, "stands there", f"at most {_MOST_ROWS:,} rows")
        yield row, fields
    if not row:
        raise damaged("vindr-cxr", path, "has a header and no row", "a row for each image", AGAIN)


def _id(path: Path, row: int, name: str) -> str:
    if not IMAGE_ID.fullmatch(name):
        raise _bad_row(path, row, f"has the image_id {name[:40]!r}", "32 hexadecimal digits")
    return name


def _cell(path: Path, row: int, column: str, text: str) -> int | None:
    if text.lower() not in _CELLS:
        raise _bad_row(path, row, f"has {text[:20]!r} in {column!r}", "0, 1 or nothing")
    return _CELLS[text.lower()]


def _need_class(path: Path, row: int, label: str) -> None:
    if label not in KAGGLE_CLASSES:
        hint = nearest(label, KAGGLE_CLASSES).strip()
        found = f"has the class_name {label[:40]!r}" + (f" ({hint})" if hint else "")
        raise _bad_row(path, row, found, f"one of {', '.join(KAGGLE_CLASSES)}")


def _coordinate(path: Path, row: int, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= _FARTHEST_PX:
        raise _bad_row(path, row, f"has the coordinate {text[:20]!r}", f"a number within ±{_FARTHEST_PX:,}")
    return value


def _bad_row(path: Path, row: int, found: str, expected: str) -> DataDamaged:
    return damaged("vindr-cxr", path, f"row {row} {found}", expected, AGAIN)


def is_positive(said: Sequence[int | None], positive_if: str) -> bool:
    """Aggregate votes: positive if one reader says so, or if more than half of those who filled in the cell do."""
    filled = [vote for vote in said if vote is not None]
    return sum(filled) > (0 if positive_if == "one" else len(filled) / 2)
