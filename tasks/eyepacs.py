"""EyePACS: 88,702 colour photographs of the fundus, graded for diabetic retinopathy (Kaggle, 2015).

The folders ``train`` and ``test`` are the official split; ``test`` and the labels may be absent. Photographs come from
many cameras, 2592×1944 to 4928×3264 pixels, some upside down, which is kept: nothing in the files says so. What is
black around the field of view is cut away, see `FIELD_LEVEL`; the image store squashes what is left to a square.

The grade 0 to 4 becomes four labels "DR >= 1" to "DR >= 4" (none, mild, moderate, severe, proliferative): they keep the
order of the grades, and "DR >= 2" is referable disease. No task uses them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataDamaged, DataMissing, EdenError
from eden_bench.registry import register_dataset
from tasks.phantom import FUNDUS_VERSION
from tasks.reading.files import damaged, need_folder, no_masks, read_table, readable

if TYPE_CHECKING:
    import numpy as np

GRADES = 5
LABELS = tuple(f"DR >= {grade}" for grade in range(1, GRADES))

FIELD_LEVEL = 0.15
"""A pixel is in the field of view where its brightest channel is above this share of the photograph's 98th percentile;
the box around the largest such part is cut out."""

Split = Literal["train", "test"]

_CSV: Mapping[Split, tuple[str, ...]] = {
    "train": ("trainLabels.csv",),
    "test": ("retinopathy_solution.csv", "testLabels.csv"),
}
_IMAGES: Mapping[Split, int] = {"train": 35_126, "test": 53_576}
_NAME = re.compile(r"((\d{1,9})_(left|right))\.(jpeg|jpg|png)", re.IGNORECASE)
_EXPECTED = "train/10_left.jpeg … and trainLabels.csv"
_AGAIN = "unpack train.zip and trainLabels.csv.zip again into EDEN_BENCH_DATA/eyepacs"


@dataclass(frozen=True)
class _Found:
    """Files and entries of one of the two folders."""

    images: Mapping[str, Path]
    grades: Mapping[str, int] | None
    """None where there is no csv."""

    @property
    def usable(self) -> list[str]:
        """Images that have a grade, or all of them if none has."""
        return sorted(name for name in self.images if self.grades is None or name in self.grades)


class EyePACS:
    """Reader of EyePACS."""

    name = "eyepacs"
    card = DatasetCard(
        title="EyePACS: diabetic retinopathy (black border cut off, field of view squashed to a square)",
        modality="fundus",
        citation="Diabetic Retinopathy Detection, Kaggle and EyePACS, 2015; Cuadros and Bresnick, JDST 3 (2009) 509",
        licence="rules of the Kaggle competition: for research; not to be passed on",
        source="Kaggle, https://www.kaggle.com/c/diabetic-retinopathy-detection/data (train.zip, trainLabels.csv.zip)",
        folders=("eyepacs", "diabetic-retinopathy-detection", "kaggle-dr"),
        expected_images=sum(_IMAGES.values()),
        pretraining_set=True,
    )
    phantom_patients = 120
    phantom_version = FUNDUS_VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images on disk with their grades; the folder determines the split.

        Raises:
            DataMissing: there are no training images; says what was expected where.
            DataDamaged: a row of a csv is wrong, an image stands twice, or a patient is in both folders.
        """
        return _index(root, _find(root))

    def read_image(self, item: Item) -> np.ndarray:
        """Decode a photograph and crop the black surroundings of the field of view: (H, W, 3) uint8.

        Raises:
            DataDamaged: it cannot be decoded, or is black all over.
        """
        from tasks.reading.fundus import cropped_to_field
        from tasks.reading.pictures import read_colour

        image = cropped_to_field(read_colour(self.name, item.image, ("JPEG", "PNG")), FIELD_LEVEL)
        if not image.size:
            raise damaged(self.name, item.image, "is black all over", "a photograph", "unpack or copy it again")
        return image

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Raise DataMissing: the dataset has no masks."""
        raise no_masks(self.name, item.id, structure, "drive")

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image, sizes, patients, grades and the entries of the csv files."""
        from tasks.reading.checking import describe, look_at_all

        try:
            found = _find(root)
            index = _index(root, found)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress)
        return [*describe(index, looks), *_grade_findings(found)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as JPEG and csv, two eyes a patient."""
        from tasks.phantom.layouts.eyepacs import write_eyepacs

        write_eyepacs(root, patients=patients, seed=seed, progress=progress)


def _index(root: Path, found: Mapping[Split, _Found]) -> DatasetIndex:
    items = [
        Item(
            id=name,
            patient=name.partition("_")[0],
            split=split,
            image=part.images[name],
            labels=() if part.grades is None else tuple(float(part.grades[name] >= k) for k in range(1, GRADES)),
        )
        for split, part in found.items()
        for name in part.usable
    ]
    phantom = (root / PHANTOM).is_file()
    return DatasetIndex(
        dataset="eyepacs",
        root=root,
        items=tuple(sorted(items, key=lambda item: item.id)),
        expected_images=sum(_IMAGES[split] for split, part in found.items() if part.images),
        label_names=() if found["train"].grades is None else LABELS,
        phantom=phantom,
        notes=tuple(note for split, part in found.items() for note in _notes(split, part, phantom)),
    )


def _find(root: Path) -> dict[Split, _Found]:
    splits: tuple[Split, ...] = ("train", "test")
    with readable("eyepacs", root):
        need_folder("eyepacs", root, _EXPECTED, _AGAIN)
        found = {split: _Found(_images(root, split), _grades(root, split)) for split in splits}
    if not found["train"].usable:
        raise DataMissing(
            f"eyepacs: {root}/train has no images that trainLabels.csv names, expected {_EXPECTED}: {_AGAIN}"
        )
    patients = [{name.partition("_")[0] for name in found[split].usable} for split in splits]
    if both := patients[0] & patients[1]:
        raise DataDamaged(f"eyepacs: patient {min(both)} is in train/ and in test/, expected one of them: {_AGAIN}")
    return found


def _images(root: Path, split: Split) -> dict[str, Path]:
    """List the images of a folder, or of a folder of the same name in it, as archivers make it."""
    images: dict[str, Path] = {}
    outer = next((path for path in sorted(root.iterdir()) if path.name.casefold() == split and path.is_dir()), None)
    for folder in (outer, outer / split) if outer else ():
        for match in filter(None, map(_NAME.fullmatch, sorted(os.listdir(folder)) if folder.is_dir() else ())):  # noqa: PTH208 - 53,576 names
            name, path = match[1].lower(), folder / match[0]
            if name in images:
                raise damaged("eyepacs", path, f"is a second image of {name}", f"only {images[name]}", "remove one")
            images[name] = path
    return images


def _grades(root: Path, split: Split) -> dict[str, int] | None:
    path = _csv(root, split)
    if path is None:
        return None
    grades: dict[str, int] = {}
    for row, (name, level) in read_table("eyepacs", path, ("image", "level")):
        name = name.lower().removesuffix(".jpeg")
        if not _NAME.fullmatch(f"{name}.jpeg"):
            raise damaged("eyepacs", path, f"row {row} has the image {name[:40]!r}", "one like 10_left", _AGAIN)
        if name in grades:
            raise damaged("eyepacs", path, f"row {row} names {name} again", "each image once", _AGAIN)
        if level not in map(str, range(GRADES)):
            raise damaged("eyepacs", path, f"row {row} has the level {level[:20]!r}", "0, 1, 2, 3 or 4", _AGAIN)
        grades[name] = int(level)
    return grades


def _csv(root: Path, split: Split) -> Path | None:
    wanted = [name.casefold() for name in _CSV[split]]
    places = [root, *(path for path in sorted(root.iterdir()) if path.is_dir() and path.name.casefold() in wanted)]
    files = (path for place in places for path in sorted(place.iterdir()) if not path.is_dir())
    return next((path for path in files if path.name.casefold() in wanted), None)


def _notes(split: Split, part: _Found, phantom: bool) -> Iterator[str]:
    if not part.images:
        yield f"eyepacs: {split}/ is absent; its {_IMAGES[split]:,} images are not needed for pretraining"
        return
    if part.grades is None:
        yield f"eyepacs: {_CSV[split][0]} is absent, so the images of {split}/ have no grades; pretraining needs none"
        return
    absent = len(part.grades) - len(part.usable)
    if absent and not phantom:
        yield f"eyepacs: {len(part.usable):,} of the {len(part.grades):,} images that {_CSV[split][0]} names are here"
    if strange := sorted(set(part.images) - set(part.usable)):
        yield f"eyepacs: {len(strange):,} images of {split}/ are not in the csv and are left out, as {strange[0]}"


def _grade_findings(found: Mapping[Split, _Found]) -> Iterable[Finding]:
    for split, part in found.items():
        if part.grades is not None and part.usable:
            grades = [part.grades[name] for name in part.usable]
            counts = ", ".join(f"{grades.count(k):,}" for k in range(GRADES))
            yield Finding("ok", f"grades 0 to 4 in {split}/: {counts} images")


eyepacs = register_dataset(EyePACS())
