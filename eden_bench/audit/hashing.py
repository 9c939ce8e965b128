"""Compute perceptual hashes, which stay equal when a film is resized, re-encoded, re-windowed or trimmed at its edges.

An image becomes a thumbnail of 64 × 64 pixels, and its grey values become ranks, which no gamma or window changes.
The signs of its cosine coefficients are the hash (after Zauner 2010, "pHash", who used 64 of them): radiographs are
all alike, so the 64 lowest only choose candidates, and 256 of the middle ones tell people apart. A copy that lost up
to 1/16 of a side at any edge is found because each original is also hashed as it would look after such a trim.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from itertools import product

import numpy as np

from eden_bench.data.image_store import resized, with_channels

THUMB_PX = 64
CUTS = (0.0, 1 / 32, 1 / 16)
"""Shares of a side that a trim takes off an edge: 0, 32 and 64 px of 1024."""
WINDOWS = tuple(sorted(product(CUTS, repeat=4), key=lambda cuts: CUTS[1] in cuts))
"""Every trim (top, bottom, left, right): none at all, then the other whole ones, then those with a half in them."""
WHOLE = 16
"""How many of ``WINDOWS`` are whole trims; they alone choose candidates."""

_ORDERS = 18
"""Cosines a side; enough for 256 coefficients of the middle band."""
_MIDDLE = 3.0
"""Radius, in half waves a side, below which all radiographs look alike."""
_BATCH = 64
_MOST_ALIKE = 32


@dataclass(frozen=True)
class Hashes:
    """The hashes of N images, one for each trim."""

    coarse: np.ndarray
    """(16, N) uint64: 64 bits for each whole trim."""
    fine: np.ndarray
    """(N, 81, 4) uint64: 256 bits for each trim of ``WINDOWS``."""

    @classmethod
    def of(cls, thumbs: np.ndarray) -> Hashes:
        """Hash thumbnails (N, 64, 64) uint8, a batch at a time."""
        count = len(thumbs)
        made = cls(np.empty((WHOLE, count), np.uint64), np.empty((count, len(WINDOWS), 4), np.uint64))
        for start in range(0, count, _BATCH):
            here = slice(start, start + _BATCH)
            signs = coefficients(ranks(thumbs[here])) > 0
            made.coarse[:, here] = _packed(signs[:, :WHOLE, _chosen(64, 0.5)])[..., 0].T
            made.fine[here] = _packed(signs[:, :, _chosen(256, _MIDDLE)])
        return made


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduce an image (H, W) or (H, W, 3) uint8 to (64, 64) uint8, whatever its shape."""
    return resized(with_channels(image, 1), THUMB_PX)


def ranks(thumbs: np.ndarray) -> np.ndarray:
    """Replace grey values (N, H, W) uint8 by their rank among the image's own, float32 in [-0.5, 0.5], ties alike.

    A value counts for at most 1/32 of the image: the noise of large flat areas would be spread over many ranks.
    """
    ranked = np.empty(thumbs.shape, np.float32)
    for each, thumb in zip(ranked, thumbs, strict=True):
        counts = np.minimum(np.bincount(thumb.ravel(), minlength=256), thumb.size / _MOST_ALIKE)
        each[:] = ((np.cumsum(counts) - counts / 2) / counts.sum() - 0.5).astype(np.float32)[thumb]
    return ranked


def coefficients(ranked: np.ndarray) -> np.ndarray:
    """Return the cosine coefficients of each trim, in the order of ``WINDOWS``: (N, 64, 64) to (N, 81, 18 · 18)."""
    edges, side = list(product(CUTS, repeat=2)), _side()
    both = (side @ ranked @ side.T).reshape(-1, len(edges), _ORDERS, len(edges), _ORDERS)
    rows, columns = np.transpose([(edges.index(cuts[:2]), edges.index(cuts[2:])) for cuts in WINDOWS])
    return both.swapaxes(2, 3)[:, rows, columns].reshape(-1, len(WINDOWS), _ORDERS**2)


@functools.cache
def _side() -> np.ndarray:
    """Return one side of the transform: for each pair of cuts, sampling, then cosines, (9 · 18, 64)."""
    middles = (np.arange(THUMB_PX) + 0.5) / THUMB_PX
    cosines = np.cos(np.pi * np.arange(_ORDERS)[:, None] * middles)
    parts = [cosines @ _sampling(low + middles * (1 - low - high)) for low, high in product(CUTS, repeat=2)]
    return np.concatenate(parts).astype(np.float32)


def _sampling(places: np.ndarray) -> np.ndarray:
    """Return the matrix (P, 64) that interpolates linearly at places in [0, 1]."""
    pixels = np.clip(places * THUMB_PX - 0.5, 0, THUMB_PX - 1)
    return np.maximum(0, 1 - np.abs(pixels[:, None] - np.arange(THUMB_PX)))


@functools.cache
def _chosen(bits: int, least: float) -> np.ndarray:
    """Return which coefficients make a hash: the lowest of at least this radius, (bits,) int64."""
    rows, columns = np.indices((_ORDERS, _ORDERS))
    radius = np.hypot(rows, columns).ravel()
    order = np.lexsort((np.arange(radius.size), radius))
    return order[radius[order] >= least][:bits]


def _packed(signs: np.ndarray) -> np.ndarray:
    """Pack bits (..., 64 · W) bool to (..., W) uint64."""
    return np.ascontiguousarray(np.packbits(signs, axis=-1)).view(np.uint64)
