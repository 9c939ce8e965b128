"""Find copies among many images: by the bits that two hashes differ in, then by their aligned detail.

Sieves, each looking only at what the one before let through: 64 bits under 16 trims, for every pair of images; 256
bits under 16 trims; 256 bits under 81. Then both thumbnails are laid on each other to a quarter of a pixel, and the
correlation of their fine detail is the verdict: near 1 for copies, whatever their gamma, and lower for two people or
two films of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from eden_bench.audit.hashing import THUMB_PX, WHOLE, WINDOWS, Hashes, ranks
from eden_bench.contracts import Progress, no_progress
from eden_bench.data.pixel_store import in_threads

COARSE_BITS = 12
"""Of 64: copies differ in at most this many (11 measured; 6 % of all pairs of different patients do)."""
MIDDLE_BITS = 77
"""Of 256, under the whole trims alone: copies differ in at most this many (73 measured)."""
FINE_BITS = 51
"""Of 256: copies differ in at most this many (45 measured; 3 in 100,000 pairs of different patients do)."""
LEAST_DETAIL = 0.915
"""Correlation of aligned detail from which two images are copies: at least 0.96 measured for copies changed in one way
and 0.92 in four, at most 0.85 for different patients and 0.904 for two films of one patient."""

_WHAT = "comparing images"
_ROWS, _COLUMNS = 16, 4096
_BLOCK = 256
_GATHER = 4096
_FINE_SIGMA, _COARSE_SIGMA = 0.8, 2.0
_WORTH_ALIGNING = 0.65
_STEPS_PX = (1.0, 0.5, 0.25)


class Copy(NamedTuple):
    """Two images that show the same film: the first may be a trimmed copy of the second."""

    first: int
    second: int
    detail: float
    """Correlation of their aligned detail, at most 1."""


def find_copies(hashes: Hashes, thumbs: np.ndarray, progress: Progress = no_progress) -> list[Copy]:
    """Find the pairs among N images that show the same film; return each once.

    Args:
        hashes: of the N images.
        thumbs: (N, 64, 64) uint8.
        progress: told of each image compared.
    """
    count = len(thumbs)
    index = hashes.coarse[:, None]

    def work(block: int) -> list[Copy]:
        rows = slice(block * _BLOCK, (block + 1) * _BLOCK)
        first, second = near_bits(hashes.coarse[0, rows, None], index, COARSE_BITS)
        first += rows.start
        others = first != second
        return list(_verified(hashes.fine, thumbs, first[others], second[others]))

    best: dict[tuple[int, int], Copy] = {}
    for copies in in_threads(work, -(-count // _BLOCK), lambda done: progress(_WHAT, min(done * _BLOCK, count), count)):
        for copy in copies:
            pair = min(copy.first, copy.second), max(copy.first, copy.second)
            best[pair] = max(best.get(pair, copy), copy, key=lambda each: each.detail)
    return [best[pair] for pair in sorted(best)]


def near_bits(queries: np.ndarray, index: np.ndarray, most_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs whose hashes differ in at most most_bits, under the best of several variants.

    Args:
        queries: (N, W) uint64, one hash each.
        index: (V, W, M) uint64, V variants each.
        most_bits: of 64 · W.

    Returns:
        Rows of queries and of index, (P,) int64 each.
    """
    found = [np.empty((0, 2), np.int64)]
    for top in range(0, len(queries), _ROWS):
        rows = queries[top : top + _ROWS]
        for left in range(0, index.shape[2], _COLUMNS):
            near = np.flatnonzero(_fewest(rows, index[:, :, left : left + _COLUMNS]) <= most_bits)
            if near.size:
                width = min(_COLUMNS, index.shape[2] - left)
                found.append(np.stack([near // width + top, near % width + left], axis=1))
    pairs = np.concatenate(found)
    return pairs[:, 0], pairs[:, 1]


def _fewest(queries: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return the fewest differing bits over the variants, (N, M); arrays small enough for a core's cache."""
    shape = len(queries), index.shape[2]
    differing, bits = np.empty(shape, np.uint64), np.empty(shape, np.uint8)
    kind = np.uint8 if index.shape[1] < 4 else np.uint16  # four words can differ in 256 bits
    total, fewest = np.empty(shape, kind), np.full(shape, 64 * index.shape[1], kind)
    for variant in index:
        total.fill(0)
        for word, row in enumerate(variant):
            np.bitwise_count(np.bitwise_xor(queries[:, word, None], row, out=differing), out=bits)
            np.add(total, bits, out=total)
        np.minimum(fewest, total, out=fewest)
    return fewest


def _verified(fine: np.ndarray, thumbs: np.ndarray, first: np.ndarray, second: np.ndarray) -> Iterator[Copy]:
    """Yield those of some candidates that are copies."""
    for start in range(0, len(first), _GATHER):
        one, other = first[start : start + _GATHER], second[start : start + _GATHER]
        likely = _bits(fine[one, :1], fine[other, :WHOLE]).min(1) <= MIDDLE_BITS
        one, other = one[likely], other[likely]
        bits = _bits(fine[one, :1], fine[other])
        for number in np.flatnonzero(bits.min(1) <= FINE_BITS):
            a, b = int(one[number]), int(other[number])
            detail = aligned_detail(thumbs[a], thumbs[b], WINDOWS[bits[number].argmin()])
            if detail >= LEAST_DETAIL:
                yield Copy(a, b, detail)


def _bits(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Count differing bits over the last axis of uint64."""
    return np.asarray(np.bitwise_count(ones ^ others).sum(-1, dtype=np.uint16))


def aligned_detail(copy: np.ndarray, original: np.ndarray, cuts: tuple[float, ...]) -> float:
    """Return the correlation of a copy's fine detail with the window of the original that fits it best, at most 1.

    Args:
        copy: thumbnail (64, 64) uint8.
        original: likewise.
        cuts: shares of a side that the copy lacks at the top, bottom, left and right, to within 1/64; refined here
            where the correlation is not hopeless.
    """
    ranked = ranks(np.stack([copy, original]))
    seen, target = _detail(ranked[0]), ranked[1]
    edges = np.array(cuts) * THUMB_PX
    best = _correlation(seen, _detail(_window(target, edges)))
    if best < _WORTH_ALIGNING:
        return best
    for step_px in _STEPS_PX:
        for edge in range(4):
            for sign in (-1, 1):
                moved = edges.copy()
                moved[edge] += sign * step_px
                found = _correlation(seen, _detail(_window(target, moved)))
                if found > best:
                    best, edges = found, moved
    return best


def _window(image: np.ndarray, edges_px: np.ndarray) -> np.ndarray:
    """Cut pixels off the top, bottom, left and right and enlarge the rest to the thumbnail's size."""
    import cv2

    top, bottom, left, right = edges_px
    across, down = (THUMB_PX - left - right) / THUMB_PX, (THUMB_PX - top - bottom) / THUMB_PX
    to_image = np.array([[across, 0, left + across / 2 - 0.5], [0, down, top + down / 2 - 0.5]])
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (THUMB_PX, THUMB_PX), flags=how, borderMode=cv2.BORDER_REPLICATE)


def _detail(ranked: np.ndarray) -> np.ndarray:
    """Band-pass an image: keep detail finer than organs and coarser than grain."""
    import cv2

    return cv2.GaussianBlur(ranked, (0, 0), _FINE_SIGMA) - cv2.GaussianBlur(ranked, (0, 0), _COARSE_SIGMA)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    norm = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float((one * other).sum()) / norm if norm else 0.0
