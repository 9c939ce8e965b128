"""Decomposability (Adam-v2, arXiv:2404.15672): do the features of a whole tell those of its quadrants?

See ``quadrants`` for the scores. Not as in the paper, whose probe needs the heads that it trained: a ridge fitted on
other patients asks the same of any encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from eden_bench.contracts import Outcome
from tasks.probes import codes, quadrants
from tasks.probes.geometry import Encode, OpenWholes

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder


class Rows(NamedTuple):
    """Wholes of a split, one a row."""

    whole: np.ndarray
    """(N, D) what is known of them."""
    parts: np.ndarray
    """(N, 4, E) features of their quadrants."""


class OpenDecomposability(OpenWholes):
    """Decomposability with its films decoded and wholes drawn on them."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the wholes of the test films; see ``contracts.OpenTask.run``."""
        encode = self.by(encoder)
        columns = self._columns(*(self._rows(encode, split) for split in ("train", "test")))
        scores = quadrants.summarise(columns)
        cases: dict[str, Sequence[Any]] = {
            "case": [f"{item.id} {role}" for item in self.test for role in self.roles],
            "patient": self.patients_of("test").tolist(),
        }
        cases |= {name: values.tolist() for name, values in columns.items()}
        controls = {"chance": 0.0, "box alone": scores["box_r2"], "oracle": self._oracle["quadrants_r2"]}
        return Outcome(scores, cases, {"oracle": self._oracle}, controls)

    @cached_property
    def _oracle(self) -> dict[str, float]:
        """Scores of a whole that is its four quadrants' own codes, one after the other."""
        each = [self._rows(self.by_code(codes.content), split).parts for split in ("train", "test")]
        return quadrants.summarise(self._columns(*(Rows(parts.reshape(len(parts), -1), parts) for parts in each)))

    def _rows(self, encode: Encode, split: str) -> Rows:
        whole, parts = self.wholes(encode, split), self.parts(encode, split, "2x2")
        return Rows(whole.reshape(-1, whole.shape[-1]), parts.reshape(-1, 4, parts.shape[-1]))

    def _columns(self, train: Rows, test: Rows) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a whole."""
        patients = self.patients_of("train")
        ridge = quadrants.fit_quadrants(train.whole, train.parts, patients)
        predicted, error, total = quadrants.squared_errors(ridge, test.whole, test.parts)
        by_box = quadrants.fit_quadrants(self._boxes("train"), train.parts, patients)
        _, box_error, _ = quadrants.squared_errors(by_box, self._boxes("test"), test.parts)
        mean = train.parts.mean(axis=(0, 1))
        return {
            "top1_own": quadrants.among_own(predicted, test.parts, mean),
            "top1_others": quadrants.among_others(predicted, test.parts, mean, self.protocol.seed),
            **quadrants.by_quadrant("error", error),
            **quadrants.by_quadrant("box_error", box_error),
            **quadrants.by_quadrant("total", total),
        }

    def _boxes(self, split: str) -> np.ndarray:
        """Return what a split's boxes tell of themselves, a row a whole."""
        return codes.box(self.boxes[split].reshape(-1, 4), self.protocol.film_px)
