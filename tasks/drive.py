"""DRIVE: vessel masks of 40 fundus photographs (Staal et al., IEEE TMI 2004).

``training`` (21 to 40) and ``test`` (01 to 20) are the official split. Current downloads have the vessels of the
training half only: the task then runs on those 20, split by a hash of the numbers, and records say so by the rule, by
"20 of 40 images" and by other split digests, so that such a score never passes as one on the official test set.

The masks of observer 1 are the truth; vessels may lie up to 78 pixels outside the field of view and stay there.
The task's recipe is the released code's: 512², binary cross-entropy, no augmentation, and all pixels count, those
outside the field of view too; "dice_region" is the Dice inside it. Not as there: masks are shrunk to the nearest pixel,
not linearly and thresholded. Which images validated is unknown; here it is 10 % of the training half. The quick
protocol takes soft Dice: 80 steps of cross-entropy leave vessels, a ninth of the pixels, below one half everywhere.

Observer 2 (test half of older copies) is no truth of any task; ``data check`` says how well the two agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import SegmentationTask
from tasks.finetuning.protocol import PAPER_SEGMENTATION, QUICK_SEGMENTATION
from tasks.phantom import FUNDUS_VERSION
from tasks.reading.files import damaged, files_under, need_folder, readable
from tasks.reading.splitting import by_patient, rule

if TYPE_CHECKING:
    import numpy as np

    from tasks.reading.film_statistics import Look

VESSELS, FIELD, OBSERVER_2 = "vessels", "field of view", "second observer"
_SIZE_PX = (584, 565)
_HALF = 20
_TEST_SHARE = 0.5
_KINDS = {
    "image": re.compile(r"(0[1-9]|[123]\d|40)_(?:training|test)\.(?:tiff?|png)", re.IGNORECASE),
    FIELD: re.compile(r"(0[1-9]|[123]\d|40)_(?:training|test)_mask\.(?:gif|png)", re.IGNORECASE),
    VESSELS: re.compile(r"(0[1-9]|[123]\d|40)_manual1\.(?:gif|png)", re.IGNORECASE),
    OBSERVER_2: re.compile(r"(0[1-9]|[123]\d|40)_manual2\.(?:gif|png)", re.IGNORECASE),
}
_FILES = {"image": "{}_{}.tif", FIELD: "{}_{}_mask.gif", VESSELS: "{}_manual1.gif"}
_FOLDERS = {"image": "images", FIELD: "mask", VESSELS: "1st_manual", OBSERVER_2: "2nd_manual"}
_EXPECTED = "training/ and test/, each with images/, mask/ and 1st_manual/"
_UNPACK = "unpack DRIVE again into EDEN_BENCH_DATA/drive"


@dataclass
class _Found:
    """Files of a folder: kind to number to file."""

    files: dict[str, dict[str, Path]] = field(default_factory=lambda: {kind: {} for kind in _KINDS})

    def of_half(self, kind: str, test: bool) -> dict[str, Path]:
        """Return the files of one kind of one half; 01 to 20 are the test half."""
        return {number: path for number, path in self.files[kind].items() if in_test_half(number) == test}


class DRIVE:
    """Reader of DRIVE."""

    name = "drive"
    card = DatasetCard(
        title="DRIVE: digital retinal images for vessel extraction",
        modality="fundus",
        citation="Staal et al., IEEE Trans Med Imaging 23 (2004) 501",
        licence="free for research with citation; registration needed; not to be passed on",
        source="DRIVE grand challenge, https://drive.grand-challenge.org (training.zip, test.zip)",
        folders=("drive",),
        expected_images=2 * _HALF,
    )
    phantom_patients = 2 * _HALF
    phantom_version = FUNDUS_VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the photographs that have vessel masks.

        Raises:
            DataMissing: the training half is absent, or some of a half's images, vessels or fields of view; names the
                folder.
            DataDamaged: a number has two files of one kind.
        """
        with readable(self.name, root):
            need_folder(self.name, root, _EXPECTED, _UNPACK)
            found, phantom = _find(root), (root / PHANTOM).is_file()
        halves = (False, True) if any(found.of_half(kind, test=True) for kind in _KINDS) else (False,)
        for test in halves:
            _need_half(found, test, root, phantom)
        official = bool(found.of_half(VESSELS, test=True))
        items = tuple(_item(found, number) for number in sorted(found.files[VESSELS]))
        items, split_rule = (items, DatasetIndex.split_rule) if official else _split(items)
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            split_rule=split_rule,
            expected_images=2 * _HALF,
            phantom=phantom,
            notes=() if official else (_UNLABELLED.format(_NO_VESSELS if len(halves) == 2 else "test/ is absent"),),
        )

    def read_image(self, item: Item) -> np.ndarray:
        """Decode a photograph: (584, 565, 3) uint8.

        Raises:
            DataDamaged: it cannot be decoded, or has another size.
        """
        from tasks.reading.pictures import read_colour

        image = read_colour(self.name, item.image, ("TIFF", "PNG"))
        if image.shape[:2] != _SIZE_PX:
            found = f"has {image.shape[1]}×{image.shape[0]} pixels"
            raise damaged(self.name, item.image, found, f"{_SIZE_PX[1]}×{_SIZE_PX[0]}", _UNPACK)
        return image

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode "vessels", "field of view" or, if present, "second observer": (584, 565) bool.

        Raises:
            DataDamaged: it cannot be decoded, has another size, or covers more or less than such a mask can.
        """
        from tasks.reading.masks import read_binary

        if structure not in item.masks:
            raise unknown("structure", structure, item.masks)
        (file,), (low, high) = item.masks[structure], (0.4, 0.9) if structure == FIELD else (0.02, 0.3)
        mask = read_binary(self.name, file, ("GIF", "PNG"), _SIZE_PX)
        if not low <= mask.mean() <= high:
            found = f"covers {mask.mean():.0%} of the image"
            raise damaged(self.name, file, found, f"{low:.0%} to {high:.0%}", _UNPACK)
        return mask

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every photograph and mask: empty and inverted masks, agreement of the observers."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, structures=lambda item: item.masks)
        return [*describe(index, looks), *self._mask_findings(index, looks)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as .tif and .gif, one eye a patient."""
        from tasks.phantom.layouts.drive import write_drive

        write_drive(root, patients=patients, seed=seed, progress=progress)

    def _mask_findings(self, index: DatasetIndex, looks: Iterable[Look]) -> Iterator[Finding]:
        if any(look.problems for look in looks):
            return
        count = sum(len(item.masks) for item in index.items)
        yield Finding("ok", f"{count} masks, each of {_SIZE_PX[1]}×{_SIZE_PX[0]} px, of a plausible area")
        masks = [[self.read_mask(item, name) for name in (VESSELS, FIELD)] for item in index.items]
        outside = max(int((vessels & ~inside).sum()) for vessels, inside in masks)
        yield Finding("ok", f"at most {outside} vessel pixels of an image lie outside its field of view")
        agreement = [self._agreement(item) for item in index.items if OBSERVER_2 in item.masks]
        if agreement:
            mean = sum(agreement) / len(agreement)
            yield Finding(
                "ok", f"the second observer agrees with the first by a Dice of {mean:.1%} on {len(agreement)} images"
            )

    def _agreement(self, item: Item) -> float:
        first, second = (self.read_mask(item, name) for name in (VESSELS, OBSERVER_2))
        return float(2 * (first & second).sum() / (first.sum() + second.sum()))


