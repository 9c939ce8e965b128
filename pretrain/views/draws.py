"""Draw a batch's augmentation parameters: crop, jitter, blur, solarisation, rotation and flip.

The laws are torchvision's (``RandomResizedCrop``, ``ColorJitter``, ``RandomApply``, ``RandomRotation``), written from
their definitions; the numbers come from rows of a counter-based table, so a sample's view depends on nothing but its
seed, stage, epoch, index and view. Both renderers take the same draws.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eden_bench.contracts import ViewRecipe

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
UNCHANGED = (1.0, 1.0, 1.0, 0.0)
"""The factor of each jitter that changes nothing."""

_TRIES = 10
_AREA = slice(0, _TRIES)
_RATIO = slice(_TRIES, 2 * _TRIES)
_TOP, _LEFT, _JITTER = 20, 21, 22
_FACTORS = slice(23, 27)
_ORDER = slice(27, 31)
_GREY, _BLUR, _SIGMA, _SOLARISE, _ANGLE, _FLIP = range(31, 37)
WIDTH = 37
"""Uniform numbers that one view takes."""


class Draws(NamedTuple):
    """Augmentation parameters of one view of each sample of a batch."""

    crop: np.ndarray
    """(B, 4) int64: top, left, height, width in anchor pixels."""
    factors: np.ndarray
    """(B, 4) float32: brightness, contrast, saturation, hue; ``UNCHANGED`` where there is no jitter."""
    order: np.ndarray
    """(B, 4) int64: the jitters in the order they are applied."""
    grey: np.ndarray
    """(B,) bool."""
    sigma_px: np.ndarray
    """(B,) float64: s.d. of the Gaussian blur in view pixels; 0 is none."""
    solarise: np.ndarray
    """(B,) bool."""
    angle_deg: np.ndarray
    """(B,) float64, counter-clockwise."""
    flip: np.ndarray
    """(B,) bool: mirrored left to right, after the rotation."""


def draw_views(table: np.ndarray, recipe: ViewRecipe, height_px: int, width_px: int) -> Draws:
    """Convert uniform numbers to the augmentation parameters of one view of each anchor.

    Args:
        table: (B, WIDTH) in [0, 1).
        recipe: the laws.
        height_px: height of the anchors.
        width_px: width of the anchors.
    """
    blurred = table[:, _BLUR] < recipe.blur_p
    return Draws(
        crop=draw_crops(table, recipe, height_px, width_px),
        factors=_draw_factors(table, recipe),
        order=np.argsort(table[:, _ORDER], axis=1),
        grey=table[:, _GREY] < recipe.grey_p,
        sigma_px=np.where(blurred, _between(table[:, _SIGMA], *recipe.blur_sigma_px), 0.0),
        solarise=table[:, _SOLARISE] < recipe.solarise_p,
        angle_deg=_between(table[:, _ANGLE], -recipe.rotation_deg, recipe.rotation_deg),
        flip=table[:, _FLIP] < recipe.flip_p,
    )


def draw_crops(table: np.ndarray, recipe: ViewRecipe, height_px: int, width_px: int) -> np.ndarray:
    """Draw crops as ``RandomResizedCrop`` does: the first of ten tries that fits, else the largest central one.

    A crop scale of (1, 1) means no crop, also of anchors whose shape the ratios exclude.

    A recipe of a cell has the cell instead.

    Returns:
        (B, 4) int64: top, left, height, width.
    """
    if recipe.cell is not None:
        row, column, rows, columns = recipe.cell
        cell = (height_px // rows, width_px // columns)
        return np.tile(np.array([row * cell[0], column * cell[1], *cell]), (len(table), 1))
    if recipe.crop_scale == (1.0, 1.0):
        return np.tile(np.array([0, 0, height_px, width_px]), (len(table), 1))
    area = height_px * width_px * _between(table[:, _AREA], *recipe.crop_scale)
    ratio = np.exp(_between(table[:, _RATIO], *np.log(recipe.crop_ratio)))
    heights, widths = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
    fits = (heights > 0) & (heights <= height_px) & (widths > 0) & (widths <= width_px)
    first = np.argmax(fits, axis=1)[:, None]
    height, width = (np.take_along_axis(sides, first, axis=1)[:, 0] for sides in (heights, widths))
    if recipe.crop_place == "centre":
        top, left = np.floor((height_px - height) / 2), np.floor((width_px - width) / 2)
    else:
        top = np.floor(table[:, _TOP] * (height_px - height + 1))
        left = np.floor(table[:, _LEFT] * (width_px - width + 1))
    crops = np.stack([top, left, height, width], axis=1)
    return np.where(fits.any(axis=1)[:, None], crops, central_crop(recipe, height_px, width_px)).astype(np.int64)


def central_crop(recipe: ViewRecipe, height_px: int, width_px: int) -> tuple[int, int, int, int]:
    """Return the largest central crop (top, left, height, width) whose width / height the recipe allows."""
    low, high = recipe.crop_ratio
    height, width = height_px, width_px
    if width_px / height_px < low:
        height = round(width_px / low)
    elif width_px / height_px > high:
        width = round(height_px * high)
    return (height_px - height) // 2, (width_px - width) // 2, height, width


def draw_cells(table: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Draw the cell of a rows × columns grid that is each sample's anchor, uniformly.

    Args:
        table: (B, 2) in [0, 1).
        rows: rows of the grid.
        columns: columns of the grid.

    Returns:
        (B, 2) int64: row, column.
    """
    return (table * (rows, columns)).astype(np.int64)


