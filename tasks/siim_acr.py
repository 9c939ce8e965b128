"""SIIM-ACR Pneumothorax: radiographs as DICOM, pneumothoraces as run lengths (Society for Imaging Informatics, 2019).

The reader takes DICOM files wherever below the dataset's folder they lie, in folders by study and series or flat, and
the csv of stage 1 or of stage 2. A DICOM that the csv does not name is left out: its truth is not known. An image may
have several rows, whose masks are united. 78 % of the images have an empty mask.

Not as in the paper: its random 80/20 split of "10K" images is not published, so whole patients are split by a hash.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataDamaged, DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import SegmentationTask
from tasks.phantom import VERSION
from tasks.reading.files import Damaged, damaged, files_under, need_folder, read_table, readable, size_of
from tasks.reading.outlines import runs_mask, runs_of
from tasks.reading.splitting import by_patient, few_tested, rule

if TYPE_CHECKING:
    import numpy as np

STRUCTURE = "pneumothorax"
SIDE_PX = 1024
"""Side of the image that run lengths count."""

_LISTS = ("stage_2_train.csv", "train-rle.csv")
"""The later list names the images of stage 1's test set too, so it is the one that is read where both are there."""
_MOST_BYTES = 16 << 20
_MOST_ROWS = 100_000
_MOST_OF_ONE = 100
"""Rows of one image; the published ones have up to 10."""
_ENOUGH_STEPS = 100
"""From run to run, to tell the height of the image that they count."""
_IMAGE_ID = re.compile(r"[0-9A-Za-z._-]{1,128}")
_EXPECTED = "dicom-images-train with the DICOM files, and train-rle.csv"
_AGAIN = "download it again from the challenge's page"


@dataclass(frozen=True)
class _Found:
    """Files and entries of a folder."""

    images: Mapping[str, Path]
    repeated: int
    csv: Path
    masks: Mapping[str, tuple[tuple[int, ...], ...]]
    """Image to its run lengths, row by row; () where it has no pneumothorax."""
    repeated_rows: tuple[str, ...]

    @property
    def usable(self) -> list[str]:
        """Images on disk that the csv names, sorted."""
        return sorted(self.images.keys() & self.masks.keys())


class SiimAcr:
    """Reader of SIIM-ACR Pneumothorax."""

    name = "siim-acr"
    card = DatasetCard(
        title="SIIM-ACR Pneumothorax",
        modality="chest-x-ray",
        citation="SIIM-ACR Pneumothorax Segmentation challenge, 2019; the radiographs are of NIH ChestX-ray14",
        licence="the challenge's rules: research and education, not to be passed on",
        source="SIIM-ACR Pneumothorax Segmentation challenge (Kaggle; registration)",
        folders=("siim-acr", "siim_acr", "siim", "siim-acr-pneumothorax-segmentation"),
        expected_images=10_675,
        derived_from={
            "chestxray14": "SIIM-ACR was annotated on ChestX-ray14's radiographs (reported: Filice et al., J Digit "
            "Imaging 2020)"
        },
    )
    phantom_patients = 120
    phantom_version = VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images that the csv names, with their masks' run lengths.

        Raises:
            DataMissing: no csv, no DICOM files, or none that belong together; says what was expected where.
            DataDamaged: a row of the csv is none; names it.
        """
        return self._index_of(root, _find(root))

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one DICOM file to (H, H) uint8, air dark; 1024 × 1024 in the original.

        Raises:
            DataDamaged: it cannot be decoded, or is not square, so that no run lengths fit it.
        """
        from tasks.reading.dicom import read_dicom
        from tasks.reading.pictures import square

        image = read_dicom(self.name, item.image)
        return square(self.name, item.image, image, SIDE_PX)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Draw the union of an image's rows: (1024, 1024) bool."""
        if structure not in item.drawn:
            raise unknown("structure", structure, item.drawn)
        return runs_mask([[int(run) for run in runs] for runs in item.drawn[structure]], (SIDE_PX, SIDE_PX))

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image: rows without image, images without row, repeated rows."""
        from tasks.reading.checking import describe, look_at_all

        try:
            found = _find(root)
            index = self._index_of(root, found)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, structures=lambda item: item.drawn)
        return [*describe(index, looks), *self._mask_findings(index), *_row_findings(found)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as DICOM and csv: films of the ChestX-ray14 phantom's people."""
        from tasks.phantom.layouts.siim_acr import write_siim_acr

        write_siim_acr(root, patients=patients, seed=seed, progress=progress)

    def _index_of(self, root: Path, found: _Found) -> DatasetIndex:
        patients, notes = _patients(found)
        tested = by_patient(self.name, patients)
        items = tuple(
            Item(
                id=name,
                patient=patients[name],
                split="test" if name in tested else "train",
                image=found.images[name],
                drawn={STRUCTURE: found.masks[name]},
            )
            for name in found.usable
        )
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=max(self.card.expected_images, len(found.masks)),
            split_rule=rule(patients, tested),
            phantom=(root / PHANTOM).is_file(),
            notes=(*_notes(found), *notes, *few_tested(self.name, tested)),
        )

    def _mask_findings(self, index: DatasetIndex) -> Iterator[Finding]:
        for split in ("train", "test"):
            items = index.split(split)
            sick = sum(bool(item.drawn[STRUCTURE]) for item in items)
            yield Finding("ok" if sick else "note", f"{sick:,} of {len(items):,} {split} images show a pneumothorax")


