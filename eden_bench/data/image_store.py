"""Cache of decoded images: each dataset is decoded once to one uint8 array on disk and memory-mapped afterwards.

Three kinds: images at one size, masks at one size, and a pyramid of 1024, 512 and 256 px, which the anatomy decomposer
cuts its anchors from (`docs/decisions/007-crops-from-the-original.md`). Each lives in ``cache/<name>-<fingerprint>/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from eden_bench.contracts import Anchor, Context, Dataset, DatasetIndex, Item
from eden_bench.data.pixel_store import Store, StoreSpec, open_store
from eden_bench.errors import DataDamaged, DataMissing

LEVELS_PX = (1024, 512, 256)
"""Sides of a pyramid's levels, finest first: released code crops from 1024 px; large crops are made from the others."""

IMAGES, MASKS, PYRAMID = "images", "masks:", f"pyramid:{LEVELS_PX}"
"""Kinds of stores; the structures' names stand behind that of masks."""
_STARTS = {side_px: sum(s**2 for s in LEVELS_PX if s > side_px) for side_px in LEVELS_PX}


@dataclass(frozen=True)
class ImageStore(Store):
    """Cached images, all at one size."""

    @property
    def images(self) -> np.ndarray:
        """(N, H, W) or (N, H, W, 3) uint8."""
        return self.pixels


@dataclass(frozen=True)
class MaskStore(Store):
    """Cached masks, all at one size."""

    structures: tuple[str, ...] = ()

    @property
    def masks(self) -> np.ndarray:
        """(N, S, H, W) uint8 in {0, 1}, S in the order of ``structures``."""
        return self.pixels


