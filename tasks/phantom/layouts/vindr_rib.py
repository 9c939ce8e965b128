"""The phantom as VinDr-RibCXR lies on a disk (Nguyen et al., arXiv:2107.01327).

data/train/img/VinDr_RibCXR_train_000.png …, data/val/img/VinDr_RibCXR_val_000.png …   4:5 upright
data/{train,val}/Vindr_RibCXR_{train,val}_mask.json   written "Vindr"; twenty ribs, polygons of {"x": …, "y": …}

The people and films are those of the VinDr-CXR phantom, at another size. A rib that reaches beyond the upright film
has a polygon that does; one rib an image in twenty-five was left out by its annotator and stands as the string 'None'.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom.chest.rendering import RIBS, Rendering, render
from tasks.phantom.layouts.vindr_cxr import upright, upright_columns, vindr_patient
from tasks.phantom.layouts.writing import for_each, seal, start, write_png

IMAGE_PX = 1024
"""Height; the width is four fifths."""
_VAL_SHARE = 0.2
_MISSING_EVERY = 25
_COARSE_PX = 0.7
"""How far a polygon may leave the rib's true outline."""


@dataclass(frozen=True)
class _Film:
    number: int
    """Of the person in the collection "vindr"."""
    split: str
    place: int

    @property
    def path(self) -> str:
        return f"data/{self.split}/img/VinDr_RibCXR_{self.split}_{self.place:03d}.png"


def write_vindr_rib(root: Path, *, patients: int = 60, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of VinDr-RibCXR; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of films, one a patient, the first of the VinDr-CXR phantom; a fifth are the val set.
        seed: the phantom's seed.
        progress: called after every film.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    films = _films(patients, seed)
    start(root, ["data/train/img", "data/val/img"])
    outlines: dict[str, dict[str, Any]] = {}
    for_each(films, partial(_write_film, root, outlines, seed), "writing the VinDr-RibCXR phantom", progress)
    for split in ("train", "val"):
        part = [film for film in films if film.split == split]
        content: dict[str, dict[str, Any]] = {"img": {str(film.place): film.path for film in part}}
        content |= {rib: {str(film.place): outlines[film.path][rib] for film in part} for rib in RIBS}
        atomic.write_text(root / f"data/{split}/Vindr_RibCXR_{split}_mask.json", json.dumps(content))
    seal(root, dataset="vindr-rib", patients=patients, images=patients, seed=seed)


def _films(patients: int, seed: int) -> list[_Film]:
    order = seeds.shuffled(patients, seed, "phantom", "vindr-rib", "split") + 1
    count = max(1, round(_VAL_SHARE * patients))
    parts = {"val": sorted(order[:count].tolist()), "train": sorted(order[count:].tolist())}
    return [_Film(number, split, place) for split, part in parts.items() for place, number in enumerate(part)]


def _write_film(root: Path, outlines: dict[str, dict[str, Any]], seed: int, film: _Film) -> None:
    shown = render(vindr_patient(seed, film.number), IMAGE_PX)
    write_png(root / film.path, upright(shown.image))
    ribs: dict[str, Any] = {rib: _polygon(shown, rib) for rib in RIBS}
    if film.place % _MISSING_EVERY == 2:
        ribs["L10"] = "None"
    outlines[film.path] = ribs


def _polygon(shown: Rendering, rib: str) -> list[dict[str, int]]:
    """Return a rib's outline in pixels of the upright film, which it may leave."""
    found, _ = cv2.findContours(shown.mask(rib).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = cv2.approxPolyDP(max(found, key=cv2.contourArea), _COARSE_PX, True)[:, 0]
    left, _ = upright_columns(shown.brightness.shape[1])
    return [{"x": int(x) - left, "y": int(y)} for x, y in outline]
