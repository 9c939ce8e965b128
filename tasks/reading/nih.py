"""The tables of ChestX-ray14: labels, patients and boxes of each image (Wang et al., CVPR 2017)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from eden_bench.contracts import Box
from eden_bench.errors import DataDamaged, nearest
from tasks.reading.files import damaged, read_table

LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""In the order of the official 14-label benchmark."""

NO_FINDING = "No Finding"
BOX_SIDE_PX = 1024
"""Side of the image that box coordinates refer to."""
_SPELLINGS = {"Infiltrate": "Infiltration"}
"""The list of boxes spells one label otherwise than the list of images."""
IMAGE = re.compile(r"[\w.-]{1,80}\.png", re.IGNORECASE)
_PATIENT = re.compile(r"[0-9]{1,9}")
AGAIN = "download it again from the NIH Clinical Center"


class Entry(NamedTuple):
    """One row of the csv."""

    patient: str
    labels: tuple[float, ...]


def read_entries(path: Path) -> dict[str, Entry]:
    """Read the csv of images: name to patient and labels.

    Raises:
        DataDamaged: a row has no image, patient or known labels, or an image again; names the row.
    """
    entries: dict[str, Entry] = {}
    known: dict[str, tuple[float, ...]] = {}
    for row, (name, findings, patient) in read_table(
        "chestxray14", path, ("Image Index", "Finding Labels", "Patient ID")
    ):
        if not IMAGE.fullmatch(name):
            raise _bad_row(path, row, f"has the image {name[:40]!r}", "a name with .png")
        if name in entries:
            raise _bad_row(path, row, f"names {name} again", "each image once")
        if not _PATIENT.fullmatch(patient):
            raise _bad_row(path, row, f"has the Patient ID {patient[:20]!r}", "a number")
        if findings not in known:
            known[findings] = _labels(path, row, findings)
        entries[name] = Entry(f"{int(patient):08d}", known[findings])
    if not entries:
        raise damaged("chestxray14", path, "has a header and no row", "a row for each image", AGAIN)
    return entries


def _labels(path: Path, row: int, findings: str) -> tuple[float, ...]:
    names = [name.strip() for name in findings.split("|")]
    if names == [NO_FINDING]:
        return (0.0,) * len(LABELS)
    for name in names:
        if name == NO_FINDING:
            raise _bad_row(path, row, f"has the labels {findings[:80]!r}", f"{NO_FINDING!r} alone or not at all")
        _need_label(path, row, name)
    return tuple(float(label in names) for label in LABELS)


def _need_label(path: Path, row: int, label: str) -> None:
    if label not in LABELS:
        hint = nearest(label, (*LABELS, NO_FINDING)).strip()
        found = f"has the label {label[:40]!r}" + (f" ({hint})" if hint else "")
        raise _bad_row(path, row, found, f"one of {', '.join(LABELS)} or {NO_FINDING}")


def read_boxes(path: Path) -> Iterator[tuple[str, Box]]:
    """Yield image and box of each row, in pixels of the 1024-px image, labels spelled as in the csv of images.

    Raises:
        DataDamaged: a row has no four numbers or an unknown label; names it.
    """
    columns = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
    for row, (name, label, *numbers) in read_table("chestxray14", path, columns):
        label = _SPELLINGS.get(label, label)
        _need_label(path, row, label)
        try:
            x, y, width, height = (float(number) for number in numbers)
        except ValueError as error:
            raise _bad_row(path, row, f"has the box {', '.join(numbers)[:80]}", "four numbers x, y, w, h") from error
        yield name, Box(label, x, y, x + width, y + height)


def inside(box: Box) -> bool:
    """Return whether a box lies within the image that its numbers refer to."""
    return 0 <= box.left < box.right <= BOX_SIDE_PX and 0 <= box.top < box.bottom <= BOX_SIDE_PX


def in_own_pixels(box: Box, image: Path) -> Box:
    """Scale a box to the pixels of a PNG file by its header; unchanged (1024 px) for other files."""
    width, height = _png_size(image) or (BOX_SIDE_PX, BOX_SIDE_PX)
    x, y = width / BOX_SIDE_PX, height / BOX_SIDE_PX
    return Box(box.label, box.left * x, box.top * y, box.right * x, box.bottom * y)


def _png_size(path: Path) -> tuple[int, int] | None:
    """Parse width and height from a PNG's header; None if it has none, which decoding will report."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with path.open("rb") as file:
            header = file.read(24)
    except OSError:
        return None
    if len(header) < 24 or header[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    width, height = struct.unpack(">II", header[16:24])
    return (width, height) if width and height else None


def _bad_row(path: Path, row: int, found: str, expected: str) -> DataDamaged:
    return damaged("chestxray14", path, f"row {row} {found}", expected, AGAIN)
