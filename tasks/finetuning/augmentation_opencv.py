"""Segmentation augmentation on a CPU: image by image with OpenCV, one remap each for the image and its masks.

The draws and the formulas are those of `tasks.finetuning.augmentation`, the results equal within rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from tasks.finetuning.augmentation import Elastic, SegmentationDraws

_WHITE = np.arange(256, dtype=np.float32) / np.float32(255)
_MIRRORED = cv2.BORDER_REFLECT_101


def augment(
    images: np.ndarray,
    masks: np.ndarray,
    draws: SegmentationDraws,
    elastic: Elastic,
    grey: np.ndarray,
    moved: np.ndarray,
) -> None:
    """Augment a batch.

    Args:
        images: (B, C, H, H) uint8.
        masks: (B, S, H, H) uint8 in {0, 1}.
        draws: for the B samples.
        elastic: fills in the elastic distortion's map of a sample.
        grey: (B, C, H, H) float32, filled with the images in [0, 1].
        moved: (B, S, H, H) float32, filled with the masks in {0, 1}.
    """
    plane, x, y = room = np.empty((3, *images.shape[-2:]), np.float32)
    warps = (draws.distortion != "") | (draws.crop[:, 2] < 1)
    for sample in range(len(images)):
        table = _table(draws, sample)
        if not warps[sample]:
            for image, into in zip(images[sample], grey[sample], strict=True):
                cv2.LUT(image, table, dst=into)
            moved[sample] = masks[sample]
            continue
        fill(room[1:], draws, sample, elastic)
        for image, into in zip(images[sample], grey[sample], strict=True):
            cv2.remap(cv2.LUT(image, table, dst=plane), x, y, cv2.INTER_LINEAR, dst=into, borderMode=_MIRRORED)
        for mask, into in zip(masks[sample], moved[sample], strict=True):
            into[:] = cv2.remap(mask, x, y, cv2.INTER_NEAREST, borderMode=_MIRRORED)


def fill(maps: np.ndarray, draws: SegmentationDraws, sample: int, elastic: Elastic) -> None:
    """Fill (2, H, H) float32 with a sample's source map: the x and y in source pixels that each pixel is read at."""
    size_px = maps.shape[-1]
    left, top, side = draws.crop[sample].astype(np.float32)
    centres = np.arange(size_px, dtype=np.float32) + np.float32(0.5)
    x, y = (start * size_px + centres * side - np.float32(0.5) for start in (left, top))
    kind = draws.distortion[sample]
    if kind == "elastic":
        elastic(maps, x, y, draws.affine[sample], sample)
        return
    if kind == "optical":
        _radial(maps, x, y, np.float32(draws.optical[sample]))
        return
    if kind == "grid":
        x, y = (_piecewise(at, stretch, size_px) for at, stretch in zip((x, y), draws.stretch[sample], strict=True))
    maps[0], maps[1] = x, y[:, None]


def _table(draws: SegmentationDraws, sample: int) -> np.ndarray:
    """Return the lookup table of intensities: the value in [0, 1] of each of the 256 grey values, (256,) float32."""
    if draws.brightens[sample]:
        return np.clip(_WHITE * np.float32(draws.contrast[sample]) + np.float32(draws.brightness[sample]), 0, 1)
    return _WHITE ** np.float32(draws.gamma[sample]) if draws.bends[sample] else _WHITE


def _radial(maps: np.ndarray, x: np.ndarray, y: np.ndarray, k: np.float32) -> None:
    size_px = maps.shape[-1]
    centre = np.float32((size_px - 1) / 2)
    away_x, away_y = x - centre, (y - centre)[:, None]
    factor, further = maps
    np.add((away_x / size_px) ** 2, (away_y / size_px) ** 2, out=further)
    np.add(further, 1, out=factor)
    factor *= further
    factor *= k
    factor += 1
    np.multiply(factor, away_y, out=further)
    further += centre
    factor *= away_x
    factor += centre


def _piecewise(values: np.ndarray, stretch: np.ndarray, size_px: int) -> np.ndarray:
    cells = len(stretch)
    ends = np.concatenate(([0], np.cumsum(stretch)))
    position = (values + 0.5) * (cells / size_px)
    cell = np.floor(position).clip(0, cells - 1).astype(int)
    read = (ends[cell] + (position - cell) * stretch[cell]) * (size_px / cells) - 0.5
    return read.astype(np.float32)