def _find(root: Path) -> _Found:
    with readable("siim-acr", root):
        need_folder("siim-acr", root, _EXPECTED, f"unpack the challenge's files into EDEN_BENCH_DATA/{root.name}")
        files = list(files_under(root))
    images: dict[str, Path] = {}
    dicoms = [path for path in files if path.suffix.casefold() == ".dcm"]
    for path in dicoms:
        images.setdefault(path.stem, path)
    csv = _csv(root, files)
    masks, repeated_rows = read_rows(csv)
    found = _Found(images, len(dicoms) - len(images), csv, masks, repeated_rows)
    if not found.usable:
        raise DataMissing(
            f"siim-acr: {root} has {len(images):,} DICOM files and none of the {len(masks):,} images that {csv.name} "
            f"names, expected {_EXPECTED}: unpack the challenge's files there"
        )
    return found


def _csv(root: Path, files: list[Path]) -> Path:
    for name in _LISTS:
        for path in files:
            if path.name.casefold() == name:
                return path
    raise DataMissing(f"siim-acr: {root} has no {_LISTS[1]}, expected it beside the images: {_AGAIN}")


def read_rows(path: Path) -> tuple[dict[str, tuple[tuple[int, ...], ...]], tuple[str, ...]]:
    """Read the csv of run lengths, whose header and values may have spaces before them.

    Returns:
        Image to the run lengths of each of its rows, () where it has no pneumothorax; and the images with a row that
        stands twice (which changes nothing).

    Raises:
        DataDamaged: a row has no image, no run lengths, runs beyond the image, or says that a mask is empty where
            another row draws one; names the row. Or all rows count another image than one of 1024 × 1024.
    """
    if size_of("siim-acr", path) > _MOST_BYTES:
        raise damaged("siim-acr", path, "is too large", f"at most {_MOST_BYTES:,} bytes", _AGAIN)
    masks: dict[str, list[tuple[int, ...]]] = {}
    repeated = []
    for row, (name, text) in read_table("siim-acr", path, ("ImageId", "EncodedPixels")):
        if row > _MOST_ROWS:
            raise damaged("siim-acr", path, f"goes on after row {_MOST_ROWS:,}", "no more than that", _AGAIN)
        runs, known = _runs(path, row, name, text), masks.setdefault(name, [])
        if len(known) == _MOST_OF_ONE:
            raise _bad_row(path, row, f"is one more of {name}", f"at most {_MOST_OF_ONE} rows of an image")
        if known and bool(runs) != bool(known[0]):
            raise _bad_row(path, row, f"contradicts another row of {name}", "-1 alone, or run lengths")
        if runs in known:
            repeated.append(name)
        else:
            known.append(runs)
    drawn = {name: tuple(runs for runs in rows if runs) for name, rows in masks.items()}
    _need_side(path, [runs for rows in drawn.values() for runs in rows])
    return drawn, tuple(repeated)


