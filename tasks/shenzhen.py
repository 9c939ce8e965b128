"""Shenzhen: 662 frontal radiographs, 336 with tuberculosis (Jaeger et al., Quant Imaging Med Surg 2014).

The last digit of a file's name is its label. One image a patient, as far as is published. There is no official split:
the paper's "80/20" is drawn here by a fixed rule (``tasks.reading.splitting``), which tests 115 of the 662; the
group's own lists hold 134. The lung masks of a later release (Stirenko et al., 2018) are read where they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eden_bench.contracts import PHANTOM, DatasetCard, DatasetIndex, Finding, Item, Progress, no_progress
from eden_bench.errors import DataMissing, EdenError, unknown
from eden_bench.registry import register_dataset, register_task
from tasks.finetuning import ClassificationTask
from tasks.phantom import VERSION
from tasks.reading.files import damaged, files_under, need_folder, read_text, readable
from tasks.reading.splitting import by_patient, rule

if TYPE_CHECKING:
    import numpy as np

LABELS = ("Tuberculosis",)

_IMAGES = 662
_NAME = re.compile(r"(CHNCXR_(\d{4})_(\w+?))(_mask)?\.(png|txt)", re.IGNORECASE)
_EXPECTED = "CXR_png/CHNCXR_0001_0.png to CHNCXR_0662_1.png"
_UNPACK = "unpack ChinaSet_AllFiles.zip again into EDEN_BENCH_DATA/shenzhen"
_HEAD = re.compile(r"\W*(?P<sex>female|male)?\W*(?:(?P<age>\d{1,3})\s*(?P<unit>y|mo|d)[a-z]*)?[\s,;.]*", re.IGNORECASE)
"""Sex, and age in years, months or days; each may be absent."""


class Reading(NamedTuple):
    """One clinical reading; values that the text does not give in a known form are left open."""

    sex: str
    """"F", "M", or "" where it is not told."""
    age: int | None
    """Years, or None where they are not told."""
    findings: str
    """The text without sex and age, on one line."""


@dataclass
class _Found:
    """Files of a folder, by image name without extension."""

    images: dict[str, Path] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    readings: dict[str, Path] = field(default_factory=dict)
    repeated: int = 0

    def add(self, path: Path, match: re.Match[str]) -> None:
        """Add one file; of two with the same name the first is kept."""
        is_text = match[5].lower() == "txt"
        files = self.readings if is_text else self.masks if match[4] else self.images
        self.repeated += match[1].upper() in files and not is_text
        files.setdefault(match[1].upper(), path)


class Shenzhen:
    """Reader of the Shenzhen set."""

    name = "shenzhen"
    card = DatasetCard(
        title="NIH Shenzhen tuberculosis set",
        modality="chest-x-ray",
        citation="Jaeger et al., Quant Imaging Med Surg 4 (2014) 475",
        licence="free for research; name the National Library of Medicine and Shenzhen No. 3 Hospital, cite the paper",
        source="National Library of Medicine, https://openi.nlm.nih.gov/faq (Shenzhen: ChinaSet_AllFiles.zip)",
        folders=("shenzhen", "ChinaSet_AllFiles", "NLM-ChinaCXRSet"),
        expected_images=_IMAGES,
        notes=(
            "no official split: a rule of this bench tests 115 of the 662 images; the paper's lists have 134 test "
            "images, so scores are not of the paper's test set",
        ),
    )
    phantom_patients = 160
    phantom_version = VERSION

    def index(self, root: Path) -> DatasetIndex:
        """List the images with their labels and, if present, lung masks.

        Raises:
            DataMissing: there are no images.
            DataDamaged: a label is neither 0 nor 1, or a patient has two images.
        """
        found = _find(root)
        patients = _patients(found)
        tested = by_patient(self.name, patients)
        items = tuple(
            Item(
                id=f"{name}.png",
                patient=patients[name],
                split="test" if name in tested else "train",
                image=path,
                labels=(float(name[-1]),),
                masks={"lungs": (found.masks[name],)} if name in found.masks else {},
            )
            for name, path in sorted(found.images.items())
        )
        return DatasetIndex(
            dataset=self.name,
            root=root,
            items=items,
            expected_images=_IMAGES,
            label_names=LABELS,
            split_rule=rule(patients, tested),
            phantom=(root / PHANTOM).is_file(),
            notes=tuple(_notes(found)),
        )

    def read_image(self, item: Item) -> np.ndarray:
        """Decode one PNG, by palette, RGB or grey, to (H, W) uint8; about 2900 × 3000 in the original."""
        from tasks.reading.pictures import read_grey

        return read_grey(self.name, item.image, ("PNG",))

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Decode the mask of both lungs, (H, W) bool, of the image's size.

        Raises:
            UsageError: another structure than "lungs".
            DataMissing: this image has no mask; 96 of the 662 have none.
            DataDamaged: it cannot be decoded, is empty, or has another size than its image.
        """
        from tasks.reading.masks import read_binary
        from tasks.reading.pictures import size_of_picture

        if structure != "lungs":
            raise unknown("structure", structure, ("lungs",))
        if structure not in item.masks:
            raise DataMissing(
                f"{self.name}: {item.id} has no lung mask, expected {item.id[:-4]}_mask.png: unpack the masks' archive "
                "beside CXR_png; 566 of the 662 images have one"
            )
        (file,), size_px = item.masks[structure], size_of_picture(self.name, item.image, ("PNG",))
        mask = read_binary(self.name, file, ("PNG",), size_px)
        if not mask.any():
            raise damaged(self.name, file, "is an empty mask", "lungs", _UNPACK)
        return mask

    def readings(self, root: Path) -> Mapping[str, Reading]:
        """Read the clinical readings, image id to sex, age and findings.

        Raises:
            DataDamaged: a file cannot be read as text; what it says may be anything.
        """
        found = _find(root)
        return {
            f"{name}.png": reading_of(read_text(self.name, path))
            for name, path in sorted(found.readings.items())
            if name in found.images
        }

    def check(self, root: Path, progress: Progress = no_progress) -> list[Finding]:
        """Validate every image and mask, names, labels and readings."""
        from tasks.reading.checking import describe, look_at_all

        try:
            index = self.index(root)
        except EdenError as error:
            return [Finding("error", str(error))]
        looks = look_at_all(self, index.items, progress, structures=lambda item: item.masks)
        return [*describe(index, looks), _label_finding(index), *self._reading_findings(index)]

    def write_phantom(self, root: Path, *, patients: int, seed: int, progress: Progress = no_progress) -> None:
        """Write the phantom as PNG, readings and masks."""
        from tasks.phantom.layouts.shenzhen import write_shenzhen

        write_shenzhen(root, patients=patients, seed=seed, progress=progress)

    def _reading_findings(self, index: DatasetIndex) -> Iterator[Finding]:
        try:
            readings = self.readings(index.root)
        except EdenError as error:
            yield Finding("note", f"{error} (no task needs the readings)")
            return
        told = sum(reading.age is not None and bool(reading.sex) for reading in readings.values())
        yield Finding("ok", f"{len(readings):,} clinical readings, {told:,} with sex and age in years")


