"""The phantom as NIH Shenzhen lies on a disk (Jaeger et al., Quant Imaging Med Surg 2014).

CXR_png/CHNCXR_0001_0.png …   sizes vary; most of palette mode, one in twenty-five RGB; 1 is tuberculosis
ClinicalReadings/CHNCXR_0001_0.txt   sex and age, then the reading
mask/CHNCXR_0001_0_mask.png   both lungs, for six images in seven
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from tasks.phantom.chest.patient import TUBERCULOSIS, Patient, draw_patient
from tasks.phantom.chest.rendering import Rendering, render
from tasks.phantom.layouts.writing import for_each, seal, start, write_png

_SIDES_PX = (640, 800)
"""Lowest and highest side of a square film, of which the writer then cuts rows off."""
_MOST_CUT = 0.06
_RGB_EVERY = 25
_NO_MASK_EVERY = 7
_WITH_EFFUSION = 0.15


@dataclass(frozen=True)
class _Film:
    patient: Patient
    side_px: int
    height_px: int

    @property
    def number(self) -> int:
        return self.patient.number

    @property
    def name(self) -> str:
        return f"CHNCXR_{self.number:04d}_{int(self.patient.has(TUBERCULOSIS))}"


def write_shenzhen(root: Path, *, patients: int = 160, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of Shenzhen; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of films, one a patient; the second half has tuberculosis, as in the real numbering.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    start(root, ["CXR_png", "ClinicalReadings", "mask"])
    films = [_film(number, number > patients // 2, seed) for number in range(1, patients + 1)]
    for_each(films, partial(_write_film, root), "writing the Shenzhen phantom", progress)
    seal(root, dataset="shenzhen", patients=patients, images=patients, seed=seed)


def _film(number: int, ill: bool, seed: int) -> _Film:
    rng = seeds.generator(seed, "phantom", "shenzhen", number, "file")
    side_px = 2 * int(rng.integers(_SIDES_PX[0] // 2, _SIDES_PX[1] // 2 + 1))
    height_px = round(side_px * (1 - _MOST_CUT * rng.random()))
    kinds = (TUBERCULOSIS, "Effusion") if rng.random() < _WITH_EFFUSION else (TUBERCULOSIS,)
    patient = draw_patient(seed, number, collection="shenzhen", kinds=kinds if ill else ())
    return _Film(patient, side_px, height_px)


def _write_film(root: Path, film: _Film) -> None:
    shown = render(film.patient, film.side_px)
    coloured = film.number % _RGB_EVERY == 0
    write_png(root / f"CXR_png/{film.name}.png", shown.image[: film.height_px], mode="RGB" if coloured else "P")
    if film.number % _NO_MASK_EVERY:
        lungs = (shown.mask("left lung") | shown.mask("right lung"))[: film.height_px]
        write_png(root / f"mask/{film.name}_mask.png", lungs.astype(np.uint8) * np.uint8(255))
    (root / f"ClinicalReadings/{film.name}.txt").write_text(_reading(film.patient, shown), newline="")


def _reading(patient: Patient, shown: Rendering) -> str:
    """Return sex, age and findings in the handwriting of the real files: CR LF, sides abbreviated."""
    sex = "female" if patient.anatomy.sex == "F" else "male"
    sides = {-1: "right", 1: "left"}
    held = sorted({lesion.side for lesion in patient.lesions if lesion.kind == TUBERCULOSIS})
    where = "bilateral" if len(held) == 2 else sides[held[0]] if held else ""
    findings = f"{where} PTB" if held else "normal"
    findings += ", pleural effusion" if "Effusion" in shown.labels else ""
    return f"{sex} {patient.age}yrs\r\n{findings}\r\n"
