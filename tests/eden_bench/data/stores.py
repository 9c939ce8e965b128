"""Images on disk, and the three kinds of store opened on them with as few words as a test needs."""

from pathlib import Path

import cv2
import numpy as np

from eden_bench.contracts import Context, DatasetIndex, Item
from eden_bench.data.image_store import open_images, open_masks, open_pyramid


def smooth(height: int, width: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((9, 9)).astype(np.float32) * 255
    return np.clip(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def read_npy(item: Item) -> np.ndarray:
    return np.load(item.image)


def read_mask(item: Item, structure: str) -> np.ndarray:
    return np.load(item.masks[structure][0])


class Reader:
    """A dataset that decodes by a function, the same for images and masks."""

    def __init__(self, read, reading=""):
        self.read_image = self.read_mask = read
        self.reading = reading


def index_of(items, name):
    return DatasetIndex(dataset=name, root=Path(), items=tuple(items), expected_images=len(items))


def images(items, cache, *, read=read_npy, name="x", size_px=32, channels=1, reading="", **context):
    how = Context(cache=cache, **context)
    return open_images(index_of(items, name), Reader(read, reading), size_px, how, channels=channels)


def masks(items, structures, cache, *, read=read_mask, size_px=16, **context):
    return open_masks(index_of(items, "x"), Reader(read), structures, size_px, Context(cache=cache, **context))


def pyramids(items, cache, *, read=read_npy, reading="", **context):
    return open_pyramid(index_of(items, "x"), Reader(read, reading), Context(cache=cache, **context))
