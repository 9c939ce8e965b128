"""The phantom as JSRT and SCR lie on a disk (Shiraishi et al., AJR 2000; van Ginneken et al., MIA 2006).

All247images/JPCLN001.IMG …   2048×2048 big-endian uint16, 12 bits, high where the film is dark
scratch/fold1/masks/heart/JPCLN001.gif …   1024×1024, 0 and 255; fold1 holds the odd ones in order of names
Clinical_Information/CLNDAT_EN.txt, CNNDAT_EN.txt   fields by tabs, lines end in CR alone
landmarks.csv   image, landmark, x, y; not of JSRT: the phantom's ten landmarks
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.errors import UsageError
from tasks.phantom import SCR_VERSION
from tasks.phantom.chest import organs
from tasks.phantom.chest.canvas import Projection, to_px
from tasks.phantom.chest.patient import Patient, draw_patient
from tasks.phantom.chest.rendering import ORGANS, render
from tasks.phantom.layouts.writing import for_each, seal, start, write_gif
from tasks.reading.landmarks import write_landmarks

IMAGE_PX = 2048
MASK_PX = 1024
_MOST_PATIENTS = 999
_WITH_NODULE = 154 / 247
_SITES = {-1: ("r.upper lobe", "r.middle lobe", "r.lower lobe"), 1: ("l.upper lobe", "l.upper lobe", "l.lower lobe")}


@dataclass(frozen=True)
class _Film:
    name: str
    fold: int
    patient: Patient


def write_scr(root: Path, *, patients: int = 247, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of JSRT and SCR; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of films, one a patient; about 62 % carry a nodule, as in JSRT.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
        UsageError: patients is above 999; the names have three digits.
    """
    at_least("patients", patients, 4)
    if patients > _MOST_PATIENTS:
        raise UsageError(f"phantom scr: {patients:,} patients, expected at most {_MOST_PATIENTS}: names have 3 digits")
    films = _films(patients, seed)
    masks = [f"scratch/fold{fold}/masks/{organ}" for fold in (1, 2) for organ in ORGANS]
    start(root, ["All247images", "Clinical_Information", *masks])
    landmarks = for_each(films, partial(_write_film, root), "writing the SCR phantom", progress)
    write_landmarks(root, {film.name: points for film, points in zip(films, landmarks, strict=True)})
    _write_clinical(root / "Clinical_Information", films)
    seal(root, dataset="scr", patients=patients, images=patients, seed=seed, version=SCR_VERSION)


def raw(brightness: np.ndarray) -> np.ndarray:
    """Return brightness (H, W) in [0, 1] as JSRT stores it: optical density in 12 bits, big-endian uint16."""
    return np.asarray(np.round((1 - brightness) * np.float32(4095)), ">u2")


def described(patients: int, seed: int) -> dict[str, Patient]:
    """Return the patient on each film of a phantom of so many patients, by the film's name."""
    return {film.name: film.patient for film in _films(patients, seed)}


def _films(patients: int, seed: int) -> list[_Film]:
    sick = 2 * round(patients * _WITH_NODULE / 2)  # even, so that odd names are odd in the order of names too
    names = [f"JPCLN{k:03d}" for k in range(1, sick + 1)] + [f"JPCNN{k:03d}" for k in range(1, patients - sick + 1)]
    films = []
    for number, name in enumerate(names, 1):
        kinds = ("Nodule",) if name.startswith("JPCLN") else ()
        patient = draw_patient(seed, number, collection="jsrt", kinds=kinds)
        films.append(_Film(name, 1 if number % 2 else 2, patient))
    return films


def _write_film(root: Path, film: _Film) -> dict[str, tuple[float, float]]:
    """Write a film and its masks; return its landmarks."""
    shown = render(film.patient, IMAGE_PX)
    (root / "All247images" / f"{film.name}.IMG").write_bytes(raw(shown.brightness).tobytes())
    for organ in ORGANS:
        path = root / f"scratch/fold{film.fold}/masks/{organ}/{film.name}.gif"
        write_gif(path, shown.mask(organ, MASK_PX))
    return {name: (x + 0.5, y + 0.5) for name, (x, y) in shown.landmarks.items()}  # a rendering counts from centres


def _write_clinical(folder: Path, films: list[_Film]) -> None:
    nodules = [_nodule_row(film) for film in films if film.patient.lesions]
    healthy = [
        f"{film.name}.IMG\t{film.patient.age}\t{_sex(film)}\tnormal" for film in films if not film.patient.lesions
    ]
    for name, rows in (("CLNDAT_EN.txt", nodules), ("CNNDAT_EN.txt", healthy)):
        (folder / name).write_bytes("".join(f"{row}\r" for row in rows).encode())


def _nodule_row(film: _Film) -> str:
    """Name, subtlety 1 to 5, size in mm, age, sex, x, y (2048 px), malignant or benign, site."""
    lesion = film.patient.lesions[0]
    x, y = _nodule_place(film.patient)
    subtlety = 1 + min(4, int(5 * (lesion.strength - 0.25) / 0.75))
    age = "?" if film.patient.number % 50 == 49 else str(film.patient.age)
    nature = "malignant" if lesion.angle_deg > -12 else "benign"
    site = _SITES[lesion.side][min(2, int(3 * lesion.height))]
    fields = (f"{film.name}.IMG", subtlety, round(10 * lesion.size_cm), age, _sex(film), x, y, nature, site)
    return "\t".join(map(str, fields))


def _nodule_place(patient: Patient) -> tuple[int, int]:
    point = organs.lung_point(patient, patient.lesions[0])
    x, y = to_px(Projection(patient.film)(point), IMAGE_PX)
    return round(float(x)), round(float(y))


def _sex(film: _Film) -> str:
    return "Female" if film.patient.anatomy.sex == "F" else "Male"
