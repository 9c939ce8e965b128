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

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tests.tasks.hostile.content import FORMS, PLACES, Change, instead, to_bytes, to_text
from tests.tasks.hostile.dicom import DICOM_LIES
from tests.tasks.hostile.lists import (
    BOX_14,
    BOXES_14,
    CHESTX_DET,
    JSONS,
    LISTS,
    RUNS,
    TABLES,
    TEXTS,
    TOMLS,
    TWICE,
    VINDR_RIB,
    field,
    names,
    numbers,
    write_folder_task,
    write_kaggle,
)
from tests.tasks.hostile.pictures import GIF_LIES, JPEG_LIES, PNG_LIES, PNG_SIZES, TIFF_LIES, picture

LIMIT_S = 5.0
"""Of processor time, for all that a user does with one broken file."""
LIMIT_MIB = 1024
PATIENTS = {"scr": 4, "chestxray14": 4, "shenzhen": 4, "vindr-cxr": 4, "siim-acr": 4, "chestx-det": 4, "vindr-rib": 4,
            "eyepacs": 4, "drive": 4}  # fmt: skip
_GOLDEN = 0.618
KAGGLE, FOLDER = "vindr-cxr (Kaggle)", "folder task (TOML)"


class Role(NamedTuple):
    """One kind of file of a dataset."""

    reader: str
    file: str
    """Pattern below the dataset's folder; the first file is the one that is broken."""
    spoils: str
    """"item", "index", or the name of what the reader reads from it alone."""
    changes: tuple[Change, ...]
    harmless: Mapping[str, str] = {}
    """Name of a change to why this reader may read it, or "" where it must refuse what others may read."""


_CLINICAL = (
    to_text("a line of two fields", lambda text: "JPCLN001.IMG\t4\n" + text),
    to_text("text for a number", lambda text: text.replace("\t4\t", "\tfour\t", 1)),
)
_SITE = "the cut falls into a site, which is any text, and nothing says how many lines there were"
_IMG = (
    to_bytes("two bytes more", lambda content: content + b"\0\0"),
    to_bytes("little endian", lambda content: np.frombuffer(content, "<u2").byteswap().tobytes()),
    instead("PNG under its name", lambda: picture((2048, 2048))),
)
_ROWS = (*FORMS, *PLACES, *TABLES)
_PNG = (*FORMS, *PLACES, *PNG_LIES, *PNG_SIZES)
_GIF = (*FORMS, *PLACES, *GIF_LIES)

VOTES_17, VOTES_18 = (
    tuple(change for change in numbers(column) if not change.name.startswith(("NaN", "nothing"))) for column in (17, 18)
)
"""An empty cell, or NaN, is a reader who said nothing."""

_PART = {"folder": "a part of the images will do, and a note says how many are here"}
_FEWER = "the cut falls between two lines; images that no line names are left out, and a note says how many"
_NO_BOX = dict.fromkeys(("header alone", "cut to 40 bytes"), "a list without boxes is one, as of a small phantom")
_SHORT_LIST = {
    **dict.fromkeys(("cut to a byte", "cut to 40 bytes", "cut in half", "cut by a tenth"), _FEWER),
    "names with more behind them": "lists that are passed around have labels there",
}
_FREE_TEXT = {
    **dict.fromkeys(
        (
            "cut to a byte",
            "cut to 40 bytes",
            "cut in half",
            "cut by a tenth",
            "random bytes of its length",
            "html page",
        ),
        "a reading is free text, and no task needs it",
    ),
    "folder": "not every image has a reading",
}
_ANY_FORMAT = dict.fromkeys(
    ("JPEG under its name", "TIFF under its name", "PNG under its name, of one pixel"),
    "the content says the format, and a folder may hold any",
)
_NO_END = "the pixels are whole, only the mark behind them is cut"
_PIXELS_THERE = dict.fromkeys(
    ("strip of 2^31 bytes", "directory that leads to itself"), "one whole picture is there, and no more is read"
)
_GREY = {"claims 8000×8000": "the decoder fills the rows that are not there with grey and tells nobody"}
_WHOLE = "one pixel", "one row", "bomb of 64 megapixels", "packed bomb of 64 megapixels"
_BOMBS = "colour bomb of 64 megapixels", "10^9 frames", "palette that is absent"
_ANY_SIZE = {
    **dict.fromkeys((*_WHOLE, *_BOMBS), "a whole picture, and masks may have any size and be empty"),
    "pixels that unpack to 200 MiB": "what follows the last row is never unpacked",
}

