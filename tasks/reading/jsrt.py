"""JSRT files: headerless .IMG radiographs and the clinical text (Shiraishi et al., AJR 2000)."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tasks.reading.files import damaged, read_lines, readable, size_of

SIDE_PX = 2048
_BYTES = SIDE_PX * SIDE_PX * 2
_HIGHEST = 4095
_GREY = np.rint(255 * (1 - np.arange(_HIGHEST + 1) / _HIGHEST)).astype(np.uint8)
"""Optical density to grey: the film is dark where air let the rays through, and dark is a high value."""


class Nodule(NamedTuple):
    """One nodule of the clinical text."""

    image: str
    """File name, for example "JPCLN001.IMG"."""
    subtlety: int
    """1 (extremely subtle) to 5 (obvious)."""
    size_mm: float
    age: int | None
    """Years; None where the file says "?"."""
    sex: str
    x: int
    """Centre, in pixels of the 2048-px image."""
    y: int
    malignant: bool
    site: str


def read_img(dataset: str, path: Path) -> np.ndarray:
    """Decode an .IMG file: no header, 2048 × 2048 big-endian uint16 of which 12 bits are used, high where air is.

    Returns:
        (2048, 2048) uint8, air dark and bone bright.

    Raises:
        DataDamaged: another number of bytes, one value alone, or values above 12 bits (a little-endian copy).
    """
    size = size_of(dataset, path)
    if size != _BYTES:
        expected = f"{_BYTES:,} (2048×2048 pixels of 2 bytes, no header)"
        raise damaged(dataset, path, f"has {size:,} bytes", expected, "unpack All247images again")
    with readable(dataset, path):
        raw = np.fromfile(path, ">u2").astype(np.uint16)
    if raw.max() > _HIGHEST:
        found = f"holds the value {raw.max()}"
        raise damaged(dataset, path, found, f"at most {_HIGHEST} (12 bits, big-endian)", "put the original file back")
    if raw.min() == raw.max():
        raise damaged(dataset, path, f"holds {raw.max()} alone", "a radiograph", "unpack All247images again")
    return as_grey(raw).reshape(SIDE_PX, SIDE_PX)


def as_grey(raw: np.ndarray) -> np.ndarray:
    """Return optical densities of 12 bits as uint8, air dark."""
    return np.take(_GREY, raw)


def read_nodules(dataset: str, path: Path) -> tuple[Nodule, ...]:
    """Read the clinical text of the nodule cases; its lines end in CR alone.

    Raises:
        DataDamaged: a line has not the nine fields; names the line.
    """
    return tuple(_nodule(dataset, path, number, line) for number, line in enumerate(read_lines(dataset, path), 1))


def _nodule(dataset: str, path: Path, number: int, line: str) -> Nodule:
    fields = [field.strip() for field in line.split("\t") if field.strip()]
    try:
        image, subtlety, size_mm, age, sex, x, y, kind, site = fields[:9]
        years = None if age == "?" else int(age)
        malignant = kind.casefold().startswith("malignant")
        return Nodule(image, int(subtlety), float(size_mm), years, sex, int(x), int(y), malignant, site)
    except ValueError as error:
        expected = "name, subtlety, size, age, sex, x, y, malignant or benign, and site between tabs"
        raise damaged(
            dataset, path, f"line {number} reads {line[:60]!r}", expected, "put the original file back"
        ) from error