_NO_VESSELS = "test/1st_manual is absent, as in current downloads"
_UNLABELLED = (
    "drive: {}: the labelled training images are split into training and test, about half each, so "
    "scores compare with no paper's"
)


def in_test_half(number: str) -> bool:
    """Return whether an image is in the official test half: 01 to 20."""
    return int(number) <= _HALF


def _find(root: Path) -> _Found:
    found = _Found()
    for path in files_under(root):
        for kind, pattern in _KINDS.items():
            if match := pattern.fullmatch(path.name):
                files = found.files[kind]
                if match[1] in files:
                    raise damaged("drive", path, f"is a second {path.name}", f"only {files[match[1]]}", "remove one")
                files[match[1]] = path
    return found


def _need_half(found: _Found, test: bool, root: Path, phantom: bool) -> None:
    half = "test" if test else "training"
    there = {kind: found.of_half(kind, test).keys() for kind in _FILES}
    official = {f"{number:02}" for number in (range(1, _HALF + 1) if test else range(_HALF + 1, 2 * _HALF + 1))}
    expected = set().union(*there.values()) if phantom and any(there.values()) else official
    for kind, name in _FILES.items():
        absent = sorted(expected - there[kind])
        if absent and not (test and kind == VESSELS and not there[kind]):
            place, count = f"{half}/{_FOLDERS[kind]}", f"{len(there[kind])} files, expected {len(expected)}"
            missing = name.format(absent[0], half)
            raise DataMissing(f"drive: {root}: {place} has {count} ({missing} is missing): {_UNPACK}")


def _item(found: _Found, number: str) -> Item:
    test = in_test_half(number)
    masks = {kind: (files[number],) for kind, files in found.files.items() if kind != "image" and number in files}
    return Item(
        id=f"{number}_{'test' if test else 'training'}",
        patient=number,
        split="test" if test else "train",
        image=found.files["image"][number],
        masks=masks,
    )


def _split(items: tuple[Item, ...]) -> tuple[tuple[Item, ...], str]:
    """Split the labelled half into train and test, and return the rule."""
    patients = {item.id: item.patient for item in items}
    tested = by_patient("drive", patients, _TEST_SHARE)
    split = tuple(replace(item, split="test" if item.id in tested else "train") for item in items)
    labelled = rule(patients, tested, _TEST_SHARE)
    return split, f"not the official split, whose test half has no masks here; of the labelled half, {labelled}"


drive = register_dataset(DRIVE())

_PLAIN: Mapping[str, Any] = {"loss": "bce", "intensity_p": 0.0, "distortion_p": 0.0, "crop_p": 0.0}

drive_task = register_task(
    SegmentationTask(
        name="drive",
        dataset="drive",
        title="DRIVE vessel segmentation",
        structures=(VESSELS,),
        channels=3,
        region=FIELD,
        paper=replace(PAPER_SEGMENTATION, size_px=512, score_px=512, batch_size=16, **_PLAIN),
        quick=replace(QUICK_SEGMENTATION, **{**_PLAIN, "loss": "dice"}, size_px=128, score_px=256, batch_size=4),
    )
)