def _need_side(path: Path, masks: list[tuple[int, ...]]) -> None:
    """Validate the image size of run lengths, which continue from column to column by the image's height."""
    steps = [length + gap for runs in masks for length, gap in zip(runs[1::2], runs[2::2], strict=False)]
    if len(steps) < _ENOUGH_STEPS:
        return
    side_px, farthest = statistics.median(steps), max(map(sum, masks))
    if abs(side_px - SIDE_PX) > SIDE_PX / 4 and farthest <= (1.1 * side_px) ** 2:
        found = (
            f"has run lengths of an image of about {side_px:.0f}×{side_px:.0f} px (the farthest ends at {farthest:,})"
        )
        remedy = f"put the challenge's {path.name} back; images of any size go with it"
        raise damaged("siim-acr", path, found, f"those of {SIDE_PX}×{SIDE_PX}", remedy)


def _runs(path: Path, row: int, name: str, text: str) -> tuple[int, ...]:
    if not _IMAGE_ID.fullmatch(name):
        raise _bad_row(path, row, f"has the ImageId {name[:40]!r}", "a DICOM file's name without .dcm")
    try:
        return runs_of(text, SIDE_PX * SIDE_PX)
    except Damaged as error:
        raise _bad_row(path, row, error.found, error.expected) from error


def _bad_row(path: Path, row: int, found: str, expected: str) -> DataDamaged:
    return damaged("siim-acr", path, f"row {row} {found}", expected, _AGAIN)


def _patients(found: _Found) -> tuple[dict[str, str], list[str]]:
    """Return image to Patient ID of its header, or to its own name if that is empty; and notes on it."""
    from tasks.reading.dicom import read_patient

    patients, unnamed = {}, []
    for name in found.usable:
        try:
            patients[name] = read_patient("siim-acr", found.images[name])
        except DataDamaged:
            patients[name] = ""
        if not patients[name]:
            patients[name] = name
            unnamed.append(name)
    notes = []
    if unnamed:
        count = f"{len(unnamed):,} images have no Patient ID"
        notes.append(f"siim-acr: {count} and count as one patient each, for example {unnamed[0]}")
    if len(set(patients.values())) == len(patients) > 1:
        notes.append(
            "siim-acr: no two images have one Patient ID, so patients may not be known: a patient's films could stand "
            "in both train and test"
        )
    return patients, notes


def _notes(found: _Found) -> Iterator[str]:
    absent = len(found.masks) - len(found.usable)
    if absent:
        yield f"siim-acr: {len(found.usable):,} of the {len(found.masks):,} images that {found.csv.name} names are here"
    if strangers := sorted(found.images.keys() - found.masks.keys()):
        yield (
            f"siim-acr: {len(strangers):,} images have no row in {found.csv.name}, so their masks are not known and "
            f"they are left out, for example {strangers[0]}"
        )
    if found.repeated:
        yield f"siim-acr: {found.repeated:,} images stand in two folders; the first is read"


def _row_findings(found: _Found) -> Iterator[Finding]:
    several = [name for name in found.usable if len(found.masks[name]) > 1]
    most = max((len(found.masks[name]) for name in several), default=1)
    yield Finding("ok", f"{len(several):,} images have several rows, up to {most}; their masks are united")
    if found.repeated_rows:
        yield Finding("note", f"{len(found.repeated_rows):,} rows stand twice, for example of {found.repeated_rows[0]}")


siim_acr = register_dataset(SiimAcr())

siim_acr_task = register_task(
    SegmentationTask(
        name="siim-acr", dataset="siim-acr", title="SIIM-ACR pneumothorax segmentation", structures=(STRUCTURE,)
    )
)
