"""The Anatomy Decomposer: divides images into anchors, from coarse to fine.

Hosseinzadeh Taher et al., 2023 (arXiv:2309.15358), section 2 and Fig. 2: an image is halved vertically, its halves
horizontally, and so on by turns, so that level n has 2^n parts; training goes from the whole image to small parts.
Released code cuts an n × n grid instead, which agrees at the published levels 0, 2 and 4 only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from eden_bench.contracts import Stage, at_least

Mode = Literal["recursive", "grid"]

PUBLISHED_LEVELS = (0, 2, 4)


def grid(level: int, mode: Mode = "recursive") -> tuple[int, int]:
    """Return (rows, columns) of the parts at a level; every part has the same size.

    Args:
        level: granularity n, at least 0; 0 is the whole image.
        mode: "recursive" is the paper's halving (rows 2^⌊n/2⌋, columns 2^⌈n/2⌉), "grid" released code's n × n.

    Raises:
        ValueError: the level is negative or the mode unknown.
    """
    at_least("level", level, 0)
    if mode == "recursive":
        return 2 ** (level // 2), 2 ** ((level + 1) // 2)
    if mode == "grid":
        return max(level, 1), max(level, 1)
    raise ValueError(f"mode must be 'recursive' or 'grid', not {mode!r}")


def cell_px(height_px: int, width_px: int, rows: int, columns: int) -> tuple[int, int]:
    """Return (height, width) of one part in pixels; a remainder is cropped at the bottom and the right."""
    return height_px // rows, width_px // columns


def stages(levels: Sequence[int], epochs: int, mode: Mode = "recursive") -> tuple[Stage, ...]:
    """Return one stage a level, in the order given (coarse to fine in the paper), each of that many epochs.

    Raises:
        ValueError: there is no level, or a level stands twice (its stages would share a name).
    """
    if not levels:
        raise ValueError("levels must hold at least one level, not ()")
    if len(set(levels)) != len(levels):
        raise ValueError(f"levels must differ from one another, not {tuple(levels)}")
    return tuple(Stage(f"n{level}", epochs, level, *grid(level, mode)) for level in levels)
