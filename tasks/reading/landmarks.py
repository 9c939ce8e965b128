"""Landmarks of a dataset's images: a csv beside them, ours or the user's, or HybridGNet's arrays for JSRT.

``landmarks.csv`` in the dataset's folder has the columns image, landmark, x, y: an image's id, the landmark's name, and
where it is in the image's own pixels, the first pixel's centre at (0.5, 0.5).

HybridGNet (Gaggion et al., IEEE TMI 2023) publishes 166 points of each of 246 JSRT films, in pixels of a 1024-px film:
``landmarks/<image>.npy``, 332 numbers, x and y in turn. Most slide along an outline; ``ANCHORED`` are those that sit on
something: lung apices and lowest points, the corners of the heart's outline, the ends of the clavicles.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from eden_bench.contracts import DatasetIndex
from eden_bench.files.array_file import UNREADABLE
from tasks.reading.files import damaged, read_table

FILE = "landmarks.csv"
COLUMNS = ("image", "landmark", "x", "y")
_REMEDY = f"mend it, or remove it: {FILE} is read where it lies in the dataset's folder"
POINTS = 166
FILM_PX = 1024
ORGANS = {
    "right lung": (0, 44),
    "left lung": (44, 94),
    "heart": (94, 120),
    "right clavicle": (120, 143),
    "left clavicle": (143, 166),
}
"""Structure to its first point and the one after its last; right is the patient's, on the left of the film."""
ANCHORED = {
    "right lung apex": 0,
    "right lung base": 21,
    "left lung apex": 44,
    "left lung base": 44 + 21,
    "heart 1": 94,
    "heart 2": 94 + 6,
    "heart 3": 94 + 12,
    "heart 4": 94 + 18,
}
"""Landmark to the point that it is; offsets within an organ are those the authors call important."""

Points = Mapping[str, tuple[float, float]]


def with_landmarks(index: DatasetIndex, jsrt_px: int = 0) -> DatasetIndex:
    """Return an index whose items have the points of its ``landmarks.csv``; without one, of HybridGNet's arrays.

    Args:
        index: of a dataset; returned as it is where there are neither.
        jsrt_px: side of JSRT's own images, whose arrays are looked for in ``landmarks/``; 0 for other datasets.

    Raises:
        DataDamaged: a line names no image of the dataset, repeats a landmark, or has no place; or an array is none.
    """
    path, folder = index.root / FILE, index.root / "landmarks"
    if path.is_file():
        points = read_landmarks(index.dataset, path, {item.id for item in index.items})
    elif jsrt_px and folder.is_dir():
        originals = [item.id for item in index.items if item.image.suffix.upper() == ".IMG"]
        arrays = {image: folder / f"{image}.npy" for image in originals}
        points = {
            image: read_hybridgnet(index.dataset, array, jsrt_px) for image, array in arrays.items() if array.is_file()
        }
    else:
        return index
    return replace(index, items=tuple(replace(item, points=points.get(item.id, {})) for item in index.items))


def read_landmarks(dataset: str, path: Path, images: set[str]) -> dict[str, dict[str, tuple[float, float]]]:
    """Read image id to landmark to (x, y). Raises as ``with_landmarks``."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for number, (image, name, *place) in read_table(dataset, path, COLUMNS):
        if image not in images:
            raise damaged(dataset, path, f"image {image!r} in line {number}", "an image of the dataset", _REMEDY)
        if not name or name in found.setdefault(image, {}):
            found_twice = f"landmark {name!r} of {image} a second time, or without a name, in line {number}"
            raise damaged(dataset, path, found_twice, "each landmark of an image once", _REMEDY)
        found[image][name] = _place(dataset, path, number, place)
    return found


def _place(dataset: str, path: Path, number: int, texts: Sequence[str]) -> tuple[float, float]:
    try:
        x, y = (float(text) for text in texts)
    except ValueError:
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise damaged(dataset, path, f"{', '.join(texts)} in line {number}", "x and y as numbers", _REMEDY)
    return x, y


def write_landmarks(root: Path, points: Mapping[str, Points]) -> None:
    """Write ``landmarks.csv``: image id to landmark to (x, y), to a thousandth of a pixel."""
    with (root / FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for image, places in points.items():
            writer.writerows((image, name, f"{x:.3f}", f"{y:.3f}") for name, (x, y) in places.items())


def read_hybridgnet(dataset: str, path: Path, image_px: int) -> dict[str, tuple[float, float]]:
    """Read the anchored points and the clavicles' ends of one film.

    Args:
        dataset: for errors.
        path: ``<image>.npy``.
        image_px: side of the image that the points shall be in pixels of.

    Raises:
        DataDamaged: it holds no 332 finite numbers.
    """
    import numpy as np

    try:
        flat = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise damaged(dataset, path, f"no array ({error})", "an array of 332 numbers", "download it again") from error
    if flat.shape != (2 * POINTS,) or flat.dtype.kind not in "fiu" or not np.isfinite(flat).all():
        raise damaged(
            dataset, path, f"an array {flat.shape} of {flat.dtype}", f"{2 * POINTS} finite numbers", "download it again"
        )
    points = flat.reshape(POINTS, 2).astype(np.float64) * (image_px / FILM_PX)
    chosen = {name: points[number] for name, number in ANCHORED.items()}
    for side in ("right", "left"):
        first, end = ORGANS[f"{side} clavicle"]
        by_x = points[first:end][np.argsort(points[first:end, 0])]
        lateral, medial = (by_x[0], by_x[-1]) if side == "right" else (by_x[-1], by_x[0])
        chosen |= {f"{side} clavicle, lateral end": lateral, f"{side} clavicle, medial end": medial}
    return {name: (float(x), float(y)) for name, (x, y) in chosen.items()}
