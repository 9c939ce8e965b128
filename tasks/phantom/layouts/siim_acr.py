"""The phantom as SIIM-ACR Pneumothorax lies on a disk: films of the people of the ChestX-ray14 phantom, as in reality.

dicom-images-train/<study>/<series>/<image>.dcm   JPEG Baseline, 1024×1024, 8 bits, MONOCHROME2
train-rle.csv   header "ImageId, EncodedPixels", with its space; values "-1", " -1" or run lengths: gap since the end of
    the run before, and length, from 0, column by column; some images have two rows, whose masks overlap; one image in
    a hundred has none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom.chest.patient import Patient
from tasks.phantom.chest.rendering import render
from tasks.phantom.layouts.chestxray14 import films_of
from tasks.phantom.layouts.dicom import Ids, uid, write_dicom
from tasks.phantom.layouts.writing import for_each, seal, start

IMAGE_PX = 1024
HEADER = "ImageId, EncodedPixels"

_KIND = "Pneumothorax"
_POSITIVE_SHARE = 0.28
"""Of the people; about 22 % of the films then show one, as in the real set."""
_TWO_ROWS_SHARE = 0.25
_FOLDER = "dicom-images-train"


@dataclass(frozen=True)
class _Shot:
    patient: Patient
    ids: Ids
    listed: bool

    @property
    def path(self) -> str:
        return f"{_FOLDER}/{self.ids.study}/{self.ids.series}/{self.ids.image}.dcm"


def write_siim_acr(root: Path, *, patients: int = 120, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of SIIM-ACR; the same bytes for the same seed and patients.

    People stand in the order of the ChestX-ray14 phantom with all their films, until 28 % of them have a film with a
    pneumothorax and 72 % have none; so those with one reach further down that order than the others.

    Args:
        root: the folder to fill.
        patients: number of people; one in seven has follow-up films.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    shots = _shots(patients, seed)
    start(root, [_FOLDER])
    rows: dict[str, tuple[str, ...]] = {}
    for_each(shots, partial(_write_shot, root, rows), "writing the SIIM-ACR phantom", progress)
    lines = [f"{shot.ids.image},{row}" for shot in shots if shot.listed for row in rows[shot.ids.image]]
    atomic.write_text(root / "train-rle.csv", "".join(f"{line}\n" for line in (HEADER, *lines)))
    seal(root, dataset="siim-acr", patients=patients, images=len(shots), seed=seed)


def run_lengths(mask: np.ndarray) -> tuple[int, ...]:
    """Encode a mask (H, W) bool as (gap, length, …): gaps since the last run's end, from 0, column by column."""
    flat = np.concatenate([[False], mask.T.ravel(), [False]])
    borders = np.flatnonzero(flat[1:] != flat[:-1])
    return tuple(np.diff(borders, prepend=0).tolist())


def _shots(patients: int, seed: int) -> list[_Shot]:
    """Every film, in order of the images' names; the last healthy film in a hundred has no row."""
    sick = max(2, round(_POSITIVE_SHARE * patients))
    wanted = {True: sick, False: patients - sick}
    films: list[Patient] = []
    number = 0
    while any(wanted.values()):
        number += 1
        visits = films_of(number, seed)
        ill = any(film.has(_KIND) for film in visits)
        if wanted[ill]:
            wanted[ill] -= 1
            films += visits
    healthy = [film for film in films if not film.has(_KIND)]
    unlisted = healthy[-max(1, len(films) // 100) :]
    shots = [_Shot(film, _ids(film), film not in unlisted) for film in films]
    return sorted(shots, key=lambda shot: shot.ids.image)


def _ids(film: Patient) -> Ids:
    """Number patient, study, series and image, without leaking the ChestX-ray14 phantom's numbers."""
    patient = f"{seeds.key(film.seed, 'siim-acr', film.number):032x}"
    study, series, image = (
        uid(film.seed, "siim-acr", what, film.number, film.follow_up) for what in ("study", "series", "image")
    )
    return Ids(patient, study, series, image)


def _write_shot(root: Path, rows: dict[str, tuple[str, ...]], shot: _Shot) -> None:
    shown = render(shot.patient, IMAGE_PX)
    person = shot.patient
    write_dicom(
        root / shot.path,
        shown.image,
        shot.ids,
        jpeg=True,
        view=person.film.view,
        age=person.age,
        sex=person.anatomy.sex,
    )
    masks = [mask for kind, mask in shown.lesion_masks if kind == _KIND and mask.any()]
    rows[shot.ids.image] = _rows(shot, masks)


def _rows(shot: _Shot, masks: Sequence[np.ndarray]) -> tuple[str, ...]:
    """Return the csv's fields of one image: one a lesion, or two that overlap; a space before every other value."""
    drawn = seeds.generator(shot.patient.seed, "siim-acr", "rows", shot.ids.image).random(2)
    space = " " if drawn[0] < 0.5 else ""
    parts = [part for mask in masks for part in (_in_two(mask) if drawn[1] < _TWO_ROWS_SHARE else (mask,))]
    return tuple(space + " ".join(map(str, run_lengths(part))) for part in parts) or (f"{space}-1",)


def _in_two(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a mask into an upper and a lower piece that share a tenth of its height; their union is the mask."""
    rows = np.flatnonzero(mask.any(axis=1))
    upper, lower = mask.copy(), mask.copy()
    cut, overlap = int(rows.mean()), max(1, len(rows) // 10)
    upper[cut + overlap :] = False
    lower[:cut] = False
    return upper, lower
