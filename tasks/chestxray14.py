"""NIH ChestX-ray14: 112,120 frontal radiographs of 30,805 patients with 14 labels (Wang et al., CVPR 2017).

The official lists are the split. Any part of the images will do: what the csv names and the disk does not hold is
simply no item, and is said.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eden_bench.contracts import PHANTOM, Box, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import ClassificationTask
from tasks.phantom import VERSION
from tasks.reading.files import damaged, files_under, need_folder, no_masks, read_lines, readable
from tasks.reading.nih import AGAIN, BOX_SIDE_PX, IMAGE, LABELS, Entry, in_own_pixels, inside, read_boxes, read_entries

if TYPE_CHECKING:
    import numpy as np

_ENTRIES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
_LISTS: Mapping[Literal["train", "test"], str] = {"train": "train_val_list.txt", "test": "test_list.txt"}
_BOXES = "BBox_List_2017.csv"
_FOLDER = re.compile(r"images(_\d+)?", re.IGNORECASE)
_EXPECTED = "images/ or images_001/images/ …, Data_Entry_2017_v2020.csv, train_val_list.txt and test_list.txt"


@dataclass(frozen=True)
class _Found:
    """Files and entries of a folder."""

    images: Mapping[str, Path]
    repeated: int
    entries: Mapping[str, Entry]
    splits: Mapping[str, Literal["train", "test"]]
    boxes: Mapping[str, list[Box]] | None
    """Image to its boxes in pixels of the 1024-px image, here or not; None where there is no list of boxes."""
    no_boxes: str = ""
    """Why there is none."""

    @cached_property
    def usable(self) -> list[str]:
        """Images on disk that the csv and a list name, sorted."""
        return sorted(name for name in self.images if name in self.entries and name in self.splits)

    def strangers(self) -> Iterator[tuple[list[str], str]]:
        """Yield images on disk that are missing from the csv or from both lists, and which of the two."""
        for known, where in ((self.entries, "the csv"), (self.splits, "train_val_list.txt or test_list.txt")):
            if names := sorted(name for name in self.images if name not in known):
                yield names, where


class ChestXray14:
    """Reader of NIH ChestX-ray14."""

    name = "chestxray14"
    card = DatasetCard(
        title="NIH ChestX-ray14",
        modality="chest-x-ray",
        citation="Wang et al., CVPR 2017, arXiv:1705.02315",
        licence="no restrictions on use; name the NIH Clinical Center as the source and cite the paper",
        source="NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
        folders=("chestxray14", "nih_chestxray14", "ChestX-ray14", "NIH", "CXR8"),
        expected_images=112_120,
        shareable=True,
        pretraining_set=True,
    )
    phantom_patients = 320
    phantom_version = VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images on disk with their labels and official split.

        Raises:
            DataMissing: no images, csv or lists; says what was expected where.
            DataDamaged: a row, a label or a list contradicts what is known; names file, row and remedy.
        """
        return self._index_of(root, _find(root))

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one PNG, grey or RGBA, to (H, W) uint8; 1024 × 1024 in the original."""
        from tasks.reading.pictures import read_grey

        return read_grey(self.name, item.image, ("PNG",))

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Raise DataMissing: the dataset has no masks."""
        raise no_masks(self.name, item.id, structure, "scr")

    def boxes(self, root: Path) -> tuple[tuple[str, Box], ...]:
        """Read image and box of single findings, in pixels of 1024: 984 on 880 test images, whether these are on disk.

        Raises:
            DataMissing: the list of boxes is absent.
            DataDamaged: a row has no four numbers or an unknown label; names it.
        """
        return tuple(read_boxes(_need_file(root, (_BOXES,))))

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image, sizes, orientation, patients, lists and boxes."""
        from tasks.reading.checking import describe, look_at_all

        try:
            found = _find(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        index = self._index_of(root, found)
        looks = look_at_all(self, index.items, progress)
        return [*describe(index, looks), *_box_findings(found)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as PNG, csv and lists."""
        from tasks.phantom.layouts.chestxray14 import write_chestxray14

        write_chestxray14(root, patients=patients, seed=seed, progress=progress)

    def _index_of(self, root: Path, found: _Found) -> DatasetIndex:
        items = tuple(
            Item(
                id=name,
                patient=found.entries[name].patient,
                split=found.splits[name],
                image=found.images[name],
                labels=found.entries[name].labels,
                boxes=_own_boxes(found, name),
                about=found.entries[name].about,
            )
            for name in found.usable
        )
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=self.card.expected_images,
            label_names=LABELS,
            phantom=(root / PHANTOM).is_file(),
            notes=tuple(_notes(found)),
        )


def _box_findings(found: _Found) -> Iterator[Finding]:
    if found.boxes is None:
        yield Finding("note", found.no_boxes)
        return
    boxes = [(name, box) for name, drawn in found.boxes.items() for box in drawn]
    here = len(found.boxes.keys() & set(found.usable))
    yield Finding("ok", f"{len(boxes):,} boxes on {len(found.boxes):,} images, of which {here:,} are here")
    outside = [name for name, box in boxes if not inside(box)]
    if outside:
        text = f"{len(outside)} boxes leave the {BOX_SIDE_PX} px they refer to, for example on {outside[0]}"
        yield Finding("note", f"{text}; they are left out")