def reading_of(text: str) -> Reading:
    """Parse one reading, for example "male 45yrs / bilateral PTB"; unknown text is not an error."""
    line = " ".join(text.split())
    head = _HEAD.match(line)
    if head is None:
        return Reading("", None, line)
    sex = "" if head["sex"] is None else head["sex"][0].upper()
    years = None if head["age"] is None else int(head["age"]) if head["unit"] in "yY" else 0
    return Reading(sex, years, line[head.end() :])


def _find(root: Path) -> _Found:
    found = _Found()
    with readable("shenzhen", root):
        need_folder("shenzhen", root, _EXPECTED, _UNPACK)
        for path in files_under(root):
            if match := _NAME.fullmatch(path.name):
                found.add(path, match)
    if not found.images:
        raise DataMissing(f"shenzhen: {root} has no images, expected {_EXPECTED}: {_UNPACK}")
    return found


def _patients(found: _Found) -> dict[str, str]:
    """Return image name to patient, after validating that labels are 0 or 1 and each patient has one image."""
    patients: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name, path in sorted(found.images.items()):
        _, patient, label = name.split("_", 2)
        if label not in ("0", "1"):
            raise damaged("shenzhen", path, f"has the label {label!r}", "0 or 1 at the end of its name", _UNPACK)
        if patient in taken:
            found_too = f"is of patient {patient} like {taken[patient]}"
            raise damaged("shenzhen", path, found_too, "one image a patient", "remove the one that is not original")
        patients[name], taken[patient] = patient, name
    return patients


def _notes(found: _Found) -> Iterator[str]:
    masked, alone = len(found.masks.keys() & found.images.keys()), sorted(found.masks.keys() - found.images.keys())
    if 0 < masked < len(found.images):
        yield f"shenzhen: {masked:,} of {len(found.images):,} images have a lung mask"
    if alone:
        yield f"shenzhen: {len(alone):,} lung masks have no image and are left out, for example {alone[0]}_mask.png"
    if found.repeated:
        yield f"shenzhen: {found.repeated:,} images or masks stand in two folders; the first is read"


def _label_finding(index: DatasetIndex) -> Finding:
    """Count the images of each label; a class absent from train or test cannot be scored."""
    counts = [sum(item.labels[0] == value for item in index.items) for value in (0, 1)]
    lacking = [split for split in ("train", "test") if len({item.labels for item in index.split(split)}) < 2]
    text = f"{counts[0]:,} normal and {counts[1]:,} with tuberculosis"
    if lacking:
        text += f"; only one of the two is in {' and in '.join(lacking)}: {_UNPACK}"
        return Finding("note" if index.part or lacking == ["train"] else "error", text)
    return Finding("ok", text)


shenzhen = register_dataset(Shenzhen())

shenzhen_task = register_task(
    ClassificationTask(name="shenzhen", dataset="shenzhen", title="Shenzhen classification, tuberculosis or not")
)
