"""The phantom as ChestX-Det lies on a disk (Lian et al., 2021): films of the ChestX-ray14 phantom, as in reality.

train_data/36199.png, test_data/…   1024×1024, mode L; numbers without a relation to ChestX-ray14's names
ChestX_Det_train.json, ChestX_Det_test.json   file_name, syms, boxes (x1, y1, x2, y2), polygons, in one order; images
    without finding have empty lists; polygons overlap, and one leaves the image by a pixel
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom.chest.patient import Patient
from tasks.phantom.chest.rendering import Rendering, render
from tasks.phantom.layouts.chestxray14 import films_of
from tasks.phantom.layouts.writing import for_each, seal, start, write_png

IMAGE_PX = 1024
SYMS = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Effusion": "Effusion",
    "Emphysema": "Emphysema",
    "Fibrosis": "Fibrosis",
    "Infiltration": "Consolidation",
    "Mass": "Mass",
    "Nodule": "Nodule",
    "Pleural_Thickening": "Pleural Thickening",
    "Pneumonia": "Consolidation",
    "Pneumothorax": "Pneumothorax",
}
"""Kind of lesion to name in ChestX-Det. Edema and Hernia have none there and are not outlined; Calcification, Diffuse
Nodule and Fracture are not drawn by the phantom."""

_FIRST_NAME = 36199
_HEALTHY_SHARE = 0.18
_TEST_SHARE = 0.155
_LEAST_PX = 60
"""Smaller pieces of a lesion are not outlined."""

Entry = dict[str, Any]


@dataclass(frozen=True)
class _Shot:
    patient: Patient
    name: str
    split: Literal["train", "test"]


def write_chestx_det(root: Path, *, patients: int = 160, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of ChestX-Det; the same bytes for the same seed and patients.

    People stand in the order of the ChestX-ray14 phantom with their first film, until 18 % of them have no finding
    that is outlined and 82 % have one.

    Args:
        root: the folder to fill.
        patients: number of films, one a person.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    shots = _shots(patients, seed)
    start(root, ["train_data", "test_data"])
    entries: dict[str, Entry] = {}
    for_each(shots, partial(_write_shot, root, entries), "writing the ChestX-Det phantom", progress)
    for split in ("train", "test"):
        own = [entries[shot.name] for shot in shots if shot.split == split]
        if split == "train":
            _stray_point(own)
        atomic.write_text(root / f"ChestX_Det_{split}.json", json.dumps(own))
    seal(root, dataset="chestx-det", patients=patients, images=len(shots), seed=seed)


def _shots(patients: int, seed: int) -> list[_Shot]:
    """Every film in order of its new name."""
    healthy = max(1, round(_HEALTHY_SHARE * patients))
    wanted = {True: patients - healthy, False: healthy}
    films: list[Patient] = []
    number = 0
    while any(wanted.values()):
        number += 1
        film = films_of(number, seed)[0]
        ill = any(kind in SYMS for kind in film.labels)
        if wanted[ill]:
            wanted[ill] -= 1
            films.append(film)
    order = seeds.shuffled(patients, seed, "phantom", "chestx-det", "names")
    tested = max(1, round(_TEST_SHARE * patients))
    names = [f"{_FIRST_NAME + place}.png" for place in range(patients)]
    return [
        _Shot(films[row], name, "test" if place < tested else "train")
        for place, (row, name) in enumerate(zip(order, names, strict=True))
    ]


def _write_shot(root: Path, entries: dict[str, Entry], shot: _Shot) -> None:
    shown = render(shot.patient, IMAGE_PX)
    write_png(root / f"{shot.split}_data" / shot.name, shown.image)
    drawn = list(_outlined(shown))
    entries[shot.name] = {
        "file_name": shot.name,
        "syms": [sym for sym, _ in drawn],
        "boxes": [[*outline.min(axis=0).tolist(), *outline.max(axis=0).tolist()] for _, outline in drawn],
        "polygons": [outline.tolist() for _, outline in drawn],
    }


def _outlined(shown: Rendering) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, outline (P, 2) of whole pixels) of every connected piece of a lesion."""
    for kind, mask in shown.lesion_masks:
        pieces, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        for piece in pieces:
            if kind in SYMS and len(piece) > 2 and cv2.contourArea(piece) >= _LEAST_PX:
                yield SYMS[kind], piece[:, 0]


def _stray_point(entries: list[Entry]) -> None:
    """Move the rightmost point of all polygons one pixel beyond the image, and its box with it."""
    places = [(max(point)[0], entry, number) for entry in entries for number, point in enumerate(entry["polygons"])]
    if not places:
        return
    _, entry, number = max(places, key=lambda place: place[0])
    max(entry["polygons"][number])[0] = IMAGE_PX
    entry["boxes"][number][2] = IMAGE_PX
