"""The phantom as NIH ChestX-ray14 lies on a disk (Wang et al., CVPR 2017).

images/00000001_000.png …   1024×1024, mode L; about 1 % RGBA with equal colours
Data_Entry_2017_v2020.csv   a header of eleven fields, for two names hold a comma
train_val_list.txt, test_list.txt   patient-disjoint; a film with a box is always in the test list
BBox_List_2017.csv   says "Infiltrate" where Data_Entry says "Infiltration"
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom.chest.patient import Patient, draw_patient
from tasks.phantom.chest.rendering import LesionBox, render
from tasks.phantom.layouts.writing import for_each, seal, start, write_png

IMAGE_PX = 1024
ENTRY_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
BOX_HEADER = "Image Index,Finding Label,Bbox [x,y,w,h],,,"

_TEST_SHARE = 0.25
_RGBA_SHARE = 0.01
_BOXED_SHARE = 0.5
"""Share of the test films with a boxable lesion that were given boxes."""


@dataclass(frozen=True)
class _Shot:
    patient: Patient
    test: bool
    boxed: bool
    rgba: bool
    spacing_mm: float
    native_px: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.patient.number:08d}_{self.patient.follow_up:03d}.png"


def write_chestxray14(root: Path, *, patients: int = 320, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of ChestX-ray14; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of people; one in seven has follow-up films, so 320 people make about 400 films.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    shots = _shots(patients, seed)
    start(root, ["images"])
    boxes: dict[str, tuple[LesionBox, ...]] = {}
    for_each(shots, partial(_write_shot, root, boxes), "writing the ChestX-ray14 phantom", progress)
    atomic.write_text(root / "Data_Entry_2017_v2020.csv", "".join(f"{line}\n" for line in _entries(shots)))
    for name, test in (("train_val_list.txt", False), ("test_list.txt", True)):
        atomic.write_text(root / name, "".join(f"{shot.name}\n" for shot in shots if shot.test == test))
    atomic.write_text(root / "BBox_List_2017.csv", "".join(f"{line}\n" for line in _box_lines(boxes)))
    seal(root, dataset="chestxray14", patients=patients, images=len(shots), seed=seed)


def films_of(number: int, seed: int) -> tuple[Patient, ...]:
    """Return every film of one person (1, 2, …) as this phantom writes it, for datasets that overlap with it."""
    return tuple(shot.patient for shot in _films_of(number, False, seed))


def _shots(patients: int, seed: int) -> list[_Shot]:
    """Every film in order of names; exactly a quarter of the people are in the test list."""
    order = seeds.shuffled(patients, seed, "phantom", "nih", "split")
    test = set((order[: max(1, round(_TEST_SHARE * patients))] + 1).tolist())
    return [shot for number in range(1, patients + 1) for shot in _films_of(number, number in test, seed)]


def _films_of(number: int, test: bool, seed: int) -> list[_Shot]:
    rng = seeds.generator(seed, "phantom", "nih", number, "visits")
    visits = 1 + (int(rng.integers(1, 4)) if rng.random() < 0.14 else 0)
    shots = []
    for follow_up in range(visits):
        boxed, rgba = rng.random(2)
        wide, high = (int(side) for side in rng.integers(2000, 3057, 2))
        spacing = round(float(rng.uniform(0.139, 0.194)), 3)
        patient = draw_patient(seed, number, collection="nih", follow_up=follow_up)
        shots.append(_Shot(patient, test, test and boxed < _BOXED_SHARE, rgba < _RGBA_SHARE, spacing, (wide, high)))
    return shots


def _write_shot(root: Path, boxes: dict[str, tuple[LesionBox, ...]], shot: _Shot) -> None:
    shown = render(shot.patient, IMAGE_PX)
    write_png(root / "images" / shot.name, shown.image, mode="RGBA" if shot.rgba else "L")
    if shot.boxed:
        boxes[shot.name] = shown.boxes


def _entries(shots: list[_Shot]) -> list[str]:
    lines = [ENTRY_HEADER]
    for shot in shots:
        patient = shot.patient
        findings = "|".join(patient.labels) or "No Finding"
        who = f"{patient.follow_up},{patient.number},{patient.age},{patient.anatomy.sex},{patient.film.view}"
        wide, high = shot.native_px
        lines.append(f"{shot.name},{findings},{who},{wide},{high},{shot.spacing_mm},{shot.spacing_mm}")
    return lines


def _box_lines(boxes: dict[str, tuple[LesionBox, ...]]) -> list[str]:
    rows = [(_spelling(box.kind), name, box) for name, found in boxes.items() for box in found]
    ordered = sorted(rows, key=lambda row: (row[0], row[1], row[2]))
    return [BOX_HEADER, *(f"{name},{kind},{','.join(map(str, box[1:]))}" for kind, name, box in ordered)]


def _spelling(kind: str) -> str:
    return "Infiltrate" if kind == "Infiltration" else kind
