"""Published numbers as data: the Adam paper's figures and Table 1, each with its source and how it was read.

The table itself is ``published.toml`` beside this file; here it becomes typed rows, in the units that records store.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

FILE = Path(__file__).with_suffix(".toml")
Read = Literal["figure", "printed"]
_ABSENT, _SHORT = "–", "~0"


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a set of published numbers stands and how it was read."""

    name: str
    """Its heading in the file, for example "fig3"."""
    source: str
    where: str
    """Place in the source, for example "Fig. 3"."""
    read: Read
    how: str
    bars: str
    """What its deviations are, as far as is told."""
    runs: int
    """Runs behind each mean."""
    pretraining: str
    """Our name of the dataset that what is pretrained was pretrained on."""
    mean_within: float = 0.0
    """Error of reading a mean, as a share."""
    half_within: float = 0.0
    """Error of reading half an error bar, as a share."""

    @property
    def text(self) -> str:
        """Place and way of reading in words."""
        return f"{self.where} of {self.source}, {'read off the figure' if self.read == 'figure' else 'printed'}"


@dataclass(frozen=True, kw_only=True)
class Published:
    """One published number."""

    source: Source
    method: str
    """Our name of it, or of a protocol's variant."""
    task: str
    shots: int | None
    mean: float
    """As scores are stored: a share, not percent."""
    deviation: float | None
    """Half the error bar, read as s.d.; None where none is published or it is too short to read."""
    text: str
    """As it stands in the file, in percent."""
    note: str = ""

    @property
    def n(self) -> int:
        """Runs behind the mean."""
        return self.source.runs


class Stars(NamedTuple):
    """A significance mark of a figure: Adam against the top self-supervised baseline."""

    first: Published
    second: Published
    stars: str
    """"" where it is printed as not significant."""


@cache
def published() -> tuple[Published, ...]:
    """Return every published number, in the order of the file."""
    return tuple(row for name, content in _content().items() for row in _rows(_source(name, content), content))


def of_source(name: str) -> list[Published]:
    """Return the published numbers of one source, for example "fig3".

    >>> [row.mean for row in of_source("drive") if row.method == "adam"]
    [0.7995]
    """
    return [row for row in published() if row.source.name == name]


def find(task: str, shots: int | None, method: str) -> list[Published]:
    """Return what is published of a method on a task; several where two figures show it."""
    return [row for row in published() if (row.task, row.shots, row.method) == (task, shots, method)]


def stars(name: str) -> list[Stars]:
    """Return the significance marks that a source prints, by task in its order."""
    rows = {(row.task, row.method): row for row in of_source(name)}
    marks: Mapping[str, Sequence[str]] = _content()[name].get("stars", {})
    return [Stars(rows[task, "adam"], rows[task, other], mark) for task, (other, mark) in marks.items()]


def printed_gains(name: str) -> Mapping[tuple[str, int | None], float]:
    """Return the gains over the second best that a source prints, by task and shots, as a share."""
    content = _content()[name]
    gains = content.get("gains", {}).get("adam", "").split()
    return {_place(task): _share(gain) for task, gain in zip(content["tasks"].split(), gains, strict=False)}


@cache
def _content() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def _source(name: str, content: Mapping[str, Any]) -> Source:
    told = {key: value for key, value in content.items() if key not in ("tasks", "rows", "stars", "gains")}
    within = {key: told.pop(key) / 100 for key in ("mean_within", "half_within") if key in told}
    return Source(name=name, **told, **within)


def _rows(source: Source, content: Mapping[str, Any]) -> Iterator[Published]:
    tasks = content["tasks"].split()
    for method, entries in content["rows"].items():
        for place, text in zip(tasks, entries.split(), strict=True):
            if text != _ABSENT:
                yield _row(source, method, place, text)


def _row(source: Source, method: str, place: str, text: str) -> Published:
    (task, shots), (mean, _, half) = _place(place), text.partition("±")
    too_short = half == _SHORT
    return Published(
        source=source,
        method=method,
        task=task,
        shots=shots,
        mean=_share(mean),
        deviation=_share(half) if half and not too_short else None,
        text=text,
        note="its error bar is too short to read" if too_short else "" if half else "no deviation is published",
    )


def _place(text: str) -> tuple[str, int | None]:
    task, _, shots = text.partition("@")
    return task, int(shots) if shots else None


def _share(percent: str) -> float:
    """Convert percent to a share, to the last digit written (0.9072, not 0.9072000000000001)."""
    return round(float(percent) / 100, 6)