@dataclass(frozen=True)
class PyramidStore(Store):
    """Cached images at 1024², 512² and 256²; ``pixels`` holds them one after the other, row by row."""

    def levels(self, sample: int) -> tuple[np.ndarray, ...]:
        """Return an image at its sizes, finest first: views on the store.

        The finest is the smallest that has all pixels of the file, or 1024², so that a 512-px film is cut from itself
        and not from a copy that was enlarged.
        """
        whole, longest = np.asarray(self.pixels)[sample], self.native_px[sample].max()
        sides = [side for side in LEVELS_PX if side // 2 < longest or side == LEVELS_PX[-1]]
        return tuple(whole[_STARTS[side] :][: side * side].reshape(side, side, *whole.shape[1:]) for side in sides)

    def anchor(self, sample: int, row: float, column: float, rows: int, columns: int) -> Anchor:
        """Return one cell of a rows × columns grid over the 1024-px image, to crop views from.

        Rows and columns of pixels left over at the bottom and the right belong to no cell, as in the released code.

        Raises:
            ValueError: the grid has no such cell, or its cells would be empty.
        """
        side_px = LEVELS_PX[0]
        if not (0 <= row <= rows - 1 < side_px and 0 <= column <= columns - 1 < side_px):
            raise ValueError(f"cell ({row}, {column}) is not in a {rows} × {columns} grid over {side_px} px")
        height, width, levels = side_px // rows, side_px // columns, self.levels(sample)
        share = len(levels[0]) / side_px
        box = (row * height * share, column * width * share, height * share, width * share)
        return Anchor(levels, box, (height, width))


def open_images(
    index: DatasetIndex, dataset: Dataset, size_px: int, context: Context, *, channels: int = 1
) -> ImageStore:
    """Map a dataset's images from the cache, squashed to size_px × size_px by area; decode them first if needed.

    Args:
        index: its items are stored, in this order.
        dataset: decodes an item to (H, W) or (H, W, 3) uint8.
        size_px: side of every stored image.
        context: holds the cache folder, the progress callback and whether stores may be built.
        channels: 1 keeps (N, H, W), 3 keeps (N, H, W, 3).

    Raises:
        DataDamaged: from the reader, for the first item (in order) that cannot be decoded.
        DataMissing: there are no items, or a file is gone.
        EdenError: the cache has no room or cannot be written.
        NotBuilt: they are not decoded yet, and this is a dry run.
    """
    return ImageStore(**vars(open_store(image_spec(index, dataset, size_px, channels), context)))


def image_spec(index: DatasetIndex, dataset: Dataset, size_px: int, channels: int) -> StoreSpec:
    """Specify the store of ``open_images``."""
    shape = (size_px, size_px) + ((3,) if channels == 3 else ())

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        image = with_channels(dataset.read_image(item), channels)
        return resized(image, size_px), image.shape[:2]

    return StoreSpec(f"{index.dataset}-images", IMAGES, index.items, _images(index), shape, make, dataset.reading)


def open_masks(
    index: DatasetIndex, dataset: Dataset, structures: Sequence[str], size_px: int, context: Context
) -> MaskStore:
    """Map a dataset's masks from the cache, resized to size_px × size_px by the nearest pixel; decode them if needed.

    A mask comes from files or is drawn (``Item.drawn``); a drawn one is made again when drawing or image change.

    Args:
        index: the masks of its items are stored, in this order.
        dataset: decodes one structure of an item to (H, W) bool.
        structures: which structures, in this order.
        size_px: side of every stored mask.
        context: as in `open_images`.

    Raises:
        DataDamaged: from the reader, for the first item (in order) that cannot be decoded.
        DataMissing: there are no items, a file is gone, or an item has no mask of a structure.
        EdenError: the cache has no room or cannot be written.
        NotBuilt: they are not decoded yet, and this is a dry run.
    """
    spec = mask_spec(index, dataset, structures, size_px)
    return MaskStore(**vars(open_store(spec, context)), structures=tuple(structures))


def mask_spec(index: DatasetIndex, dataset: Dataset, structures: Sequence[str], size_px: int) -> StoreSpec:
    """Specify the store of ``open_masks``. Raises DataMissing if an item has no mask of a structure."""
    files = tuple(tuple(file for s in structures for file in _mask_files(item, s)) for item in index.items)
    drawn = tuple({s: item.drawn[s] for s in structures if s in item.drawn} for item in index.items)

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        masks = [_mask(dataset.read_mask(item, structure), item, structure) for structure in structures]
        return np.stack([resized(m, size_px, nearest=True) for m in masks]), masks[0].shape

    name, kind = f"{index.dataset}-masks", MASKS + "|".join(structures)
    shape = (len(structures), size_px, size_px)
    return StoreSpec(name, kind, index.items, files, shape, make, dataset.reading, drawn=drawn if any(drawn) else ())


def open_pyramid(index: DatasetIndex, dataset: Dataset, context: Context, *, channels: int = 1) -> PyramidStore:
    """Map the pyramids of a dataset's images from the cache; decode them first if needed. Raises as `open_images`."""
    return PyramidStore(**vars(open_store(pyramid_spec(index, dataset, channels), context)))


def pyramid_spec(index: DatasetIndex, dataset: Dataset, channels: int) -> StoreSpec:
    """Specify the store of ``open_pyramid``."""
    shape = (sum(side**2 for side in LEVELS_PX),) + ((3,) if channels == 3 else ())

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        image = with_channels(dataset.read_image(item), channels)
        return pyramid_of(image), image.shape[:2]

    return StoreSpec(index.dataset, PYRAMID, index.items, _images(index), shape, make, dataset.reading)


def pyramid_of(image: np.ndarray) -> np.ndarray:
    """Squash an image (H, W) or (H, W, 3) uint8 to 1024², 512² and 256²; return the pixels of all, (P,) or (P, 3).

    Each level is made from the image itself: a 512-px image is its own level, not blurred on a way up and down.
    """
    return np.concatenate([resized(image, side).reshape(-1, *image.shape[2:]) for side in LEVELS_PX])


def resized(image: np.ndarray, size_px: int, *, nearest: bool = False) -> np.ndarray:
    """Resize to size_px²: by area if it shrinks, linearly if it grows; or to the nearest pixel's value."""
    import cv2

    if image.shape[:2] == (size_px, size_px):
        return image
    how = cv2.INTER_AREA if min(image.shape[:2]) >= size_px else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_NEAREST_EXACT if nearest else how))


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """Convert a uint8 image to (H, W) for one channel (luma of a colour image) or (H, W, 3) for three."""
    import cv2

    if channels == 3:
        return image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))


def _mask(mask: np.ndarray, item: Item, structure: str) -> np.ndarray:
    """Convert a mask to uint8 in {0, 1}; one of numbers, among which NaN would become background, is refused."""
    if mask.dtype != bool:
        raise DataDamaged(
            f"{item.id}: its mask of {structure} is {mask.dtype}, expected bool: mend the dataset's reader"
        )
    return mask.astype(np.uint8)


def _images(index: DatasetIndex) -> tuple[tuple[Path, ...], ...]:
    return tuple((item.image,) for item in index.items)


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
