"""Draw the chest phantom's contact sheet: plain films, and with their truth drawn over them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from eden_bench.files import atomic
from tasks.phantom.chest.patient import KINDS, Patient, draw_patient
from tasks.phantom.chest.rendering import LANDMARKS, RIBS, Rendering, render

_TILE_PX = 288
_RENDER_PX = 1024
_PER_ROW = 8
_HEADER_PX = 40
_QUALITY = 75
_COLOURS = {
    "heart": (60, 60, 230),
    "left lung": (220, 170, 40),
    "right lung": (220, 170, 40),
    "left clavicle": (60, 200, 240),
    "right clavicle": (60, 200, 240),
}
"""Blue, green, red."""
_RIB_COLOURS = ((90, 190, 90), (190, 120, 190))


def write_sheet(path: Path, *, seed: int = 0) -> None:
    """Draw the contact sheet: patients, the same with overlays, the fourteen findings.

    Args:
        path: where to write it, a .png or a .jpg.
        seed: the phantom's seed.
    """
    upright = [draw_patient(seed, number, collection="jsrt", kinds=()) for number in range(1, 5)]
    people = [draw_patient(seed, number, collection="nih", kinds=()) for number in range(1, 33)]
    hospital = [p for view in ("PA", "AP") for p in [q for q in people if q.film.view == view][:2]]
    rows = [
        *titled(
            "phantom: patients as in JSRT; the same with heart, lungs, clavicles and ribs", _pairs(upright, _masked)
        ),
        *titled(
            f"phantom: patients as in ChestX-ray14; the same with landmarks: {_legend()}", _pairs(hospital, _marked)
        ),
        *titled(
            "phantom: the fourteen findings, each with its extent, and a box where ChestX-ray14 has boxes",
            _findings(seed),
        ),
    ]
    save_sheet(path, rows)


def save_sheet(path: Path, rows: list[np.ndarray]) -> None:
    """Write the rows of a sheet, blue first, as a JPEG where the file is named so, else as a PNG.

    Fine grain, invisible at this size, is discarded; a JPEG is half as large where pictures are in colour.
    """
    picture = Image.fromarray(np.ascontiguousarray(np.vstack(rows)[:, :, ::-1] & np.uint8(0xF8) | np.uint8(0x04)))
    content = io.BytesIO()
    if path.suffix.lower() in (".jpg", ".jpeg"):
        picture.save(content, "JPEG", quality=_QUALITY, subsampling=0, optimize=True, progressive=True)
    else:
        picture.save(content, "PNG", optimize=True)
    atomic.write_bytes(path, content.getvalue())


def _pairs(patients: list[Patient], overlay: Callable[[Patient], np.ndarray]) -> list[np.ndarray]:
    return [tile(_plain(p), _who(p)) for p in patients] + [tile(overlay(p), _who(p)) for p in patients]


def _legend() -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(LANDMARKS, 1))


def _findings(seed: int) -> list[np.ndarray]:
    """Return two tiles a kind, plain and with its extent; the most obvious of eight patients."""
    tiles = []
    for k, kind in enumerate(KINDS):
        drawn = [draw_patient(seed, 100 + 8 * k + i, collection="nih", kinds=(kind,)) for i in range(8)]
        shown = render(
            max(drawn, key=lambda patient: patient.lesions[0].strength * patient.lesions[0].size_cm), _RENDER_PX
        )
        tiles += [tile(_grey(shown), kind), tile(_lesion_overlay(shown), f"{kind}: truth")]
    return tiles


def _plain(patient: Patient) -> np.ndarray:
    return _grey(render(patient, _RENDER_PX))


def _grey(shown: Rendering) -> np.ndarray:
    return np.asarray(cv2.cvtColor(shown.image, cv2.COLOR_GRAY2BGR))


def _masked(patient: Patient) -> np.ndarray:
    shown = render(patient, _RENDER_PX)
    picture = _grey(shown)
    for k, name in enumerate(RIBS):
        tint(picture, shown.mask(name), _RIB_COLOURS[k % 2], 0.22)
        write(picture, name, *_outer_end(shown.mask(name), name), (255, 255, 255), 0.9)
    for name, colour in _COLOURS.items():
        tint(picture, shown.mask(name), colour, 0.16)
        contour(picture, shown.mask(name), colour)
    return picture


def _marked(patient: Patient) -> np.ndarray:
    shown = render(patient, _RENDER_PX)
    picture = _grey(shown)
    for number, name in enumerate(LANDMARKS, 1):
        x, y = (round(value) for value in shown.landmarks[name])
        cv2.circle(picture, (x, y), 14, (40, 40, 250), -1, cv2.LINE_AA)
        write(picture, str(number), x + 18, y + 16, (60, 250, 250), 2.0)
    return picture


def _lesion_overlay(shown: Rendering) -> np.ndarray:
    picture = _grey(shown)
    for _, mask in shown.lesion_masks:
        contour(picture, mask, (60, 200, 255))
    for box in shown.boxes:
        corner = (round(box.x), round(box.y))
        opposite = (round(box.x + box.width), round(box.y + box.height))
        cv2.rectangle(picture, corner, opposite, (80, 230, 80), 7, cv2.LINE_AA)
    return picture


def tint(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], share: float) -> None:
    """Colour what a mask covers."""
    picture[mask] = picture[mask] * (1 - share) + np.array(colour) * share


def contour(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int]) -> None:
    """Draw a line around a mask."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, colour, 6, cv2.LINE_AA)


def _outer_end(mask: np.ndarray, name: str) -> tuple[int, int]:
    columns = np.flatnonzero(mask.any(axis=0))
    if not columns.size:
        return -100, -100
    x = int(columns[0] if name.startswith("R") else columns[-1])
    return min(max(x - 10, 0), mask.shape[1] - 60), int(np.flatnonzero(mask[:, x]).mean())


def write(picture: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int], size: float) -> None:
    """Write on a picture, with a dark rim around the letters."""
    for thickness, shade in ((10, (0, 0, 0)), (4, colour)):
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, shade, thickness, cv2.LINE_AA)


def _who(patient: Patient) -> str:
    return f"{patient.anatomy.sex} {patient.age}, {patient.film.view}"


def tile(picture: np.ndarray, caption: str) -> np.ndarray:
    """Return one tile of a sheet with a line of text."""
    tile = np.asarray(cv2.resize(picture, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA))
    tile[-24:] = 0
    cv2.putText(tile, caption, (8, _TILE_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def titled(title: str, tiles: list[np.ndarray]) -> list[np.ndarray]:
    """Return the rows of a sheet: a title, then the tiles."""
    header = np.full((_HEADER_PX, _PER_ROW * _TILE_PX, 3), 255, np.uint8)
    cv2.putText(header, title, (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2, cv2.LINE_AA)
    blank = np.full_like(tiles[0], 255)
    tiles = tiles + [blank] * (-len(tiles) % _PER_ROW)
    return [header, *(np.hstack(tiles[i : i + _PER_ROW]) for i in range(0, len(tiles), _PER_ROW))]
