"""The phantom as EyePACS lies on a disk.

train/1_left.jpeg …, test/ …   JPEG of several sizes in black frames, one eye in eight upside down
trainLabels.csv (image, level), retinopathy_solution.csv (image, level, Usage)   no extension in "image"
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Progress, at_least, no_progress
from eden_bench.files import atomic
from tasks.phantom import FUNDUS_VERSION
from tasks.phantom.fundus.patient import Eye, Side, draw_eye
from tasks.phantom.fundus.rendering import render
from tasks.phantom.layouts.writing import for_each, seal, start, write_jpeg

FIELDS_PX = (400, 460, 520, 600)
"""Diameters of the field of view; real ones have 1,900 to 3,300 pixels."""

_TEST_SHARE = 0.1
_SIDES: tuple[Side, Side] = ("left", "right")


def write_eyepacs(root: Path, *, patients: int = 120, seed: int = 0, progress: Progress = no_progress) -> None:
    """Write the phantom in the layout of EyePACS; the same bytes for the same seed and patients.

    Args:
        root: the folder to fill.
        patients: number of people, two eyes each; a tenth of them is in the test folder.
        seed: the phantom's seed.
        progress: called after every photograph.

    Raises:
        EdenError: root cannot be written to.
        ValueError: patients is below 4.
    """
    at_least("patients", patients, 4)
    start(root, ["train", "test"])
    order = seeds.shuffled(patients, seed, "fundus", "eyepacs", "split")
    tested = set((order[: max(1, round(_TEST_SHARE * patients))] + 1).tolist())
    eyes = [draw_eye(seed, number, side) for number in range(1, patients + 1) for side in _SIDES]
    for_each(eyes, partial(_write_eye, root, tested), "writing the EyePACS phantom", progress)
    _write_labels(root / "trainLabels.csv", [eye for eye in eyes if eye.number not in tested])
    _write_labels(root / "retinopathy_solution.csv", [eye for eye in eyes if eye.number in tested], ",Private")
    seal(root, dataset="eyepacs", patients=patients, images=len(eyes), seed=seed, version=FUNDUS_VERSION)


def framed(eye: Eye) -> np.ndarray:
    """Return the photograph in its black frame (H, W, 3) uint8, as the camera gave it: maybe cut or inverted."""
    rng = eye.generator("frame")
    diameter = int(rng.choice(FIELDS_PX))
    picture = render(eye, diameter).image
    cut = round(diameter * eye.photograph.cut / 2)
    picture = picture[cut : diameter - cut]
    height = picture.shape[0] + (0 if cut else 2 * int(rng.integers(2, 20)))
    width = round(max(height * float(rng.choice((4 / 3, 3 / 2))), diameter + 8))
    frame = np.full((height, width, 3), int(rng.integers(0, 4)), np.uint8)
    top, left = (height - picture.shape[0]) // 2, (width - diameter) // 2 + int(rng.integers(-4, 5))
    part = frame[top : top + picture.shape[0], left : left + diameter]
    np.maximum(part, picture, out=part)
    return np.ascontiguousarray(frame[::-1, ::-1]) if eye.photograph.inverted else frame


def _write_eye(root: Path, tested: set[int], eye: Eye) -> None:
    half: Literal["train", "test"] = "test" if eye.number in tested else "train"
    write_jpeg(root / half / f"{_name(eye)}.jpeg", framed(eye))


def _write_labels(path: Path, eyes: list[Eye], usage: str = "") -> None:
    header = "image,level" + (",Usage" if usage else "")
    atomic.write_text(path, "".join(f"{line}\n" for line in [header, *(f"{_name(e)},{e.grade}{usage}" for e in eyes)]))


def _name(eye: Eye) -> str:
    return f"{eye.number}_{eye.side}"
