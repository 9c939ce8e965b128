"""Compositionality: cut wholes and their parts, encode them, and compare; see ``part_whole`` for the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.encoders import Encoder
from tasks.probes import codes, part_whole
from tasks.probes.boxes import encoded
from tasks.probes.films import OpenFilms, patients_of
from tasks.probes.part_protocols import WholesProtocol
from tasks.probes.wholes import LAYOUTS, draw_pairs, groups_of, leaves_film, parts_of

Encode = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Film (H, W) and boxes (..., 4) to features (..., D)."""
FITTED = "2x2"


class OpenWholes(OpenFilms):
    """Films with wholes drawn on them."""

    def __init__(self, index: DatasetIndex, protocol: WholesProtocol, context: Context, dataset: Dataset) -> None:
        super().__init__(index, protocol, context, dataset)
        self.protocol = protocol
        self.train_boxes = self._drawn(len(self.train))
        self.test_boxes = self._drawn(len(self.test))

    def _drawn(self, films: int) -> np.ndarray:
        """Return (films, places, 2, 4) boxes, equal within a group of films."""
        boxes = np.zeros((films, self.protocol.places, 2, 4), dtype=np.int64)
        for number, group in enumerate(groups_of(films)):
            boxes[group] = draw_pairs(0, number, self.protocol.places, self.protocol.source_px)
        return boxes

    def encoder(self, encoder: Encoder) -> Encode:
        """Return the function that encodes boxes by an encoder's declared features, in float64."""
        return lambda film, boxes: encoded(encoder, film, boxes, self.protocol.features).astype(np.float64)

    def embedded(self, encode: Encode, split: str, layout: str) -> tuple[np.ndarray, np.ndarray]:
        """Return features of a split's wholes, (F, P, 2, D), and of their parts, (F, P, 2, n, D)."""
        films, boxes = getattr(self, f"{split}_films"), getattr(self, f"{split}_boxes")
        parts = parts_of(boxes, layout)
        return over_films(encode, films, boxes), over_films(encode, films, parts)


def over_films(encode: Encode, films: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Encode each film's boxes: (F, ..., 4) to (F, ..., D)."""
    return np.stack([encode(film, own) for film, own in zip(films, boxes, strict=True)])


class OpenCompositionality(OpenWholes):
    """Compositionality ready to run; see ``contracts.OpenTask``."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Embed wholes and parts, and score them; nothing depends on the seed."""
        columns = self._columns(self.encoder(encoder))
        scores = part_whole.summarise(columns, self._layouts)
        told = {"controls": self._controls, "candidates_of_top1": 2 * len(self.test)}
        chance = {"chance": 0.5}
        controls = chance | {name: found["part_whole_auc"] for name, found in self._controls.items()}
        cases = {**self._named(), **_listed(columns)}
        return Outcome(scores, cases, told, controls, _arrays(columns))

    @cached_property
    def _controls(self) -> dict[str, dict[str, float]]:
        """All scores of the codes that no network made."""
        made: dict[str, Encode] = {
            "position": lambda film, boxes: codes.position(boxes, len(film)),
            "oracle": codes.content,
        }
        return {name: part_whole.summarise(self._columns(encode), self._layouts) for name, encode in made.items()}

    @property
    def _layouts(self) -> list[str]:
        return [layout for _ in range(self.test_boxes[..., 0].size) for layout in LAYOUTS]

    def _named(self) -> dict[str, list[Any]]:
        """Return the columns that name the cases."""
        films, places = self.test_boxes.shape[:2]
        rows = [
            (f"{self.test[film].id} {place}{'ab'[role]} {layout}", self.test[film].patient)
            for film in range(films)
            for place in range(places)
            for role in range(2)
            for layout in LAYOUTS
        ]
        return {"case": [name for name, _ in rows], "patient": [patient for _, patient in rows]}

    def _columns(self, encode: Encode) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a whole and layout."""
        train_whole, train_parts = self.embedded(encode, "train", FITTED)
        width = train_whole.shape[-1]
        mean = np.concatenate([train_whole.reshape(-1, width), train_parts.reshape(-1, width)]).mean(axis=0)
        whole = over_films(encode, self.test_films, self.test_boxes)
        each: list[Mapping[str, np.ndarray]] = []
        for layout in LAYOUTS:
            parts = over_films(encode, self.test_films, parts_of(self.test_boxes, layout))
            each.append(_compared(whole, parts.mean(axis=-2), mean))
            if layout == FITTED:
                fitted = self._fitted((train_whole, train_parts), (whole, parts))
        columns = {name: np.stack([found[name] for found in each], axis=-1).ravel() for name in each[0]}
        return columns | self._places() | fitted

    def _fitted(
        self, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the fit's columns, NaN in the rows of the other layouts."""
        width = train[0].shape[-1]
        flat = [(whole.reshape(-1, width), parts.reshape(-1, 4, width)) for whole, parts in (train, test)]
        patients = patients_of(self.train, 2 * self.protocol.places)
        rows = np.array(self._layouts) == FITTED
        made = {}
        for name, values in part_whole.fitted(flat[0], patients, flat[1]).items():
            made[name] = np.full(len(rows), np.nan)
            made[name][rows] = values
        return made

    def _places(self) -> dict[str, np.ndarray]:
        """Return side and border of each whole, once a layout."""
        side = (self.test_boxes[..., 2] - self.test_boxes[..., 0]) / self.protocol.source_px
        border = leaves_film(self.test_boxes, self.protocol.source_px).any(axis=-1, keepdims=True)
        both = {"side": side, "border": np.broadcast_to(border, side.shape).astype(np.int64)}
        return {name: np.repeat(values.ravel(), len(LAYOUTS)) for name, values in both.items()}


def _compared(whole: np.ndarray, sums: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    raw = part_whole.cosines(whole, sums, 0.0)
    others = [raw[name] for name in part_whole.MISMATCHES]
    return {
        **part_whole.cosines(whole, sums, mean),
        **part_whole.retrieval(whole, sums, mean),
        "raw_cosine": raw["matched"],
        **{f"raw_{name}": raw[name] for name in part_whole.MISMATCHES},
        "raw_cosine_mismatched": np.mean(others, axis=0),
    }


def _listed(columns: Mapping[str, np.ndarray]) -> dict[str, list[Any]]:
    return {name: values.tolist() for name, values in columns.items()}


def _arrays(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the cosines that the published figure is drawn from, float32."""
    mismatched = {"raw": [f"raw_{name}" for name in part_whole.MISMATCHES], "centred": part_whole.MISMATCHES}
    matched = {"raw": "raw_cosine", "centred": "matched"}
    return {
        **{f"{form}_matched": columns[name].astype(np.float32) for form, name in matched.items()},
        **{
            f"{form}_mismatched": np.concatenate([columns[name] for name in names]).astype(np.float32)
            for form, names in mismatched.items()
        },
    }