ROLES = (
    Role("scr", "All247images/JPCLN001.IMG", "item", (*FORMS, *PLACES, *_IMG)),
    Role("scr", "scratch/fold1/masks/heart/JPCLN001.gif", "item", _GIF),
    Role(
        "scr",
        "Clinical_Information/CLNDAT_EN.txt",
        "nodules",
        (*FORMS, *PLACES, *TEXTS, *_CLINICAL),
        {"cut by a tenth": _SITE},
    ),
    Role("chestxray14", "images/00000001_000.png", "item", _PNG),
    Role(
        "chestxray14",
        "Data_Entry_2017_v2020.csv",
        "index",
        (
            *_ROWS,
            *TWICE,
            *names(),
            field("unknown label", 1, "Infiltratoin"),
            field("label of 100,000 letters", 1, "x" * 100_000),
            field("no finding and one", 1, "No Finding|Mass"),
            *numbers(3),
        ),
    ),
    Role("chestxray14", "train_val_list.txt", "index", (*FORMS, *PLACES, *LISTS), {"cut in half": _FEWER}),
    Role("chestxray14", "test_list.txt", "index", (*FORMS, *PLACES, *LISTS), {"cut to 40 bytes": _FEWER}),
    Role("chestxray14", "BBox_List_2017.csv", "boxes", (*_ROWS, *BOXES_14), _NO_BOX),
    Role("shenzhen", "CXR_png/CHNCXR_0001_0.png", "item", _PNG, _PART),
    Role("shenzhen", "mask/CHNCXR_0001_0_mask.png", "item", _PNG, {"folder": "not every image has a mask"}),
    Role("shenzhen", "ClinicalReadings/CHNCXR_0001_0.txt", "readings", (*FORMS, *PLACES, *TEXTS), _FREE_TEXT),
    Role("vindr-cxr", "train/*.dicom", "item", (*FORMS, *PLACES, *DICOM_LIES), _PART),
    Role("vindr-cxr", "annotations/image_labels_train.csv", "index", (*_ROWS, *TWICE, *names(), *VOTES_18)),
    Role("vindr-cxr", "annotations/image_labels_test.csv", "index", (*FORMS, *PLACES, *TWICE, *names(), *VOTES_17)),
    Role(
        "vindr-cxr",
        "annotations/annotations_train.csv",
        "boxes",
        (*_ROWS, *names(), *numbers(4)),
        {"folder": "boxes are read from whichever of the two tables are there, and no task needs them"},
    ),
    Role(KAGGLE, "train.csv", "index", (*_ROWS, *names(), *numbers(2), field("unknown class", 1, "Mass"), *numbers(5))),
    Role("siim-acr", "dicom-images-train/*/*/*.dcm", "item", (*FORMS, *PLACES, *DICOM_LIES), _PART),
    Role(
        "siim-acr",
        "train-rle.csv",
        "index",
        (*_ROWS, *names(), *RUNS),
        {"cut in half": "the cut falls between two pairs, which nobody can see; images without a row are told"},
    ),
    Role("chestx-det", "train_data/36200.png", "item", _PNG, _PART),
    Role("chestx-det", "ChestX_Det_train.json", "index", (*FORMS, *PLACES, *JSONS, *CHESTX_DET)),
    Role("vindr-rib", "data/train/img/VinDr_RibCXR_train_000.png", "item", _PNG, _PART),
    Role("vindr-rib", "data/train/Vindr_RibCXR_train_mask.json", "index", (*FORMS, *PLACES, *JSONS, *VINDR_RIB)),
    Role("eyepacs", "train/1_left.jpeg", "item", (*FORMS, *PLACES, *JPEG_LIES), _GREY),
    Role(
        "eyepacs",
        "trainLabels.csv",
        "index",
        (*_ROWS, *TWICE, *names(), *numbers(1), field("grade 5", 1, "5"), field("negative grade", 1, "-1")),
        {"cut to 40 bytes": _FEWER, "folder": "grades are absent then, a note says so, and pretraining needs none"},
    ),
    Role("drive", "training/images/21_training.tif", "item", (*FORMS, *PLACES, *TIFF_LIES)),
    Role("drive", "training/1st_manual/21_manual1.gif", "item", _GIF),
    Role("drive", "training/mask/21_training_mask.gif", "item", _GIF),
    Role(FOLDER, "images/a.png", "item", _PNG, {"cut by a tenth": _NO_END}),
    Role(FOLDER, "images/b.jpg", "item", (*FORMS, *PLACES, *JPEG_LIES), _GREY),
    Role(FOLDER, "masks/a.gif", "item", _GIF, {**_ANY_SIZE, **_ANY_FORMAT}),
    Role(FOLDER, "masks/b.tif", "item", (*FORMS, *PLACES, *TIFF_LIES), {**_ANY_SIZE, **_PIXELS_THERE}),
    Role(FOLDER, "lists/train.txt", "index", (*FORMS, *PLACES, *LISTS), _SHORT_LIST),
    Role(FOLDER, "task.toml", "index", (*FORMS, *PLACES, *TOMLS)),
)


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


def write_base(root: Path, readers: Collection[str] = (*PATIENTS, KAGGLE, FOLDER)) -> None:
    """Write datasets once: the phantom of a few patients in its own layout."""
    from eden_bench.data.dataset_folders import reader

    for name in PATIENTS.keys() & {*readers, *(["vindr-cxr"] if KAGGLE in readers else [])}:
        reader(name).write_phantom(root / name, patients=PATIENTS[name], seed=0)
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