def _own_boxes(found: _Found, name: str) -> tuple[Box, ...] | None:
    """Return the boxes of an image in its own pixels; None where nobody looked for any."""
    drawn = None if found.boxes is None else found.boxes.get(name)
    if drawn is None:
        return None
    return tuple(in_own_pixels(box, found.images[name]) for box in drawn if inside(box))


def _find(root: Path) -> _Found:
    with readable("chestxray14", root):
        need_folder("chestxray14", root, _EXPECTED, f"unpack the archives into EDEN_BENCH_DATA/{root.name}")
    entries = read_entries(_need_file(root, _ENTRIES))
    splits = _splits(root, entries)
    with readable("chestxray14", root):
        images, repeated = _images(root)
    boxes, no_boxes = _boxes(root)
    found = _Found(images, repeated, entries, splits, boxes, no_boxes)
    if not found.usable:
        raise DataMissing(
            f"chestxray14: {root} has none of the {len(entries):,} images that its csv and lists name, expected them "
            f"in images/ or images_001/images/ …: {_what_to_do(root)}"
        )
    return found


def _boxes(root: Path) -> tuple[dict[str, list[Box]] | None, str]:
    """Return image to boxes, and why there are none: a list that is absent or damaged stops no task but its own."""
    boxes: dict[str, list[Box]] = {}
    try:
        for name, box in read_boxes(_need_file(root, (_BOXES,))):
            boxes.setdefault(name, []).append(box)
    except EdenError as error:
        return None, str(error)
    return boxes, ""


def _what_to_do(root: Path) -> str:
    """Suggest a remedy if no image was found: rename or convert files under another name, else unpack."""
    with readable("chestxray14", root):
        folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower().startswith("images"))
        for folder in folders:
            pictures = [path for path in files_under(folder, 2) if path.suffix.lower() in (".png", ".jpg", ".jpeg")]
            if pictures and pictures[0].suffix.lower() != ".png":
                return f"{folder.name}/ holds copies such as {pictures[0].name}; use the original PNG files"
            if pictures and not _FOLDER.fullmatch(folder.name):
                return f"rename {folder.name}/, which holds {pictures[0].name}, to images/"
    return "unpack images_001.tar.gz and those after it there"


def _images(root: Path) -> tuple[dict[str, Path], int]:
    """List every PNG of the image folders by name (links followed), and count names that occur twice."""
    images: dict[str, Path] = {}
    repeated = 0
    for folder in sorted(path for path in root.iterdir() if _FOLDER.fullmatch(path.name) and path.is_dir()):
        for inner in (folder, folder / "images"):
            for name in sorted(os.listdir(inner)) if inner.is_dir() else ():  # noqa: PTH208 - 112,120 names
                if name.lower().endswith(".png") and not name.startswith("."):
                    name_in_csv = name[: -len(".png")] + ".png"
                    repeated += name_in_csv in images
                    images.setdefault(name_in_csv, inner / name)
    return images, repeated


def _splits(root: Path, entries: Mapping[str, Entry]) -> dict[str, Literal["train", "test"]]:
    """Return image to split by the official lists; validate that no image and no patient leaks between them."""
    splits: dict[str, Literal["train", "test"]] = {}
    patients: dict[str, str] = {}
    for split, file in _LISTS.items():
        path = _need_file(root, (file,))
        for name in read_lines("chestxray14", path):
            if not IMAGE.fullmatch(name):
                raise damaged("chestxray14", path, f"has the line {name[:40]!r}", "a name with .png", AGAIN)
            if splits.setdefault(name, split) != split:
                raise damaged("chestxray14", path, f"names {name}", f"no image of {_LISTS['train']}", AGAIN)
            patient = entries[name].patient if name in entries else name.partition("_")[0]
            if patients.setdefault(patient, split) != split:
                found = f"names {name} of patient {patient}"
                raise damaged("chestxray14", path, found, f"no patient of {_LISTS['train']}", AGAIN)
    return splits


def _need_file(root: Path, names: Iterable[str]) -> Path:
    with readable("chestxray14", root):
        there = {path.name.casefold(): path for path in root.iterdir()}
    for name in names:
        if name.casefold() in there:
            return there[name.casefold()]
    first = next(iter(names))
    raise DataMissing(f"chestxray14: {root} has no {first}, expected it beside the images: {AGAIN}")


def _notes(found: _Found) -> Iterator[str]:
    absent = len(found.entries) - len(found.usable)
    if absent:
        yield f"chestxray14: {len(found.usable):,} of the {len(found.entries):,} images that the csv names are here"
    for names, where in found.strangers():
        yield f"chestxray14: {len(names):,} images are not in {where} and are left out, for example {names[0]}"
    if found.repeated:
        yield f"chestxray14: {found.repeated:,} images stand in two folders; the first is read"


chestxray14 = register_dataset(ChestXray14())

chestxray14_task = register_task(
    ClassificationTask(name="chestxray14", dataset="chestxray14", title="ChestX-ray14 classification, 14 labels")
)
