"""Convert deep grey values to 8 bits by the range of their bits; refuse those that use a quarter of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tasks.reading.files import damaged

_LIKELY_BITS = (8, 10, 12, 14)
_MARKER_SHARE = 0.002
"""Of the pixels: letters burnt into a film at the top of the range say nothing about the bits of the rest."""


def to_8_bits(dataset: str, path: Path, pixels: np.ndarray, bits: int, told: bool) -> np.ndarray:
    """Scale deep grey values to uint8 by the range of their bits, whatever their own maximum.

    Raises:
        DataDamaged: a value is beyond its bits, or, where the user told no bits, all but a marker's share of the pixels
            lie in the lowest quarter of them: they then hold 10, 12 or 14 bits.
    """
    lowest, highest, most = int(pixels.min()), int(pixels.max()), 2**bits - 1
    if lowest < 0 or highest > most:
        found = f"holds values from {lowest} to {highest}"
        raise damaged(dataset, path, found, f"0 to {most} ({bits} bits)", "convert it from the original again")
    if lowest < highest and not told:
        otherwise = f"or say bits = {{}} in the TOML file of a task of your own ({bits} where it is as dark as that)"
        _need_range(dataset, path, _highest_of_most(pixels, 2**bits // 4), bits, otherwise)
    return np.rint(pixels * (255 / most)).astype(np.uint8)


def _highest_of_most(pixels: np.ndarray, bright: int) -> int:
    """Return the highest value, or that below bright if no more than a marker's share of the pixels reaches it."""
    dark = pixels < bright
    few = dark.any() and pixels.size - np.count_nonzero(dark) <= _MARKER_SHARE * pixels.size
    return int(pixels[dark].max() if few else pixels.max())


def need_deep_colours(dataset: str, path: Path, highest: int, bits: int, told: bool) -> None:
    """Raise DataDamaged if colours of 16 bits use fewer; highest is of all three."""
    if bits < 16:
        raise damaged(dataset, path, "has colours of 16 bits", f"grey values of {bits} bits", "convert it to 8 bits")
    if not told:
        _need_range(dataset, path, highest, bits, "for of colours all 16 bits are read")


def _need_range(dataset: str, path: Path, highest: int, bits: int, otherwise: str) -> None:
    """Raise DataDamaged if a deep picture uses no more than the lowest quarter of its range."""
    if highest <= 2**bits // 4 - 1:
        fewer = next(few for few in _LIKELY_BITS if highest < 2**few)
        expected = f"some above {2**bits // 4 - 1} where values have {bits} bits"
        remedy = f"convert it to 8 bits from the original, {otherwise.format(fewer)}"
        raise damaged(dataset, path, f"holds values up to {highest}", expected, remedy)
