"""The phantom as VinDr-CXR lies on a disk after PhysioNet's release (Nguyen et al., Scientific Data 2022).

train/<image_id>.dicom, test/<image_id>.dicom   12 bits; some MONOCHROME1, some with a window that has to be applied
annotations/image_labels_train.csv   three readers an image, a column a finding; readers differ; one cell is empty
annotations/image_labels_test.csv    a consensus without reader column; says "Other disease" where train has an s
annotations/annotations_{train,test}.csv   boxes, one with a negative corner; none for "No finding"
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom.chest.patient import TUBERCULOSIS, Lesion, Patient, draw_patient
from tasks.phantom.chest.rendering import Rendering, render
from tasks.phantom.layouts.dicom import Ids, uid, write_dicom
from tasks.phantom.layouts.writing import for_each, seal, start

LOCAL = (
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Clavicle fracture",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Enlarged PA",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Lung cavity",
    "Lung cyst",
    "Mediastinal shift",
    "Nodule/Mass",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "Rib fracture",
    "Other lesion",
)
"""The findings that get boxes."""
OTHER, NOTHING = "Other diseases", "No finding"
COLUMNS = (*LOCAL, "COPD", "Lung tumor", "Pneumonia", "Tuberculosis", OTHER, NOTHING)

_SEEN_AS = {
    "Effusion": ("Pleural effusion",),
    "Mass": ("Nodule/Mass", "Lung tumor"),
    "Pneumonia": ("Consolidation", "Pneumonia"),
    TUBERCULOSIS: ("Infiltration", "Tuberculosis"),
    "Cardiomegaly": ("Cardiomegaly", OTHER),
    "Emphysema": ("Emphysema", "COPD", OTHER),
    "Pneumothorax": ("Pneumothorax", OTHER),
}
"""Kind of lesion to the columns it is noted in; the first is its box's name."""
_MISREAD_AS = ("Other lesion", OTHER)

_HEALTHY_SHARE = 0.35
_SECOND_SHARE = 0.2
_TEST_SHARE = 0.25
_MISREAD_SHARE = 0.05
_READERS, _OF_READERS = 3, 17
_SIDES_PX = (576, 704)
ASPECT = 0.8
"""Width of an upright film as a share of its height."""
_MONOCHROME1_SHARE = 0.15
_WINDOW_SHARE = 0.35
_WINDOW = (1400.0, 1601.0)
"""Centre and width of the windows."""
_WINDOWED = (600, 1600)
"""The film begins at this value and spans so many, by the window; beyond lies only a burnt-in strip."""
_STRIP_PX = 3
_NEGATIVE_X = -8.07


@dataclass(frozen=True)
class _Film:
    patient: Patient
    name: str
    test: bool
    side_px: int
    monochrome1: bool
    windowed: bool
    readers: tuple[int, ...]


