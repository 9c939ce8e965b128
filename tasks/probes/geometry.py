"""Probes that need no truth but geometry: one film a patient, and boxes drawn on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench.contracts import Context, DatasetIndex, Item
from tasks.probes.base import OpenProbe
from tasks.probes.definitions import ProbeTask
from tasks.probes.part_protocols import WholesProtocol
from tasks.probes.wholes import draw_pairs, groups_of, parts_of

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Rows of films (F,) and boxes on each, (F, ..., 4), to features (F, ..., D) float64."""


class OpenGeometry(OpenProbe):
    """A probe of one film a patient."""

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: Any, context: Context) -> None:  # noqa: ANN401 - each probe's own
        super().__init__(task, index, protocol, context)
        self.data["split_rule"] = f"{index.split_rule}; of each list the first film by id of each patient"
        self.rows = {"train": np.flatnonzero(self.is_train), "test": np.flatnonzero(~self.is_train)}

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return the first film of each of the first patients, of the training and of the test list."""
        train, test = (_one_a_patient(index.split(name)) for name in ("train", "test"))
        return train[: self.protocol.train_films], test[: self.protocol.test_films]

    def by(self, encoder: Encoder) -> Encode:
        """Return the function that encodes boxes by an encoder."""
        return lambda rows, boxes: self.embed(
            encoder, np.repeat(rows, boxes[0].size // 4), boxes.reshape(-1, 4)
        ).reshape(*boxes.shape[:-1], -1).astype(np.float64)  # fmt: skip

    def by_code(self, code: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Encode:
        """Return the function that encodes boxes by a code of film (H, W) and boxes (..., 4)."""
        return lambda rows, boxes: np.stack([code(self.films[row], own) for row, own in zip(rows, boxes, strict=True)])


def _one_a_patient(items: Sequence[Item]) -> list[Item]:
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.patient, item)
    return list(first.values())


class OpenWholes(OpenGeometry):
    """Films with wholes drawn on them, one place a size band."""

    protocol: WholesProtocol

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: WholesProtocol, context: Context) -> None:
        super().__init__(task, index, protocol, context)
        self.boxes = {split: self._drawn(len(rows)) for split, rows in self.rows.items()}
        self.roles = [f"{place}{role}" for place in range(protocol.places) for role in "ab"]

    def _drawn(self, films: int) -> np.ndarray:
        """Return (films, places, 2, 4) boxes, equal within a group of films."""
        protocol = self.protocol
        boxes = np.zeros((films, protocol.places, 2, 4), dtype=np.int64)
        for number, group in enumerate(groups_of(films)):
            boxes[group] = draw_pairs(protocol.seed, number, protocol.places, protocol.film_px)
        return boxes

    def wholes(self, encode: Encode, split: str) -> np.ndarray:
        """Return the features of a split's wholes, (F, P, 2, D)."""
        return encode(self.rows[split], self.boxes[split])

    def parts(self, encode: Encode, split: str, layout: str) -> np.ndarray:
        """Return the features of their parts, (F, P, 2, n, D)."""
        return encode(self.rows[split], parts_of(self.boxes[split], layout))

    def patients_of(self, split: str) -> np.ndarray:
        """Return the patient of each whole of a split, (F · P · 2,)."""
        return np.repeat(self.patients[self.rows[split]], len(self.roles))
