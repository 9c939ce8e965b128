"""Malformed files over all readers: one small dataset in its real layout, one broken file, what a user does, a verdict.

Cases run in a child process with 1 GiB of address space above what it has when the whole datasets have been read, and
a clock of processor time that ends it; the parent then says which case it was and goes on behind it. A case passes
where every error is one of ours, is one line and names the file, and everything else still reads:

- a broken image or mask spoils its own item alone;
- a broken list spoils the index, in one sentence, or only what is read from that list (boxes, readings);
- a file that may be read nevertheless says why (``Change.harmless``, ``Role.harmless``), and then nothing is refused.

The sample is a fixed part of all cases that leaves no role out.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eden_bench import registry
from tests.tasks.hostile.content import FORMS, PLACES, Change
from tests.tasks.hostile.lists import BOX_14, LISTS, TOMLS, write_folder_task, write_kaggle
from tests.tasks.hostile.pictures import JPEG_LIES, TIFF_LIES
from tests.tasks.hostile.roles import ANY_GIF, ANY_PNG, FEWER, FOLDER, GREY_ROWS, KAGGLE, Role

LIMIT_S = 5.0
"""Of processor time, for all that a user does with one broken file."""
LIMIT_MIB = 1024
PATIENTS = 4
"""Of every phantom."""
_GOLDEN = 0.618

_SHORT_LIST = {
    **dict.fromkeys(("cut to a byte", "cut to 40 bytes", "cut in half", "cut by a tenth"), FEWER),
    "names with more behind them": "lists that are passed around have labels there",
}
_ANY_FORMAT = dict.fromkeys(
    ("JPEG under its name", "TIFF under its name", "PNG under its name, of one pixel"),
    "the content says the format, and a folder may hold any",
)
_NO_END = "the pixels are whole, only the mark behind them is cut"
_PIXELS_THERE = dict.fromkeys(
    ("strip of 2^31 bytes", "directory that leads to itself"), "one whole picture is there, and no more is read"
)
_WHOLE = "one pixel", "one row", "bomb of 64 megapixels", "packed bomb of 64 megapixels"
_BOMBS = "colour bomb of 64 megapixels", "10^9 frames", "palette that is absent"
_ANY_SIZE = {
    **dict.fromkeys((*_WHOLE, *_BOMBS), "a whole picture, and masks may have any size and be empty"),
    "pixels that unpack to 200 MiB": "what follows the last row is never unpacked",
}

_OF_A_FOLDER = (
    Role(FOLDER, "images/a.png", "item", ANY_PNG, {"cut by a tenth": _NO_END}),
    Role(FOLDER, "images/b.jpg", "item", (*FORMS, *PLACES, *JPEG_LIES), GREY_ROWS),
    Role(FOLDER, "masks/a.gif", "item", ANY_GIF, {**_ANY_SIZE, **_ANY_FORMAT}),
    Role(FOLDER, "masks/b.tif", "item", (*FORMS, *PLACES, *TIFF_LIES), {**_ANY_SIZE, **_PIXELS_THERE}),
    Role(FOLDER, "lists/train.txt", "index", (*FORMS, *PLACES, *LISTS), _SHORT_LIST),
    Role(FOLDER, "task.toml", "index", (*FORMS, *PLACES, *TOMLS)),
)


def _roles_of(dataset: str) -> tuple[Role, ...]:
    """Return the files that a reader's own test lists."""
    roles: tuple[Role, ...] = importlib.import_module(f"tests.tasks.test_{dataset.replace('-', '_')}").ROLES
    return roles


ROLES = (*(role for dataset in registry.datasets.names() for role in _roles_of(dataset)), *_OF_A_FOLDER)


@dataclass(frozen=True)
class Case:
    """One broken file."""

    role: Role
    change: Change

    @property
    def name(self) -> str:
        """For example "scr | *.IMG | empty"."""
        return f"{self.role.reader} | {self.role.file} | {self.change.name}"

    @property
    def harmless(self) -> str:
        """Why the file may be read nevertheless; "" where it must be refused."""
        return self.role.harmless.get(self.change.name, self.change.harmless)


def cases() -> list[Case]:
    """Return every case, dataset by dataset; a superuser may read anything, so unreadable files are none then."""
    every = (Case(role, change) for role in ROLES for change in role.changes)
    return [case for case in every if case.change.name != "unreadable" or os.geteuid()]


def sample(of_reader: int) -> list[Case]:
    """Return about so many cases of each reader: as many of each role, evenly spaced, a role's first another time."""
    chosen, every = [], cases()
    for number, role in enumerate(ROLES):
        known = [case for case in every if case.role is role]
        roles = [other for other in ROLES if other.reader == role.reader]
        count = min(len(known), max(1, -(-(of_reader - roles.index(role)) // len(roles))))
        step, first = len(known) / count, number * _GOLDEN % 1
        chosen += [known[int((first + place) * step)] for place in range(count)]
    return chosen


class Result(NamedTuple):
    """What came of one case."""

    name: str
    cpu_s: float
    wall_s: float
    peak_mib: float
    said: str
    """The first error, or an empty string."""
    failures: tuple[str, ...]


def write_base(root: Path, readers: Collection[str] | None = None) -> None:
    """Write datasets once: the phantom of a few patients in its own layout."""
    from eden_bench.data.dataset_folders import reader

    known = registry.datasets.names()
    readers = (*known, KAGGLE, FOLDER) if readers is None else readers
    for name in {*known} & {*readers, *(["vindr-cxr"] if KAGGLE in readers else [])}:
        reader(name).write_phantom(root / name, patients=PATIENTS, seed=0)
    if "chestxray14" in readers:
        with (root / "chestxray14/BBox_List_2017.csv").open("a") as boxes:
            boxes.write(BOX_14.format("5"))  # the phantom of so few patients has none
    if KAGGLE in readers:
        write_kaggle(root / "vindr-cxr", root / KAGGLE)
    if FOLDER in readers:
        write_folder_task(root / FOLDER)


def run(names: Sequence[str], base: Path, work: Path) -> Iterator[Result]:
    """Run cases in a child process, and in another one behind a case that ended it."""
    left = list(names)
    while left:
        lines = _child(left, base, work / str(len(left)))
        started = [line["start"] for line in lines if "start" in line]
        done = [Result(*line["result"]) for line in lines if "result" in line]
        yield from (result._replace(failures=tuple(result.failures)) for result in done)
        if not started:
            raise RuntimeError(f"the child process ended before its first case: {lines[-1]['end']}")
        if len(done) < len(started):
            yield Result(str(started[-1]), LIMIT_S, 0.0, 0.0, "", (f"the process ended: {lines[-1]['end']}",))
        left = left[len(started) :]


def _child(names: Sequence[str], base: Path, work: Path) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.tasks.hostile.child", str(base), str(work)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    child = subprocess.run(command, input=json.dumps(list(names)), env=environment, capture_output=True, text=True)
    end = f"code {child.returncode}, {child.stderr[-300:]!r}"
    return [*map(json.loads, child.stdout.splitlines()), {"end": end}]
