"""The tables of ChestX-ray14: labels, patients and boxes of each image (Wang et al., CVPR 2017)."""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from eden_bench.contracts import Box
from eden_bench.errors import DataDamaged, nearest
from tasks.reading.files import damaged, read_header, read_table

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
_ABOUT = {"age": "Patient Age", "sex": "Patient Gender", "view": "View Position"}
_AGE = re.compile(r"([0-9]{1,3})([YMWD]?)", re.IGNORECASE)
_PARTS_OF_A_YEAR = {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}
_OLDEST = 120
_PATIENT = re.compile(r"[0-9]{1,9}")
AGAIN = "download it again from the NIH Clinical Center"


class Entry(NamedTuple):
    """One row of the csv."""

    patient: str
    labels: tuple[float, ...]
    about: Mapping[str, str | float | None]
    """As ``Item.about``: what the csv has of "age", "sex" and "view"."""


def read_entries(path: Path) -> dict[str, Entry]:
    """Read the csv of images: name to patient, labels, and what else it tells.

    Raises:
        DataDamaged: a row has no image, patient or known labels, or an image again; names the row.
    """
    entries: dict[str, Entry] = {}
    known: dict[str, tuple[float, ...]] = {}
    header = read_header("chestxray14", path)
    there = {name: column for name, column in _ABOUT.items() if column in header}
    columns = ("Image Index", "Finding Labels", "Patient ID", *there.values())
    for row, (name, findings, patient, *told) in read_table("chestxray14", path, columns):
        if not IMAGE.fullmatch(name):
            raise _bad_row(path, row, f"has the image {name[:40]!r}", "a name with .png")
        if name in entries:
            raise _bad_row(path, row, f"names {name} again", "each image once")
        if not _PATIENT.fullmatch(patient):
            raise _bad_row(path, row, f"has the Patient ID {patient[:20]!r}", "a number")
        if findings not in known:
            known[findings] = _labels(path, row, findings)
        entries[name] = Entry(f"{int(patient):08d}", known[findings], _about(tuple(there), tuple(told)))
    if not entries:
        raise damaged("chestxray14", path, "has a header and no row", "a row for each image", AGAIN)
    return entries


@functools.lru_cache(maxsize=4096)
def _about(names: tuple[str, ...], told: tuple[str, ...]) -> Mapping[str, str | float | None]:
    """Read what a row tells beside its labels; a value that cannot be one is not known. Equal rows share it."""
    given = dict(zip(names, told, strict=True))
    choices = {"sex": ("F", "M"), "view": ("PA", "AP")}
    read = {name: given[name] if given[name] in choices[name] else "" for name in choices if name in given}
    return {**({"age": _years(given["age"])} if "age" in given else {}), **read}


def _years(text: str) -> float | None:
    """Return an age in whole years; None if it is none, or beyond what anybody has reached.

    The older csv says "058Y", "005M" or "013D", and has ages such as 411, which are slips.
    """
    found = _AGE.fullmatch(text)
    if not found:
        return None
    years = int(found[1]) // _PARTS_OF_A_YEAR[found[2].upper()]
    return years if years <= _OLDEST else None


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
