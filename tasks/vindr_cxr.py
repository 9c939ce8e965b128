"""VinDr-CXR: 18,000 radiographs read by 3 radiologists each, or 5 in the test set (Nguyen et al., Sci Data 2022).

Two layouts are read: PhysioNet's, with ``image_labels_{train,test}.csv``, and that of the Kaggle competition, whose
``train.csv`` holds boxes only. Images are DICOM, or PNG and JPEG conversions under the same names. The task has the
paper's six outputs; its "PE" is pleural effusion in the group's lists, not pulmonary embolism. A training image is
positive where any of its readers says so, which gives the counts of those lists; ``VinDrCXR(positive_if="vote")``
asks for a majority. "No finding" is treated like the others, so an image can have it and a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from eden_bench.contracts import (
    PHANTOM,
    Context,
    DatasetCard,
    DatasetIndex,
    Finding,
    Item,
    OpenTask,
    Progress,
    no_progress,
)
from eden_bench.errors import DataMissing, EdenError
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import ClassificationTask
from tasks.finetuning.definitions import OfClassification
from tasks.phantom import VERSION
from tasks.reading import vindr
from tasks.reading.files import damaged, files_under, need_folder, no_masks, readable
from tasks.reading.vindr import AGAIN, LABELS, ReaderBox, Vote

if TYPE_CHECKING:
    import numpy as np

_SPLITS: tuple[Literal["train", "test"], ...] = ("train", "test")
_READERS = 3
_SUFFIXES = (".dicom", ".dcm", ".png", ".jpg", ".jpeg")
"""In order of preference."""
_DICOM = _SUFFIXES[:2]
_EXPECTED = (
    "train/ and test/ with DICOM files, and image_labels_train.csv and image_labels_test.csv or Kaggle's train.csv"
)


@dataclass
class _Found:
    """Files and entries of a folder."""

    images: dict[str, Path] = field(default_factory=dict)
    tables: dict[str, Path] = field(default_factory=dict)
    """Lower-case file name to csv file."""
    votes: dict[str, list[Vote]] = field(default_factory=dict)
    splits: dict[str, Literal["train", "test"]] = field(default_factory=dict)
    labels: tuple[str, ...] = LABELS

    @property
    def usable(self) -> list[str]:
        """Images on disk that a table names, sorted."""
        return sorted(self.images.keys() & self.votes.keys())


class VinDrCXR:
    """Reader of VinDr-CXR.

    Args:
        positive_if: "one" reader, or a "vote" of more than half of those who filled in the cell.
    """

    name = "vindr-cxr"
    card = DatasetCard(
        title="VinDr-CXR",
        modality="chest-x-ray",
        citation="Nguyen et al., Scientific Data 9 (2022) 429, arXiv:2012.15029",
        licence="PhysioNet Credentialed Health Data License 1.5.0: credentialed users only, not to be passed on",
        source="PhysioNet, https://physionet.org/content/vindr-cxr/1.0.0/ (credentialed access)",
        folders=(
            "vindr-cxr",
            "vindr_cxr",
            "vindrcxr",
            "vinbigdata-chest-xray-abnormalities-detection",
            "vindr-cxr-an-open-dataset-of-chest-x-rays-with-radiologist-annotations",
        ),
        expected_images=18_000,
    )
    phantom_patients = 200
    phantom_version = VERSION

    def __init__(self, positive_if: Literal["one", "vote"] = "one") -> None:
        if positive_if not in ("one", "vote"):
            raise ValueError(f"positive_if must be 'one' or 'vote', not {positive_if!r}")
        self.positive_if = positive_if

    def index(self, root: Path) -> DatasetIndex:
        """List the images on disk with their labels and official split.

        The release names no patients, so every image counts as one. Kaggle's table tells two of the six labels and
        has no test images: the index then holds these two, and the task refuses it.

        Raises:
            DataMissing: no images or no tables; says what was expected where.
            DataDamaged: a row, a cell or a name contradicts what is known; names file, row and remedy.
        """
        return self._index_of(root, _find(root))

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one radiograph to (H, W) uint8, window and MONOCHROME1 applied."""
        if item.image.suffix.lower() in _DICOM:
            from tasks.reading.dicom import read_dicom

            return read_dicom(self.name, item.image)
        from tasks.reading.pictures import read_grey

        return read_grey(self.name, item.image, ("PNG", "JPEG"))

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Raise DataMissing: the dataset has no masks."""
        raise no_masks(self.name, item.id, structure, "vindr-rib")

    def boxes(self, root: Path) -> tuple[ReaderBox, ...]:
        """Read the boxes of all readers, training and test.

        Raises:
            DataMissing: there is no table of boxes.
            DataDamaged: a finding without four numbers; names file and row.
        """
        with readable(self.name, root):
            need_folder(self.name, root, _EXPECTED, AGAIN)
            tables = _sorted_files(root).tables
        there = [
            tables[name] for name in ("annotations_train.csv", "annotations_test.csv", "train.csv") if name in tables
        ]
        if not there:
            raise DataMissing(f"{self.name}: {root} has no annotations_train.csv, expected the boxes there: {AGAIN}")
        return tuple(box for path in there for box in vindr.read_boxes(path))

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image, names, readers, splits and boxes."""
        from tasks.reading.checking import describe, look_at_all

        try:
            found = _find(root)
            index = self._index_of(root, found)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress)
        sizes = {item.id: look.size_px for item, look in zip(index.items, looks, strict=True) if look.size_px}
        return [*describe(index, looks), *_reader_findings(found), *self._box_findings(root, sizes)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as DICOM and csv, in PhysioNet's layout."""
        from tasks.phantom.layouts.vindr_cxr import write_vindr_cxr

        write_vindr_cxr(root, patients=patients, seed=seed, progress=progress)

    def _index_of(self, root: Path, found: _Found) -> DatasetIndex:
        items = tuple(
            Item(
                id=name,
                patient=name,
                split=found.splits[name],
                image=found.images[name],
                labels=tuple(
                    float(vindr.is_positive(said, self.positive_if)) for said in zip(*found.votes[name], strict=True)
                ),
            )
            for name in found.usable
        )
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=self.card.expected_images,
            label_names=found.labels,
            phantom=(root / PHANTOM).is_file(),
            notes=tuple(_notes(found, self.positive_if)),
        )

    def _box_findings(self, root: Path, sizes: Mapping[str, tuple[int, int]]) -> Iterator[Finding]:
        try:
            boxes = self.boxes(root)
        except EdenError as error:
            yield Finding("note", f"{error} (no task needs the boxes)")
            return
        here = [box for box in boxes if box.image in sizes]
        yield Finding("ok", f"{len(boxes):,} boxes, of which {len(here):,} are on images that are here")
        if outside := [box for box in here if not box.touches(sizes[box.image])]:
            box, (height, width) = outside[0], sizes[outside[0].image]
            yield Finding(
                "note",
                f"{len(outside):,} boxes hold no pixel of their image, for example one from {box.x_min:.0f}, "
                f"{box.y_min:.0f} on {box.image} of {width}×{height} px, as where images were made smaller; no task "
                "needs the boxes",
            )


