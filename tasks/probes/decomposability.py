"""Decomposability: tell the features of a whole's quadrants from the whole's; see ``quadrants`` for the scores."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from eden_bench.contracts import Outcome
from eden_bench.encoders import Encoder
from tasks.probes import codes, quadrants
from tasks.probes.compositionality import OpenWholes
from tasks.probes.films import patients_of


class Rows(NamedTuple):
    """Wholes of a split, one a row."""

    whole: np.ndarray
    """(N, D) what is known of them."""
    parts: np.ndarray
    """(N, 4, E) features of their quadrants."""


class OpenDecomposability(OpenWholes):
    """Decomposability ready to run; see ``contracts.OpenTask``."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Embed wholes and quadrants, and score them; nothing depends on the seed."""
        encode = self.encoder(encoder)
        train, test = (self._rows(encode, split) for split in ("train", "test"))
        columns = self._columns(train, test)
        scores = _scores(columns)
        controls = {"chance": 0.0, "position": scores["position_r2"], "oracle": self._oracle["quadrants_r2"]}
        told = {"controls": {"oracle": self._oracle}}
        cases = self._named() | {name: values.tolist() for name, values in columns.items()}
        return Outcome(scores, cases, told, controls)

    def _rows(self, encode: Any, split: str) -> Rows:  # noqa: ANN401 - a function of film and boxes
        whole, parts = self.embedded(encode, split, "2x2")
        return Rows(whole.reshape(-1, whole.shape[-1]), parts.reshape(-1, 4, parts.shape[-1]))

    @cached_property
    def _oracle(self) -> dict[str, float]:
        """Scores of a whole that is its four quadrants' own codes, one after the other."""
        each = [self._rows(codes.content, split).parts for split in ("train", "test")]
        train, test = (Rows(parts.reshape(len(parts), -1), parts) for parts in each)
        return _scores(self._columns(train, test))

    def _columns(self, train: Rows, test: Rows) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a whole."""
        patients = patients_of(self.train, 2 * self.protocol.places)
        predicted, error, total = quadrants.squared_errors(
            quadrants.fit_quadrants(train.whole, train.parts, patients), *test
        )
        by_box = quadrants.fit_quadrants(self._boxes("train"), train.parts, patients)
        _, box_error, _ = quadrants.squared_errors(by_box, self._boxes("test"), test.parts)
        mean = train.parts.mean(axis=(0, 1))
        return {
            "top1_own": quadrants.among_own(predicted, test.parts, mean),
            "top1_others": quadrants.among_others(predicted, test.parts, mean, 0),
            **quadrants.by_quadrant("error", error),
            **quadrants.by_quadrant("box_error", box_error),
            **quadrants.by_quadrant("total", total),
        }

    def _boxes(self, split: str) -> np.ndarray:
        """Return what a split's boxes tell of themselves, a row a whole."""
        boxes: np.ndarray = getattr(self, f"{split}_boxes")
        return codes.box(boxes.reshape(-1, 4), self.protocol.source_px)

    def _named(self) -> dict[str, list[Any]]:
        roles = [f"{place}{role}" for place in range(self.protocol.places) for role in "ab"]
        return {
            "case": [f"{item.id} {role}" for item in self.test for role in roles],
            "patient": patients_of(self.test, len(roles)),
        }


def _scores(columns: dict[str, np.ndarray]) -> dict[str, float]:
    return {
        "quadrants_r2": quadrants.quadrants_r2(columns, ""),
        "position_r2": quadrants.position_r2(columns, ""),
        "r2_beyond_position": quadrants.r2_beyond_position(columns, ""),
        "top1_own": float(columns["top1_own"].mean()),
        "top1_others": float(columns["top1_others"].mean()),
    }
