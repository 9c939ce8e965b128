"""The phantom as DRIVE lies on a disk (Staal et al., IEEE TMI 2004).

training/images/21_training.tif …, test/images/01_test.tif …   565×584 pixels, colour
training/mask/21_training_mask.gif …   the field of view
training/1st_manual/21_manual1.gif …   0 and 255; a few vessel pixels lie outside the field of view
test/2nd_manual/01_manual2.gif …   another observer; 0 and 1, with a palette
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2
import numpy as np

from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.errors import UsageError
from tasks.phantom import FUNDUS_VERSION
from tasks.phantom.fundus.patient import Eye, draw_eye
from tasks.phantom.fundus.rendering import Rendering, render, vessel_mask
from tasks.phantom.layouts.writing import for_each, seal, start, write_gif, write_tif

SIZE_PX = (584, 565)
FIELD_PX = 540
_MOST_PATIENTS = 40
_FOLDERS = {"training": ("images", "mask", "1st_manual"), "test": ("images", "mask", "1st_manual", "2nd_manual")}
_MISSED = 0.5
"""Share of the thinnest vessels that the second observer does not see…"""
_THIN = 0.0026
"""…those whose radius stays below this (of 6.5 mm)."""
_BOLDER_PX = 0.5
"""How far the second observer's outlines may lie outside or inside the first's."""


def write_drive(root: Path, *, patients: int = 40, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of DRIVE; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of people, one eye each; half are the test half, numbered from 01, the others from 21.
        seed: the phantom's seed.
        progress: called after every photograph.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
        UsageError: patients is above 40.
    """
    at_least("patients", patients, 4)
    if patients > _MOST_PATIENTS:
        raise UsageError(
            f"phantom drive: {patients} patients, expected at most {_MOST_PATIENTS}: each half has 20 numbers"
        )
    start(root, [f"{half}/{folder}" for half, folders in _FOLDERS.items() for folder in folders])
    numbers = [*range(1, patients // 2 + 1), *range(21, 21 + patients - patients // 2)]
    eyes = [draw_eye(seed, number, "right" if number % 2 else "left", camera="drive") for number in numbers]
    for_each(eyes, partial(_write_eye, root), "writing the DRIVE phantom", progress)
    seal(root, dataset="drive", patients=patients, images=len(eyes), seed=seed, version=FUNDUS_VERSION)


def second_observer(eye: Eye) -> np.ndarray:
    """Return the vessels as another observer draws them, who misses some thin ones, (FIELD_PX, FIELD_PX) bool."""
    rng = eye.generator("second observer")
    bolder = float(rng.uniform(-_BOLDER_PX, _BOLDER_PX))
    missed = rng.random(len(eye.vessels)) < _MISSED
    seen = [v for v, miss in zip(eye.vessels, missed, strict=True) if v.radii[0] > _THIN or not miss]
    return vessel_mask(eye, seen, FIELD_PX, bolder)


def _write_eye(root: Path, eye: Eye) -> None:
    half = "training" if eye.number > _MOST_PATIENTS // 2 else "test"
    number, shown = f"{eye.number:02d}", render(eye, FIELD_PX)
    write_tif(root / half / "images" / f"{number}_{half}.tif", _framed(shown.image))
    write_gif(root / half / "mask" / f"{number}_{half}_mask.gif", _framed(shown.field))
    drawn = (shown.trees["artery"] > 127) | (shown.trees["vein"] > 127)
    write_gif(root / half / "1st_manual" / f"{number}_manual1.gif", _framed(drawn & _drawable(shown)))
    if half == "test":
        second = second_observer(eye) & shown.field
        write_gif(root / half / "2nd_manual" / f"{number}_manual2.gif", _framed(second), palette=True)


def _drawable(shown: Rendering) -> np.ndarray:
    """Return where the first observer draws: in the field of view, and a little over its upper edge."""
    wider = cv2.dilate(shown.field.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    wider[FIELD_PX // 8 :] = shown.field[FIELD_PX // 8 :]
    return wider


def _framed(picture: np.ndarray) -> np.ndarray:
    frame = np.zeros((*SIZE_PX, *picture.shape[2:]), picture.dtype)
    top, left = (SIZE_PX[0] - FIELD_PX) // 2, (SIZE_PX[1] - FIELD_PX) // 2
    frame[top : top + FIELD_PX, left : left + FIELD_PX] = picture
    return frame