@dataclass(frozen=True, kw_only=True)
class SixLabels(ClassificationTask):
    """Classification of the paper's six labels; an index without all six is refused."""

    def open(self, index: DatasetIndex, protocol: OfClassification, context: Context) -> OpenTask:
        """Decode the data (or map them from the cache) and make the splits.

        Raises:
            DataMissing: the folder has Kaggle's table only.
        """
        if lacking := [label for label in LABELS if label not in index.label_names]:
            raise DataMissing(
                f"{index.dataset}: {index.root} does not say {', '.join(lacking)} of any image, expected six labels of "
                "each: put image_labels_train.csv, image_labels_test.csv and the test images of PhysioNet's release "
                "there, for Kaggle's train.csv has boxes only"
            )
        return super().open(index, protocol, context)


def _find(root: Path) -> _Found:
    with readable("vindr-cxr", root):
        need_folder("vindr-cxr", root, _EXPECTED, AGAIN)
        found = _sorted_files(root)
    if "image_labels_train.csv" in found.tables or "image_labels_test.csv" in found.tables:
        for split in _SPLITS:
            path = _need_table(found, root, f"image_labels_{split}.csv")
            _add(found, path, vindr.read_votes(path), split)
    else:
        path = _need_table(found, root, "train.csv", "image_labels_train.csv")
        _add(found, path, vindr.read_kaggle(path), "train")
        found.labels = vindr.KAGGLE_LABELS
    if not found.usable:
        raise DataMissing(
            f"vindr-cxr: {root} has none of the {len(found.votes):,} images that its tables name, expected them in "
            f"train/ and test/: {AGAIN}"
        )
    return found


