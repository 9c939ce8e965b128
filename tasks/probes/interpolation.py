"""Inter- and extrapolation: squares on lines over a film, encoded and mixed; see ``mixtures`` for the scores."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.case_statistics import mean as mean_of
from eden_bench.contracts import Context, Dataset, DatasetIndex, Outcome
from eden_bench.encoders import Encoder
from tasks.probes import codes, lines, mixtures
from tasks.probes.boxes import encoded
from tasks.probes.compositionality import Encode, over_films
from tasks.probes.films import OpenFilms
from tasks.probes.part_protocols import LinesProtocol

_MEANS = ("error", "swapped_error", "right_weights", "raw_cosine", "raw_cosine_mismatched")


class OpenInterpolation(OpenFilms):
    """Films with lines drawn on them; see ``contracts.OpenTask``."""

    def __init__(self, index: DatasetIndex, protocol: LinesProtocol, context: Context, dataset: Dataset) -> None:
        super().__init__(index, protocol, context, dataset)
        self.protocol = protocol
        self.test_boxes = {kind: self._drawn(kind, "test", len(self.test)) for kind in mixtures.KINDS}
        self.train_boxes = self._drawn("interpolation", "train", len(self.train))

    def _drawn(self, kind: str, split: str, films: int) -> np.ndarray:
        """Return (films, lines, 9, 4) boxes."""
        settings = (self.protocol.lines, self.protocol.source_px, self.protocol.side_px)
        return np.stack(
            [
                lines.draw_lines(split == "train", film, *settings, beyond=kind == "extrapolation")
                for film in range(films)
            ]
        )

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Embed squares and mix their features; nothing depends on the seed."""
        features = self.protocol.features
        columns = self._columns(lambda film, boxes: encoded(encoder, film, boxes, features).astype(np.float64))
        controls = {name: found["interpolation_error"] for name, found in self._controls.items()}
        cases = self._named() | {name: values.tolist() for name, values in columns.items()}
        told = {"controls": self._controls}
        return Outcome(_scores(columns), cases, told, {"chance": lines.CHANCE} | controls, _arrays(columns))

    @cached_property
    def _controls(self) -> dict[str, dict[str, float]]:
        """All scores of the codes that no network made: Fourier features of places, and places themselves."""
        side = self.protocol.source_px
        made: dict[str, Encode] = {
            "position": lambda film, boxes: codes.position(boxes, side),
            "oracle": lambda film, boxes: boxes[..., :2] / side,
        }
        return {name: _scores(self._columns(encode)) for name, encode in made.items()}

    def _columns(self, encode: Encode) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a line and t."""
        train = over_films(encode, self.train_films, self.train_boxes)
        mean = train.reshape(-1, train.shape[-1]).mean(axis=0)
        columns: dict[str, np.ndarray] = {}
        for kind, boxes in self.test_boxes.items():
            columns |= mixtures.line_columns(over_films(encode, self.test_films, boxes), mean, kind)
        return {name: values.ravel() for name, values in columns.items()}

    def _named(self) -> dict[str, list[Any]]:
        names = [f"{line} {eighth}/{lines.EIGHTHS}" for line in range(self.protocol.lines) for eighth in lines.ASKED]
        return {
            "case": [f"{item.id} {name}" for item in self.test for name in names],
            "patient": [item.patient for item in self.test for _ in names],
        }


def _scores(columns: dict[str, np.ndarray]) -> dict[str, float]:
    means = {f"{kind}_{name}": mean_of(columns, f"{kind}_{name}") for kind in mixtures.KINDS for name in _MEANS}
    return means | {f"{kind}_skill": mixtures.mixing_skill(columns, f"{kind}_skill") for kind in mixtures.KINDS}


def _arrays(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the published cosines, (films × lines, 3) float32, t = ¼, ½, ¾."""
    names = [f"{kind}_{form}" for kind in mixtures.KINDS for form in ("raw_cosine", "raw_cosine_mismatched")]
    return {name: columns[name].reshape(-1, len(lines.ASKED)).astype(np.float32) for name in names}