def draw_windows(table: np.ndarray, rows: int, columns: int, margin: float) -> np.ndarray:
    """Draw a window of a cell's size anywhere in the image but for a margin, uniformly.

    Args:
        table: (B, 2) in [0, 1).
        rows: rows of the grid whose cells the windows are as large as.
        columns: columns of the grid.
        margin: share of the side that stays free on each side; a window that is the whole side stays where it is.

    Returns:
        (B, 2) float64: top and left in cells' heights and widths, 0 to rows - 1 and columns - 1.
    """
    cells = np.array([rows, columns], dtype=float)
    free = np.where(cells > 1, np.minimum(margin, (1 - 1 / cells) / 2), 0) * cells
    return np.asarray(free + table * (cells - 1 - 2 * free))


def upright_maps(draws: Draws, size_px: int) -> np.ndarray:
    """Invert flip and rotation: the affine map from points of the finished view to the upright one.

    Returns:
        (B, 2, 3) float64: maps (x, y, 1) to (x, y), both in view pixels with centres at +0.5.
    """
    angle, mirror = np.deg2rad(draws.angle_deg), np.where(draws.flip, -1.0, 1.0)
    maps = np.empty((len(angle), 2, 3))
    maps[:, 0, 0], maps[:, 0, 1] = mirror * np.cos(angle), -np.sin(angle)
    maps[:, 1, 0], maps[:, 1, 1] = mirror * np.sin(angle), np.cos(angle)
    maps[:, :, 2] = size_px / 2 - maps[:, :, :2].sum(axis=2) * size_px / 2  # the centre stays where it is
    return maps


def anchor_maps(draws: Draws, size_px: int) -> np.ndarray:
    """Invert flip, rotation and crop: the affine map from points of the finished view to the anchor.

    Returns:
        (B, 2, 3) float64: maps (x, y, 1) in view pixels to (x, y) in anchor pixels, centres at +0.5.
    """
    maps = upright_maps(draws, size_px) * (draws.crop[:, [3, 2], None] / size_px)
    maps[:, :, 2] += draws.crop[:, [1, 0]]
    return maps


def _draw_factors(table: np.ndarray, recipe: ViewRecipe) -> np.ndarray:
    spreads = (recipe.brightness, recipe.contrast, recipe.saturation, recipe.hue)
    low = [max(0.0, 1 - spread) for spread in spreads[:HUE]] + [-recipe.hue]
    high = [1 + spread for spread in spreads[:HUE]] + [recipe.hue]
    factors = _between(table[:, _FACTORS], np.array(low), np.array(high))
    jittered = table[:, _JITTER, None] < recipe.jitter_p
    return np.where(jittered, factors, UNCHANGED).astype(np.float32)


def _between(uniform: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    return low + (high - low) * uniform
