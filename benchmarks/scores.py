"""C8b: Dice of 98 masks of 256 × 256 pixels against monai's DiceMetric.

    python -m benchmarks.scores     # needs monai; without it the bar is skipped

Equality: every mask's Dice is the same float32, empty masks included.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, skipped, wanted
from eden_bench.case_statistics import dice
from tasks.finetuning.scores import count_pixels

MASKS, SIDE_PX = 98, 256
_UNITS = 10
"""Ours is run so often in a repeat, or its two milliseconds would be read off a clock that others share."""
TITLE = f"Dice of {MASKS} masks of {SIDE_PX}²"


def masks(seed: int) -> np.ndarray:
    """Draw ellipses (98, 1, 256, 256) bool, the first of each ten empty."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    places = draw.uniform((0.3, 0.3, 0.1, 0.1), (0.7, 0.7, 0.3, 0.3), (MASKS, 4))
    made = np.stack([((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1 for cx, cy, rx, ry in places])
    made[seed::10] = False
    made[5::20] = False
    return made[:, None]


def bar(repeats: int) -> Bar:
    """Time ours against monai."""
    try:
        from monai.metrics import DiceMetric
    except ImportError:
        return skipped("C8b", TITLE, "monai is not installed")
    found, true = masks(1), masks(2)
    theirs_found, theirs_true = torch.from_numpy(found), torch.from_numpy(true)

    def ours() -> np.ndarray:
        return dice(*count_pixels(found, true))

    def monai() -> np.ndarray:
        metric = DiceMetric(reduction="none", ignore_empty=False)
        metric(theirs_found, theirs_true)
        return metric.aggregate().numpy()

    same = np.array_equal(ours().astype(np.float32), monai())
    empty = int((~found.any((2, 3)) & ~true.any((2, 3))).sum())
    clause = Equality(same, f"all {MASKS} values equal in float32: {same}; {empty} pairs are empty and score 1")
    sides = Side("bits, counted", lambda: [ours() for _ in range(_UNITS)], _UNITS), Side("monai DiceMetric", monai)
    return compare("C8b", TITLE, *sides, target=50, equality=clause, repeats=repeats)


def main() -> None:
    """Run the bar."""
    options = arguments(__doc__)
    report([bar(options.repeats)] if wanted(options, "C8b") else [], as_json=options.json)


if __name__ == "__main__":
    main()
