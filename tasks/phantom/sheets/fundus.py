"""Draw the fundus phantom's contact sheet: photographs, their truth, the grades of retinopathy, the files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from tasks.phantom.fundus.patient import LESIONS, Eye, draw_eye
from tasks.phantom.fundus.rendering import LANDMARKS, render
from tasks.phantom.layouts.drive import FIELD_PX, second_observer
from tasks.phantom.layouts.eyepacs import framed
from tasks.phantom.sheets.chest import contour, save_sheet, tile, tint, titled, write

_SIDE_PX = 640
_ARTERY, _VEIN, _DISC, _CUP = (60, 60, 255), (255, 140, 40), (255, 255, 255), (60, 255, 255)
"""Blue, green, red."""
_LESIONS = dict(
    zip(LESIONS, ((60, 255, 255), (60, 255, 60), (255, 255, 60), (255, 90, 255), (255, 255, 255)), strict=True)
)


def write_fundus_sheet(path: Path, *, seed: int = 0) -> None:
    """Draw the contact sheet.

    Args:
        path: where to write it, a .png or a .jpg.
        seed: the phantom's seed.
    """
    pairs = [draw_eye(seed, number, side, grade=0) for number in range(1, 5) for side in ("right", "left")]
    drive = [draw_eye(seed, number, "right", camera="drive") for number in range(21, 25)]
    files = [draw_eye(seed, number, "left") for number in range(11, 19)]
    legend = ", ".join(f"{number} {name}" for number, name in enumerate(LANDMARKS, 1))
    rows = [
        *titled("phantom: both eyes of four people as in EyePACS", [tile(_plain(eye), _who(eye)) for eye in pairs]),
        *titled(
            f"phantom: the same with arteries (red), veins (blue), disc, cup and landmarks: {legend}",
            [tile(_marked(eye), _who(eye)) for eye in pairs],
        ),
        *titled(
            "phantom: as in DRIVE, and both observers' vessels (red: only the first; green: only the second)",
            [tile(picture(eye), _who(eye)) for eye in drive for picture in (_plain, _observed)],
        ),
        *titled(f"phantom: retinopathy of grade 1 to 4, and its extent: {', '.join(LESIONS)}", _grades(seed)),
        *titled("phantom: files as in EyePACS, some cut by the frame, some upside down", [_file(eye) for eye in files]),
    ]
    save_sheet(path, rows)


def _plain(eye: Eye) -> np.ndarray:
    return np.ascontiguousarray(render(eye, _SIDE_PX).image[:, :, ::-1])


def _marked(eye: Eye) -> np.ndarray:
    shown, picture = render(eye, _SIDE_PX), _plain(eye)
    tint(picture, shown.masks["arteries"], _ARTERY, 0.7)
    tint(picture, shown.masks["veins"], _VEIN, 0.7)
    for name, colour in (("optic disc", _DISC), ("optic cup", _CUP)):
        contour(picture, shown.masks[name], colour)
    for number, name in enumerate(LANDMARKS, 1):
        x, y = (round(value) for value in shown.landmarks[name])
        cv2.circle(picture, (x, y), 8, (60, 250, 250), -1, cv2.LINE_AA)
        write(picture, str(number), x + 10, y + 10, (60, 250, 250), 1.3)
    return picture


def _observed(eye: Eye) -> np.ndarray:
    shown = render(eye, FIELD_PX)
    first, second = shown.masks["vessels"], second_observer(eye) & shown.field
    return np.stack([first & second, second, first], axis=2).astype(np.uint8) * np.uint8(255)


def _grades(seed: int) -> list[np.ndarray]:
    tiles = []
    for grade in range(1, 5):
        eye = draw_eye(seed, 30 + grade, "right", grade=grade)
        picture, masks = _plain(eye), render(eye, _SIDE_PX).masks
        tiles.append(tile(picture, f"grade {grade}"))
        for kind, colour in _LESIONS.items():
            contour(picture, masks[kind], colour)
        tiles.append(tile(picture, f"grade {grade}: truth"))
    return tiles


def _file(eye: Eye) -> np.ndarray:
    picture = framed(eye)[:, :, ::-1]
    above = (picture.shape[1] - picture.shape[0]) // 2
    square = cv2.copyMakeBorder(picture, above, above, 0, 0, cv2.BORDER_CONSTANT, value=(60, 60, 60))
    upside_down = ", inverted" if eye.photograph.inverted else ""
    return tile(square, f"{picture.shape[1]} x {picture.shape[0]}{upside_down}, grade {eye.grade}")


def _who(eye: Eye) -> str:
    return f"{eye.number}, {eye.side} eye"
