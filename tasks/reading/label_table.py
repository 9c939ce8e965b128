"""Labels of a user's own images from a table: a row an image, a column a label, 0 or 1 in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from eden_bench.errors import DataMissing
from tasks.reading.files import damaged, read_header, read_table

_VALUES = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
_SPLITS = ("train", "validation", "test")
_MEND = "mend the table"


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """Where a table is, and what its columns mean."""

    file: Path
    columns: tuple[str, ...] = ()
    """Label columns; () for all that are told nothing else of."""
    image: str = ""
    """Column of the image's name, with or without its ending; "" for the first."""
    patient: str = ""
    """Column of the patient; "" for none."""
    split: str = ""
    """Column of "train", "validation" or "test"; "" for none."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What the table says of one image."""

    labels: tuple[float, ...]
    patient: str = ""
    split: str = ""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """A table that was read."""

    names: tuple[str, ...]
    rows: Mapping[str, Row]
    """By image name, without its ending."""

    def of(self, dataset: str, images: Mapping[str, Path], table: LabelTable) -> dict[str, Row]:
        """Return the row of each image.

        Raises:
            DataMissing: an image has none; names it.
        """
        if absent := [name for name in images if name not in self.rows]:
            raise DataMissing(
                f"{dataset}: {len(absent):,} of {len(images):,} images are in no row of {table.file}, expected for "
                f"example {absent[0]}: add it, or remove the image"
            )
        return {name: self.rows[name] for name in images}


def read_labels(dataset: str, table: LabelTable, endings: Sequence[str]) -> Labels:
    """Read a table of labels.

    Args:
        dataset: for messages.
        table: where it is, and what its columns mean.
        endings: of pictures, which an image's name may have.

    Raises:
        DataDamaged: a column is absent, a value is neither 0 nor 1, an image or a column stands in it twice, a split is
            unknown, or a patient is in two; names the row.
    """
    header = read_header(dataset, table.file)
    image = table.image or header[0]
    taken = {image, table.patient, table.split}
    names = table.columns or tuple(name for name in header if name and name not in taken)
    if not names:
        raise damaged(dataset, table.file, "has no column of labels", f"one beside {image!r}", _MEND)
    if twice := [name for name in names if max(names.count(name), header.count(name)) > 1]:
        raise damaged(dataset, table.file, f"has two columns {twice[0]!r}", "one a label, named once", _MEND)
    others = [name for name in (table.patient, table.split) if name]
    rows: dict[str, Row] = {}
    for number, (called, *fields) in read_table(dataset, table.file, (image, *names, *others)):
        name, told = _name(called, endings), dict(zip((*names, *others), fields, strict=True))
        if name in rows:
            raise damaged(dataset, table.file, f"row {number} is a second one of {name}", "one row an image", _MEND)
        labels = tuple(_value(dataset, table.file, number, column, told[column]) for column in names)
        split = told.get(table.split, "").lower()
        if table.split and split not in _SPLITS:
            found = f"row {number} has the split {told[table.split]!r}"
            raise damaged(dataset, table.file, found, f"one of {', '.join(_SPLITS)}", _MEND)
        rows[name] = Row(labels=labels, patient=told.get(table.patient, ""), split=split)
    _refuse_shared(dataset, table, rows)
    return Labels(names=names, rows=rows)


def _refuse_shared(dataset: str, table: LabelTable, rows: Mapping[str, Row]) -> None:
    """Validate that the column of splits leaves a patient in one of them; that of test images is found anyway."""
    split_of: dict[str, str] = {}
    for row in rows.values():
        if row.patient and row.split and split_of.setdefault(row.patient, row.split) != row.split:
            found = f"has patient {row.patient} in {split_of[row.patient]} and in {row.split}"
            raise damaged(dataset, table.file, found, "a patient in one split", _MEND)


def _name(called: str, endings: Sequence[str]) -> str:
    plain = normalize("NFC", called.replace("\\", "/").removeprefix("./"))
    ending = next((end for end in endings if plain.lower().endswith(end)), "")
    return plain[: len(plain) - len(ending)]


def _value(dataset: str, file: Path, number: int, column: str, text: str) -> float:
    if text.lower() not in _VALUES:
        found = f"row {number} says {text!r} of {column}" if text else f"row {number} says nothing of {column}"
        raise damaged(dataset, file, found, "0 or 1", "mend the table, or name the label columns in label_columns")
    return _VALUES[text.lower()]
