"""What maps are compared with: the boxed findings, a row for each film and finding, and the folds of their patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Box, DatasetIndex, Item
from eden_bench.errors import DataDamaged, DataMissing

Rule = Literal["centres", "evax"]
_EVAX_PX = 1024
"""Side at which EVA-X truncates corners first."""


@dataclass(frozen=True)
class Truth:
    """Boxed findings of films."""

    films: np.ndarray
    """(N,) int64, which film each row is of."""
    items: tuple[Item, ...]
    """Of each row."""
    labels: tuple[str, ...]
    """Of each row."""
    boxes: tuple[tuple[Box, ...], ...]
    """Of each row; several boxes of one finding on one film are united."""
    native_px: np.ndarray
    """(N, 2) height and width that the boxes refer to."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def patients(self) -> list[str]:
        """Of each row."""
        return [item.patient for item in self.items]

    def findings(self, order: Sequence[str]) -> list[str]:
        """Return the findings that occur, in an order."""
        return [label for label in order if label in self.labels]

    def masks(self, size_px: int, rule: Rule = "centres") -> np.ndarray:
        """Return the rows' boxes as (N, size, size) bool, by the pixels' centres or by EVA-X's truncation."""
        made = np.zeros((len(self), size_px, size_px), dtype=bool)
        span = spans if rule == "centres" else evax_spans
        for row, boxes in enumerate(self.boxes):
            for box in boxes:
                made[row][span(box, self.native_px[row], size_px)] = True
        return made

    def folds(self, count: int) -> np.ndarray:
        """Deal patients into folds: (N,) int64; no seed and no method has a part in it."""
        names = sorted(set(self.patients))
        place = dict(zip(names, seeds.shuffled(len(names), 0, "grad-cam", "folds").tolist(), strict=True))
        return np.array([place[patient] % count for patient in self.patients])


def truth_of(films: Sequence[Item], native_px: np.ndarray) -> Truth:
    """List the boxed findings of films.

    Args:
        films: each with boxes.
        native_px: (films, 2) height and width of each.

    Raises:
        DataDamaged: a box does not lie on its film.
    """
    rows = [
        (number, item, label)
        for number, item in enumerate(films)
        for label in sorted({box.label for box in item.boxes or ()})
    ]
    numbers = np.array([number for number, _, _ in rows])
    boxes = tuple(tuple(box for box in item.boxes or () if box.label == label) for _, item, label in rows)
    truth = Truth(numbers, tuple(r[1] for r in rows), tuple(r[2] for r in rows), boxes, native_px[numbers])
    _need_inside(truth)
    return truth


def boxed(index: DatasetIndex) -> tuple[Item, ...]:
    """Return the test films that have boxes of the dataset's labels.

    Raises:
        DataMissing: there are none, or all are of one patient.
    """
    films = tuple(item for item in index.split("test") if item.boxes)
    if len({item.patient for item in films}) < 2:
        raise DataMissing(
            f"grad-cam: {len(films)} test images of {index.dataset} in {index.root} have boxes, expected those of two "
            "patients at least: put the list of boxes (BBox_List_2017.csv) and the images that it names there; "
            f"'eden-bench data check {index.dataset}' says what is there"
        )
    return films


def spans(box: Box, native_px: np.ndarray, size_px: int) -> tuple[slice, slice]:
    """Return rows and columns of the pixels whose centres a box holds; at least one pixel, the one of its middle."""
    high, wide = (size_px / float(side) for side in native_px)
    return _span(box.top * high, box.bottom * high), _span(box.left * wide, box.right * wide)


def _span(start: float, end: float) -> slice:
    first, last = math.ceil(start - 0.5), math.ceil(end - 0.5)
    return slice(first, last) if first < last else slice(int((start + end) / 2), int((start + end) / 2) + 1)


def evax_spans(box: Box, native_px: np.ndarray, size_px: int) -> tuple[slice, slice]:
    """Return rows and columns as EVA-X draws them: x, y, w, h truncated at 1024 px, scaled, truncated again."""
    high, wide = (_EVAX_PX / float(side) for side in native_px)
    x, y, w, h = (
        int(int(round(value, 6)) * size_px / _EVAX_PX)  # right - left has lost the last bits of a width
        for value in (box.left * wide, box.top * high, (box.right - box.left) * wide, (box.bottom - box.top) * high)
    )
    return slice(y, y + h), slice(x, x + w)


def _need_inside(truth: Truth) -> None:
    for item, boxes, (height, width) in zip(truth.items, truth.boxes, truth.native_px, strict=True):
        for box in boxes:
            if not (0 <= box.left < box.right <= width + 1 and 0 <= box.top < box.bottom <= height + 1):
                raise DataDamaged(
                    f"grad-cam: the {box.label} box of {item.id} reaches from {box.left:.0f}, {box.top:.0f} to "
                    f"{box.right:.0f}, {box.bottom:.0f}, expected it within the film's {width}×{height} px: use films "
                    "of the size that the boxes were drawn on"
                )
