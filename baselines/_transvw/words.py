"""Visual words: the same place in patients who look alike (Haghighi et al., TransVW, TMI 2021, arXiv:2102.10680).

A word is a coordinate; its instances are the crops at that coordinate in the images nearest to a reference image in an
auto-encoder's latent space. Roughly aligned images, as of the chest, show the same anatomy there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Anchor, Pyramid

IMAGE_PX = 1024
"""Side of the images that places and sides are given in."""
RESOLUTIONS = 3
"""Crops of each training instance; held-out instances have one."""
_TRIES = 1000
_MARGIN_PX = 8
"""Room for rounding."""


@dataclass(frozen=True, kw_only=True)
class CropLaw:
    """Sizes and offsets of the crops around a word's coordinate, in pixels of a 1024-px image."""

    side_px: int = 128
    """Of the first crop, whose centre is exactly the coordinate."""
    other_sides_px: tuple[int, int] = (100, 158)
    offset_px: int = 20
    """The top left corners of the other crops lie up to so far from the first one's along each axis."""
    border_px: int = 200
    """Least distance of the first crop from the border, or what the other crops need."""

    @property
    def margin_px(self) -> int:
        """Least distance of a coordinate from the border."""
        needed = self.offset_px + max(0, self.other_sides_px[1] - self.side_px) + _MARGIN_PX
        return self.side_px // 2 + max(self.border_px, needed)


class Words(NamedTuple):
    """Coordinates of C words and the images that show them; -1 pads words with fewer images."""

    centres: np.ndarray
    """(C, 2) float64: x, y in pixels of a 1024-px image."""
    train: np.ndarray
    """(C, K) int64: positions among the training images, nearest first; the first is the reference."""
    validation: np.ndarray
    """(C, V) int64: positions among the held-out images, nearest to the reference first."""


class Instances(NamedTuple):
    """Crops of images: source image, centre, side and word."""

    image: np.ndarray
    """(N,) int64, index in the pyramid."""
    centre: np.ndarray
    """(N, 2) float64: x, y in pixels of a 1024-px image."""
    side_px: np.ndarray
    """(N,) int64."""
    word: np.ndarray
    """(N,) int64."""


class WordPyramid:
    """Instances as whole anchors of size_px × size_px."""

    def __init__(self, pyramid: Pyramid, instances: Instances, size_px: int) -> None:
        self.pyramid, self.instances, self.size_px = pyramid, instances, size_px

    def levels(self, sample: int) -> tuple[np.ndarray, ...]:
        """Return the image of an instance at its sizes, finest first."""
        return self.pyramid.levels(int(self.instances.image[sample]))

    def anchor(self, sample: int, row: float, column: float, rows: int, columns: int) -> Anchor:
        """Return where an instance's crop lies in its image; the grid is ignored."""
        levels, side = self.levels(sample), int(self.instances.side_px[sample])
        share = len(levels[0]) / IMAGE_PX
        left, top = ((self.instances.centre[sample] - side / 2).clip(0, IMAGE_PX - side) * share).tolist()
        return Anchor(levels, (top, left, side * share, side * share), (self.size_px, self.size_px))


def discover(
    latents: np.ndarray,
    held_out: np.ndarray,
    *,
    words: int,
    nearest: tuple[int, int],
    spacing_px: int,
    margin_px: int,
    is_tissue: Callable[[int, np.ndarray], bool],
    seed: int,
) -> Words:
    """Find words: a reference image not used before, a coordinate away from earlier ones, the nearest images.

    Not as in the released code, whose search ends at the first coordinate that is too close: here others are tried,
    then other references.

    Args:
        latents: (n, D) of the training images.
        held_out: (m, D) of the held-out images.
        words: wanted; there are fewer where images or places run out.
        nearest: how many training and held-out images show a word.
        spacing_px: least distance between two coordinates.
        margin_px: least distance of a coordinate from the border.
        is_tissue: whether a coordinate of a training image (its position) shows anything.
        seed: of references and coordinates.
    """
    references = seeds.shuffled(len(latents), seed, "word-references")
    centres: list[np.ndarray] = []
    train, validation = [], []
    for number, reference in enumerate(references.tolist()):
        if len(centres) == words:
            break
        centre = _coordinate(centres, reference, spacing_px, margin_px, is_tissue, seed, number)
        if centre is None:
            continue
        centres.append(centre)
        train.append(_nearest(latents, latents[reference], nearest[0], first=reference))
        validation.append(_nearest(held_out, latents[reference], nearest[1]))
    return Words(np.array(centres).reshape(-1, 2), _rows(train, nearest[0]), _rows(validation, nearest[1]))


def instances_of(
    words: Words, train: np.ndarray, validation: np.ndarray, law: CropLaw, seed: int
) -> tuple[Instances, Instances]:
    """Return the training instances, three crops for each image of a word, and the held-out ones, one crop each.

    Args:
        words: found by ``discover``.
        train: (n,) indices of the training images in the pyramid.
        validation: (m,) of the held-out images.
        law: of the crops.
        seed: of sides and offsets.
    """
    single = _instances(words.centres, words.validation, validation, law)
    whole = _instances(words.centres, np.repeat(words.train, RESOLUTIONS, axis=1), train, law)
    drawn = seeds.uniforms(seed, "word-crops", rows=np.arange(len(whole.image)), width=3)
    others = np.arange(len(whole.image)) % RESOLUTIONS > 0
    low, high = law.other_sides_px
    sides = np.where(others, low + np.floor(drawn[:, 0] * (high - low + 1)), law.side_px)
    offsets = np.where(others[:, None], (2 * drawn[:, 1:] - 1) * law.offset_px, 0)
    grown = (sides - law.side_px)[:, None] / 2  # the corners lie together, not the centres
    return whole._replace(side_px=sides.astype(np.int64), centre=whole.centre + offsets + grown), single


def _instances(centres: np.ndarray, shown_in: np.ndarray, images: np.ndarray, law: CropLaw) -> Instances:
    word, place = np.nonzero(shown_in >= 0)
    image = images[shown_in[word, place]]
    return Instances(image, centres[word], np.full(len(word), law.side_px), word)


def _coordinate(
    taken: list[np.ndarray],
    reference: int,
    spacing_px: int,
    margin_px: int,
    is_tissue: Callable[[int, np.ndarray], bool],
    seed: int,
    number: int,
) -> np.ndarray | None:
    drawn = seeds.generator(seed, "word-coordinates", number).random((_TRIES, 2))
    tried = margin_px + drawn * (IMAGE_PX - 2 * margin_px)
    for other in taken:
        tried = tried[np.hypot(*(tried - other).T) >= spacing_px]
    return next((centre for centre in tried if is_tissue(reference, centre)), None)


def _nearest(latents: np.ndarray, to: np.ndarray, count: int, first: int | None = None) -> np.ndarray:
    distances = np.square(latents - to).sum(axis=1)
    if first is not None:
        distances[first] = -1  # the reference leads, also of a twin
    return np.argsort(distances, kind="stable")[:count]


def _rows(found: list[np.ndarray], width: int) -> np.ndarray:
    rows = np.full((len(found), width), -1, np.int64)
    for row, values in zip(rows, found, strict=True):
        row[: len(values)] = values
    return rows
