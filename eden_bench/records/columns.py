"""Parse a file of cases into columns: text as it stands, numbers to the bits that were written."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TEXTS = ("case", "patient", "sex", "view")
"""Columns that are text, even where every entry reads as a number."""
_HEAD = 1 << 16
"""Bytes in which a header and a first line are looked for."""
_MOST_SPLIT = 20_000
"""Entries up to which splitting lines is faster than a parser that must first be started."""


def columns(content: bytes, wanted: Sequence[str], rows: int) -> dict[str, np.ndarray]:
    """Return columns of a CSV file: float64 where every entry is a number or empty (NaN), else text (object).

    Args:
        content: the file.
        wanted: names of columns that it has.
        rows: how many there are, by which the way of parsing is chosen; what is read is the same.

    Raises:
        ValueError: it is no such file.
    """
    texts = _split(content.decode(), wanted) if len(wanted) * rows <= _MOST_SPLIT else None
    return _parsed(content, wanted) if texts is None else {name: _typed(name, texts[name]) for name in wanted}


def _split(text: str, wanted: Sequence[str]) -> Mapping[str, list[str]] | None:
    """Split text at its commas; None where an entry is quoted, or lines differ in length."""
    if '"' in text or "\r" in text:
        return None
    names = text.partition("\n")[0].split(",")
    places = list(map(names.index, wanted))
    first = max(places, default=0) + 1
    rows = _first_entries(text, first) if first < len(names) // 2 else _all_entries(text, len(names))
    return None if rows is None else {name: rows[place] for name, place in zip(wanted, places, strict=True)}


def _first_entries(text: str, count: int) -> list[list[str]] | None:
    """Return the first columns of many, without their header; None where a line has fewer."""
    lines = [line.split(",", count) for line in text.split("\n")[1:] if line]
    if set(map(len, lines)) - {count + 1}:
        return None
    return list(map(list, islice(zip(*lines, strict=True), count))) if lines else [[] for _ in range(count)]


def _all_entries(text: str, width: int) -> list[list[str]] | None:
    """Return all columns, without their header; None where a line has another number."""
    entries = text.rstrip("\n").replace("\n", ",\n").split(",")
    first = "".join(entries[width::width]).split("\n")[1:]  # each begins with the line break before it
    lines, rest = divmod(len(entries), width)
    if rest or len(first) != lines - 1:  # a line begins in another column
        return None
    return [first, *(entries[width + place :: width] for place in range(1, width))]


def _parsed(content: bytes, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    first = next(csv.DictReader(io.StringIO(content[:_HEAD].decode("utf-8", "ignore"))), {})
    texts = {name for name in wanted if name in TEXTS or not _is_number(first.get(name) or "")}
    try:
        found = _read_as(content, {name: object if name in texts else float for name in wanted})
        return {name: found[name].to_numpy() for name in wanted}
    except (ValueError, OverflowError):  # a column that begins with a number or nothing holds text further down
        found = _read_as(content, dict.fromkeys(wanted, object))
        return {name: _typed(name, found[name].tolist()) for name in wanted}


def _read_as(content: bytes, kinds: Mapping[str, type]) -> pd.DataFrame:
    """Read columns as text or as numbers, which pandas rounds as Python does; an empty entry of numbers is NaN.

    Raises:
        ValueError: a column of numbers holds text.
    """
    import pandas as pd

    empty = {name: ["", "nan"] for name, kind in kinds.items() if kind is float}
    exact: dict[str, Any] = {} if _parts(pd.__version__) >= (3, 1) else {"float_precision": "round_trip"}
    found: pd.DataFrame = pd.read_csv(
        io.BytesIO(content),
        usecols=list(kinds),
        dtype=dict(kinds),
        na_values=empty,
        na_filter=bool(empty),
        keep_default_na=False,
        index_col=False,
        **exact,  # the default since
    )
    return found


def _parts(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _is_number(value: str) -> bool:
    try:
        float(value or "0")
    except ValueError:
        return False
    return True


def _typed(name: str, texts: list[str]) -> np.ndarray:
    """Convert a column's text to numbers, where all of it is."""
    import numpy as np

    if name not in TEXTS:
        try:
            filled = [text or "nan" for text in texts] if "" in texts else texts
            return np.fromiter(map(float, filled), dtype=float, count=len(filled))
        except ValueError:
            pass
    return np.array(texts, dtype=object)
