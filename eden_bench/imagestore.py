"""The image store: a dataset decoded once into one uint8 array on disk, memory-mapped afterwards (design, section 8).

Three kinds: images at one size, masks at one size, and a pyramid of 256-px tiles, which the anatomy decomposer needs
because its finest anchors are cells of the 1024-px image. Each lives in ``cache/<name>-<fingerprint>/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eden_bench.contracts import Item, Progress, no_progress
from eden_bench.errors import DataMissing
from eden_bench.pixelstore import Plan, Store, open_store

TILE_PX = 256
LEVELS_PX = (256, 512, 1024)
"""Sides of the pyramid's levels: 1, 4 and 16 tiles, for granularity 0, 2 and 4 (paper, Anatomy Decomposer)."""

_FIRST_TILE = {side_px: sum((s // TILE_PX) ** 2 for s in LEVELS_PX if s < side_px) for side_px in LEVELS_PX}
_TILES = sum((side_px // TILE_PX) ** 2 for side_px in LEVELS_PX)


@dataclass(frozen=True)
class ImageStore(Store):
    """Images, all at one size."""

    @property
    def images(self) -> np.ndarray:
        """(N, H, W) or (N, H, W, 3) uint8."""
        return self.pixels


@dataclass(frozen=True)
class MaskStore(Store):
    """Masks, all at one size."""

    structures: tuple[str, ...] = ()

    @property
    def masks(self) -> np.ndarray:
        """(N, S, H, W) uint8 in {0, 1}, S in the order of ``structures``."""
        return self.pixels


@dataclass(frozen=True)
class TilePyramid(Store):
    """Each image squashed to 256², 512² and 1024², kept as 1 + 4 + 16 tiles of 256²."""

    @property
    def tiles(self) -> np.ndarray:
        """(N, 21, 256, 256) or (N, 21, 256, 256, 3) uint8: 1 tile, then 4, then 16, each level row by row."""
        return self.pixels

    def cell(self, sample: int, row: int, column: int, rows: int, columns: int) -> np.ndarray:
        """Return one cell of a rows × columns grid over an image.

        It is cut at the coarsest level where its shorter side has 256 px, or at the finest. Rows and columns of
        pixels left over at the bottom and the right belong to no cell, as in the released code.

        Returns:
            (h, w) or (h, w, 3) uint8; a view on the store where the cell is exactly one tile.

        Raises:
            ValueError: the grid has no such cell, or its cells would be empty.
        """
        if not (0 <= row < rows <= LEVELS_PX[-1] and 0 <= column < columns <= LEVELS_PX[-1]):
            raise ValueError(f"cell ({row}, {column}) is not in a {rows} × {columns} grid over {LEVELS_PX[-1]} px")
        side_px = level_for(rows, columns)
        height, width = side_px // rows, side_px // columns
        return self.cut(sample, side_px, row * height, column * width, height, width)

    def cut(self, sample: int, side_px: int, top: int, left: int, height: int, width: int) -> np.ndarray:
        """Return a window (height, width) of one level, in that level's pixels; a view where it is one tile."""
        tiles, first, across = self.pixels[sample], _FIRST_TILE[side_px], side_px // TILE_PX
        if height == width == TILE_PX and top % TILE_PX == 0 and left % TILE_PX == 0:
            return tiles[first + top // TILE_PX * across + left // TILE_PX]
        window = np.empty((height, width, *tiles.shape[3:]), np.uint8)
        for tile_top, y in _overlaps(top, height):
            for tile_left, x in _overlaps(left, width):
                tile = tiles[first + tile_top // TILE_PX * across + tile_left // TILE_PX]
                window[_shift(y, -top), _shift(x, -left)] = tile[_shift(y, -tile_top), _shift(x, -tile_left)]
        return window


def open_images(
    items: Sequence[Item],
    read: Callable[[Item], np.ndarray],
    *,
    name: str,
    size_px: int,
    cache: Path,
    channels: int = 1,
    reading: str = "",
    progress: Progress = no_progress,
) -> ImageStore:
    """Map the images of some items, squashed to size_px × size_px by area; decode them first where need be.

    Args:
        items: whose images, in this order.
        read: decodes one item to (H, W) or (H, W, 3) uint8.
        name: what the cache's folder is called, for example "scr-images".
        size_px: side of every stored image.
        cache: folder of all stores.
        channels: 1 keeps (N, H, W), 3 keeps (N, H, W, 3).
        reading: what the reader decodes by (``Dataset.reading``); another one is another store.
        progress: told of each image decoded.

    Raises:
        DataDamaged: from read, for the first item (in order) that cannot be decoded.
        DataMissing: there are no items, or a file is gone.
        EdenError: the cache has no room or cannot be written.
    """
    shape = (size_px, size_px) + ((3,) if channels == 3 else ())

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        image = with_channels(read(item), channels)
        return resized(image, size_px), image.shape[:2]

    plan = Plan(name, "images", tuple(items), tuple((item.image,) for item in items), shape, make, reading=reading)
    return ImageStore(**vars(open_store(plan, cache, progress)))


def open_masks(
    items: Sequence[Item],
    read_mask: Callable[[Item, str], np.ndarray],
    structures: Sequence[str],
    *,
    name: str,
    size_px: int,
    cache: Path,
    reading: str = "",
    progress: Progress = no_progress,
) -> MaskStore:
    """Map the masks of some items, resized to size_px × size_px by the nearest pixel; decode them first where need be.

    A mask comes from files or is drawn (``Item.drawn``); a drawn one is made again when drawing or image change.

    Args:
        items: whose masks, in this order.
        read_mask: decodes one structure of one item to (H, W) bool.
        structures: which structures, in this order.
        name: what the cache's folder is called.
        size_px: side of every stored mask.
        cache: folder of all stores.
        reading: what the reader decodes by (``Dataset.reading``); another one is another store.
        progress: told of each item decoded.

    Raises:
        DataDamaged: from read_mask, for the first item (in order) that cannot be decoded.
        DataMissing: there are no items, a file is gone, or an item has no mask of a structure.
        EdenError: the cache has no room or cannot be written.
    """
    files = tuple(tuple(file for s in structures for file in _mask_files(item, s)) for item in items)
    drawn = tuple({s: item.drawn[s] for s in structures if s in item.drawn} for item in items)

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        masks = [read_mask(item, structure).astype(np.uint8) for structure in structures]
        return np.stack([resized(m, size_px, nearest=True) for m in masks]), masks[0].shape

    kind = "masks:" + "|".join(structures)
    shape = (len(structures), size_px, size_px)
    plan = Plan(name, kind, tuple(items), files, shape, make, drawn if any(drawn) else (), reading)
    return MaskStore(**vars(open_store(plan, cache, progress)), structures=tuple(structures))


def open_pyramid(
    items: Sequence[Item],
    read: Callable[[Item], np.ndarray],
    *,
    name: str,
    cache: Path,
    channels: int = 1,
    reading: str = "",
    progress: Progress = no_progress,
) -> TilePyramid:
    """Map the tile pyramids of some items' images; decode them first where need be. Arguments as in `open_images`."""
    shape = (_TILES, TILE_PX, TILE_PX) + ((3,) if channels == 3 else ())

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        image = with_channels(read(item), channels)
        return pyramid_of(image), image.shape[:2]

    plan = Plan(name, "pyramid", tuple(items), tuple((item.image,) for item in items), shape, make, reading=reading)
    return TilePyramid(**vars(open_store(plan, cache, progress)))


def level_for(rows: int, columns: int) -> int:
    """Return the side of the coarsest level where a cell's shorter side has 256 px, or of the finest level."""
    fine_enough = (side_px for side_px in LEVELS_PX if side_px // max(rows, columns) >= TILE_PX)
    return next(fine_enough, LEVELS_PX[-1])


def pyramid_of(image: np.ndarray) -> np.ndarray:
    """Squash an image (H, W) or (H, W, 3) uint8 to 256², 512² and 1024² and return the 21 tiles, (21, 256, 256[, 3]).

    Each level is made from the image itself: a 512-px image is its own level, not blurred on a way up and down.
    """
    colour = image.shape[2:]
    tiles = np.empty((_TILES, TILE_PX, TILE_PX, *colour), np.uint8)
    for side_px in LEVELS_PX:
        across, first = side_px // TILE_PX, _FIRST_TILE[side_px]
        grid = resized(image, side_px).reshape(across, TILE_PX, across, TILE_PX, *colour)
        tiles[first : first + across**2] = grid.swapaxes(1, 2).reshape(-1, TILE_PX, TILE_PX, *colour)
    return tiles


def resized(image: np.ndarray, size_px: int, *, nearest: bool = False) -> np.ndarray:
    """Squash to size_px²: by area where it shrinks, linearly where it grows; or to the nearest pixel's value."""
    import cv2

    if image.shape[:2] == (size_px, size_px):
        return image
    how = cv2.INTER_AREA if min(image.shape[:2]) >= size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT if nearest else how))


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Return a uint8 image as (H, W) for one channel (luma of a colour image) or (H, W, 3) for three."""
    import cv2

    if channels == 3:
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _mask_files(item: Item, structure: str) -> tuple[Path, ...]:
    if structure in item.drawn:
        return (item.image,)  # a drawing has the size of its image
    if structure not in item.masks:
        known = ", ".join([*item.masks, *item.drawn]) or "none"
        raise DataMissing(
            f"{item.id} has no mask of {structure!r}, expected one of {known}: check the dataset with eden-bench data "
            "check"
        )
    return item.masks[structure]


def _overlaps(start: int, length: int) -> Iterator[tuple[int, slice]]:
    """Yield (start of a tile, the part of [start, start + length) that lies in it)."""
    for tile in range(start // TILE_PX * TILE_PX, start + length, TILE_PX):
        yield tile, slice(max(start, tile), min(start + length, tile + TILE_PX))


def _shift(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)