@dataclass(frozen=True)
class _Box:
    kind: str
    corners: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the file."""


def write_vindr_cxr(root: Path, *, patients: int = 200, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of VinDr-CXR; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of films, one a patient; a quarter is the test set.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    order = seeds.shuffled(patients, seed, "phantom", "vindr", "split")
    test = set((order[: max(1, round(_TEST_SHARE * patients))] + 1).tolist())
    films = [_film(number, number in test, seed) for number in range(1, patients + 1)]
    start(root, ["train", "test", "annotations"])
    boxes: dict[str, list[_Box]] = {}
    for_each(films, partial(_write_film, root, boxes), "writing the VinDr-CXR phantom", progress)
    for split, test_part in (("train", False), ("test", True)):
        part = sorted((film for film in films if film.test == test_part), key=lambda film: film.name)
        labels = list(_label_rows(part, test_part))
        drawn = list(_box_rows(part, boxes, test_part))
        for kind, rows in ((f"image_labels_{split}", labels), (f"annotations_{split}", drawn)):
            atomic.write_text(root / f"annotations/{kind}.csv", "".join(f"{row}\n" for row in rows))
    seal(root, dataset="vindr-cxr", patients=patients, images=patients, seed=seed)


def vindr_patient(seed: int, number: int) -> Patient:
    """Return one person of the collection with what is wrong with them; VinDr-RibCXR shows the same people."""
    rng = seeds.generator(seed, "phantom", "vindr", number, "findings")
    kinds: tuple[str, ...] = ()
    if rng.random() >= _HEALTHY_SHARE:
        count = 1 + int(rng.random() < _SECOND_SHARE)
        main = ("Effusion", "Mass", "Pneumonia", TUBERCULOSIS, "other")
        chosen = [main[k] for k in sorted(rng.choice(len(main), count, replace=False))]
        rest = [kind for kind, columns in _SEEN_AS.items() if OTHER in columns]
        kinds = tuple(rest[rng.integers(len(rest))] if kind == "other" else kind for kind in chosen)
    patient = draw_patient(seed, number, collection="vindr", kinds=kinds)
    return replace(patient, lesions=tuple(map(_obvious, patient.lesions)))


def _obvious(lesion: Lesion) -> Lesion:
    """Make a lesion denser and larger than it was drawn, since two dozen images a label must suffice for learning."""
    return replace(lesion, strength=0.5 + 0.5 * lesion.strength, size_cm=1.4 * lesion.size_cm)


def upright(image: np.ndarray) -> np.ndarray:
    """Crop a square film (S, S) to its middle columns, (S, 0.8 S)."""
    left, width = upright_columns(image.shape[1])
    return image[:, left : left + width]


def upright_columns(side_px: int) -> tuple[int, int]:
    """Return the first column and the width of what an upright film shows of a square one."""
    width = 2 * round(side_px * ASPECT / 2)
    return (side_px - width) // 2, width


def _film(number: int, test: bool, seed: int) -> _Film:
    rng = seeds.generator(seed, "phantom", "vindr", number, "file")
    inverted, windowed = rng.random(2)
    return _Film(
        patient=vindr_patient(seed, number),
        name=f"{seeds.key(seed, 'phantom', 'vindr', number, 'name'):032x}",
        test=test,
        side_px=2 * int(rng.integers(_SIDES_PX[0] // 2, _SIDES_PX[1] // 2 + 1)),
        monochrome1=bool(inverted < _MONOCHROME1_SHARE),
        windowed=bool(windowed < _WINDOW_SHARE),
        readers=tuple(sorted(int(k) for k in rng.choice(_OF_READERS, _READERS, replace=False) + 1)),
    )


def _write_film(root: Path, boxes: dict[str, list[_Box]], film: _Film) -> None:
    shown, patient = render(film.patient, film.side_px), film.patient
    write_dicom(
        root / ("test" if film.test else "train") / f"{film.name}.dicom",
        _stored(film, upright(shown.brightness)),
        Ids(film.name, *(uid(patient.seed, "vindr", patient.number, what) for what in ("study", "series", "image"))),
        bits=12,
        monochrome1=film.monochrome1,
        window=_WINDOW if film.windowed else None,
        age=patient.age,
        sex=patient.anatomy.sex,
    )
    boxes[film.name] = list(_boxes(shown))


def _stored(film: _Film, brightness: np.ndarray) -> np.ndarray:
    """Return the values as stored, (H, W) uint16 of 12 bits, so that window and MONOCHROME1 give back the film."""
    low, span = _WINDOWED if film.windowed else (0, 4095)
    shares = 1 - brightness if film.monochrome1 else brightness
    values = np.rint(low + span * shares).astype(np.uint16)
    if film.windowed:
        values[-_STRIP_PX:] = 0 if film.monochrome1 else 4095
    return values


def _boxes(shown: Rendering) -> Iterator[_Box]:
    first, width = upright_columns(shown.brightness.shape[1])
    for kind, mask in shown.lesion_masks:
        seen = mask[:, first : first + width]
        if seen.any():
            x, y, wide, high = cv2.boundingRect(seen.astype(np.uint8))
            yield _Box(kind, (float(x), float(y), float(x + wide), float(y + high)))


def _noted(film: _Film, reader: int) -> list[tuple[str, ...]]:
    """Return a reader's label for each lesion; readers other than the first may misread one."""
    rng = seeds.generator(film.patient.seed, "phantom", "vindr", film.patient.number, "reader", reader)
    sure = reader == film.readers[0] or film.test
    misread = rng.random(len(film.patient.labels)) < (0 if sure else _MISREAD_SHARE)
    return [_MISREAD_AS if wrong else _SEEN_AS[kind] for kind, wrong in zip(film.patient.labels, misread, strict=True)]


def _label_rows(films: Sequence[_Film], test: bool) -> Iterator[str]:
    names = [name.removesuffix("s") if test and name == OTHER else name for name in COLUMNS]
    yield ",".join(["image_id", *([] if test else ["rad_id"]), *names])
    for place, film in enumerate(films):
        for reader in film.readers[:1] if test else film.readers:
            noted = {name for names in _noted(film, reader) for name in names} or {NOTHING}
            cells = [str(int(name in noted)) for name in COLUMNS]
            if place == 1 and reader == film.readers[-1]:
                cells[COLUMNS.index("Lung tumor")] = ""
            yield ",".join([film.name, *([] if test else [f"R{reader}"]), *cells])


def _box_rows(films: Sequence[_Film], boxes: dict[str, list[_Box]], test: bool) -> Iterator[str]:
    yield ",".join(["image_id", *([] if test else ["rad_id"]), "class_name", "x_min", "y_min", "x_max", "y_max"])
    negative = not test
    for film in films:
        for reader in film.readers[:1] if test else film.readers:
            noted = dict(zip(film.patient.labels, _noted(film, reader), strict=True))
            start_of_row = ",".join([film.name, *([] if test else [f"R{reader}"])])
            for box in boxes[film.name]:
                corners = (_NEGATIVE_X, *box.corners[1:]) if negative else box.corners
                negative = False
                yield f"{start_of_row},{noted[box.kind][0]},{','.join(map(str, corners))}"
            if not boxes[film.name]:
                yield f"{start_of_row},{NOTHING},,,,"
