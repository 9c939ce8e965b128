"""Keep predicted masks among a record's arrays, one bit a pixel, and read them back.

They are kept on request (``eden-bench run --keep-masks``) and are no part of a cell's id, since they move no score. A
record holds those of its first test images, as many as fit into ``arrays.MOST_BYTES``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from eden_bench.contracts import Outcome
from eden_bench.records import arrays

if TYPE_CHECKING:
    import numpy as np

    from eden_bench.records.record import Record

_SPARED = 1 << 20
"""Bytes left for names and headers."""


class Masks(NamedTuple):
    """The predicted masks of a record."""

    cases: list[str]
    structures: list[str]
    pixels: np.ndarray
    """(len(cases), len(structures), H, W) bool."""


def packed(masks: np.ndarray) -> np.ndarray:
    """Pack (N, S, H, W) bool to (N, S, n) uint8, eight pixels a byte, row by row, the first in the highest bit."""
    import numpy as np

    return np.packbits(masks.reshape(*masks.shape[:2], -1), axis=-1)


def bundle(packed: np.ndarray, shape: Sequence[int], structures: Sequence[str]) -> dict[str, np.ndarray]:
    """Return what a task hands over as ``Outcome.masks``: packed masks (N, S, n) of all cases and their (H, W)."""
    import numpy as np

    return {"masks": packed, "mask_shape": np.array(shape), "mask_structures": np.array(structures)}


def worst_median_best(values: Sequence[float]) -> list[int]:
    """Return where the lowest, the lower median and the highest of some values stand; of equal ones the first.

    >>> worst_median_best([0.9, 0.2, 0.5, 0.2, 0.7])
    [1, 2, 0]
    """
    order = sorted(range(len(values)), key=lambda place: (values[place], place))
    highest = max(range(len(values)), key=lambda place: (values[place], -place), default=0)
    return list(dict.fromkeys([*order[:1], *order[(len(order) - 1) // 2 :][:1], highest])) if order else []


def examples(cases: Sequence[str], truth: np.ndarray, films: np.ndarray) -> dict[str, np.ndarray]:
    """Return what goes along of a few cases: their true masks (n, S, p), packed, and films (n, H, W) or (n, H, W, 3).

    A task hands it over as part of ``Outcome.masks``, and only where records may hold them (``DatasetCard.shows``).
    """
    import numpy as np

    return {"example_cases": np.array(cases, dtype=str), "example_truth": truth, "example_films": films}


def beside(outcome: Outcome) -> tuple[Outcome, str]:
    """Return an outcome with its masks among its arrays, and a sentence where not all of them fit."""
    import numpy as np

    if not outcome.masks:
        return outcome, ""
    found, cases = outcome.masks["masks"], list(outcome.cases["case"])
    others = [*outcome.arrays.values(), *(array for name, array in outcome.masks.items() if name != "masks")]
    room = arrays.MOST_BYTES - _SPARED - sum(array.nbytes for array in others)
    kept = min(len(cases), max(0, room) // found[0].nbytes)
    note = "" if kept == len(cases) else (
        f"masks of the first {kept:,} of {len(cases):,} test images are kept, since a record's arrays may take "
        f"{arrays.MOST_BYTES >> 20} MiB: a smaller score_px of the protocol keeps more"
    )  # fmt: skip
    masks = {**outcome.masks, "masks": found[:kept], "mask_cases": np.array(cases[:kept], dtype=str)}
    return replace(outcome, arrays={**outcome.arrays, **masks}), note


def kept_in(record: Record) -> Masks | None:
    """Read the predicted masks of a record; None if it keeps none.

    Raises:
        RecordDamaged: the file of its arrays is not the one that was written.
    """
    found = record.arrays()
    return unpacked(found) if "masks" in found else None


def unpacked(found: Mapping[str, np.ndarray]) -> Masks:
    """Unpack the arrays that ``beside`` added."""
    import numpy as np

    height, width = (int(side) for side in found["mask_shape"])
    bits = np.unpackbits(found["masks"], axis=-1, count=height * width)
    pixels = bits.reshape(*bits.shape[:2], height, width).astype(bool)
    return Masks(found["mask_cases"].tolist(), found["mask_structures"].tolist(), pixels)