def _sorted_files(root: Path) -> _Found:
    found = _Found()
    for path in files_under(root):
        stem, suffix = path.stem.lower(), path.suffix.lower()
        if suffix == ".csv":
            found.tables.setdefault(path.name.lower(), path)
        elif suffix in _SUFFIXES and vindr.IMAGE_ID.fullmatch(stem):
            known = found.images.get(stem)
            if known is None or _SUFFIXES.index(suffix) < _SUFFIXES.index(known.suffix.lower()):
                found.images[stem] = path
    return found


def _add(found: _Found, path: Path, votes: Mapping[str, list[Vote]], split: Literal["train", "test"]) -> None:
    if both := votes.keys() & found.votes.keys():
        raise damaged("vindr-cxr", path, f"names {min(both)}", "no image of image_labels_train.csv", AGAIN)
    found.votes.update(votes)
    found.splits.update(dict.fromkeys(votes, split))


def _need_table(found: _Found, root: Path, name: str, *alternatives: str) -> Path:
    if name not in found.tables:
        names = " and no ".join([*alternatives, name])
        raise DataMissing(f"vindr-cxr: {root} has no {names}, expected {_EXPECTED}: {AGAIN}")
    return found.tables[name]


def _notes(found: _Found, positive_if: str) -> Iterator[str]:
    yield "vindr-cxr: the release names no patients, so every image counts as one"
    who = "one reader" if positive_if == "one" else "more than half of the readers"
    yield f"vindr-cxr: a training image has a label where {who} gave it"
    if found.labels != LABELS:
        yield (
            "vindr-cxr: this is Kaggle's layout, whose table has boxes only: of the six labels it tells "
            f"{' and '.join(found.labels)}, and its test images have none and are left out"
        )
    if empty := sum(vote is None for votes in found.votes.values() for said in votes for vote in said):
        yield f"vindr-cxr: {empty:,} cells of the label tables are empty and count for nobody"
    usable, named = len(found.usable), len(found.votes)
    if usable < named:
        yield f"vindr-cxr: {usable:,} of the {named:,} images that the tables name are here"
    if strangers := sorted(found.images.keys() - found.votes.keys()):
        yield f"vindr-cxr: {len(strangers):,} images are in no table and are left out, for example {strangers[0]}"
    if converted := sum(found.images[name].suffix.lower() not in _DICOM for name in found.usable):
        yield f"vindr-cxr: {converted:,} of {usable:,} images are conversions to PNG or JPEG"


def _reader_findings(found: _Found) -> Iterator[Finding]:
    counts = Counter(len(votes) for name, votes in found.votes.items() if found.splits[name] == "train")
    text = ", ".join(f"{images:,} training images by {readers}" for readers, images in sorted(counts.items()))
    yield Finding("ok" if set(counts) <= {_READERS} else "note", f"readers: {text}, expected {_READERS} each")
    differ = sum(len(set(votes)) > 1 for votes in found.votes.values())
    yield Finding("ok", f"readers differ about {differ:,} images")


vindr_cxr = register_dataset(VinDrCXR())

vindr_cxr_task = register_task(
    SixLabels(name="vindr-cxr", dataset="vindr-cxr", title="VinDr-CXR classification, 6 labels")
)
