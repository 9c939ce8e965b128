"""Compositionality (paper, section 3.4 and Fig. 4.2): do the features of the parts add up to the whole's?

Wholes and their parts are cut from test films and embedded; see ``part_whole`` for the scores. Not as in the paper,
which shows the density of a raw cosine: that an untrained network and a constant surpass, so it stands beside, with the
mismatched pairs in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench.contracts import Outcome
from tasks.probes import codes, part_whole
from tasks.probes.geometry import Encode, OpenWholes
from tasks.probes.patches import leaves_film
from tasks.probes.wholes import LAYOUTS

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder

_FITTED = "2x2"
"""Layout whose four parts the whole is fitted from."""


class OpenCompositionality(OpenWholes):
    """Compositionality with its films decoded and wholes drawn on them."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the wholes of the test films; see ``contracts.OpenTask.run``."""
        columns = self._columns(self.by(encoder))
        cases: dict[str, Sequence[Any]] = {
            "case": [f"{item.id} {role} {name}" for item in self.test for role in self.roles for name in LAYOUTS],
            "patient": np.repeat(self.patients_of("test"), len(LAYOUTS)).tolist(),
        }
        cases |= {name: values.tolist() for name, values in columns.items()}
        told = {"oracle": self._oracle, "candidates_of_top1": 2 * len(self.test)}
        controls = {"chance": 0.5, "oracle": self._oracle["part_whole_auc"]}
        return Outcome(part_whole.summarise(columns, self._layouts), cases, told, controls, _arrays(columns))

    @cached_property
    def _oracle(self) -> dict[str, float]:
        return part_whole.summarise(self._columns(self.by_code(codes.content)), self._layouts)

    @property
    def _layouts(self) -> np.ndarray:
        """Layout of each row."""
        return np.tile(list(LAYOUTS), len(self.test) * len(self.roles))

    def _columns(self, encode: Encode) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a whole and layout."""
        train = self.wholes(encode, "train"), self.parts(encode, "train", _FITTED)
        mean = np.concatenate([_flat(train[0]), _flat(train[1])]).mean(axis=0)
        whole = self.wholes(encode, "test")
        each: list[Mapping[str, np.ndarray]] = []
        fitted: dict[str, np.ndarray] = {}
        for layout in LAYOUTS:
            parts = self.parts(encode, "test", layout)
            each.append(_compared(whole, parts.mean(axis=-2), mean))
            if layout == _FITTED:
                fitted = self._fitted(train, (whole, parts))
        columns = {name: np.stack([found[name] for found in each], axis=-1).ravel() for name in each[0]}
        return columns | self._places() | fitted

    def _fitted(
        self, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Return the fit's columns, NaN in the rows of the other layouts."""
        rows = [(_flat(whole), _flat(parts).reshape(-1, 4, whole.shape[-1])) for whole, parts in (train, test)]
        columns = {}
        for name, values in part_whole.fitted(rows[0], self.patients_of("train"), rows[1]).items():
            columns[name] = np.full(len(self._layouts), np.nan)
            columns[name][self._layouts == _FITTED] = values
        return columns

    def _places(self) -> dict[str, np.ndarray]:
        """Return the side of each whole in film sides, and whether it or the one beside it leaves the film."""
        boxes, film_px = self.boxes["test"], self.protocol.film_px
        side = (boxes[..., 2] - boxes[..., 0]) / film_px
        border = np.broadcast_to(leaves_film(boxes, film_px).any(axis=-1, keepdims=True), side.shape).astype(np.int64)
        return {name: np.repeat(x.ravel(), len(LAYOUTS)) for name, x in (("side", side), ("border", border))}


def _flat(features: np.ndarray) -> np.ndarray:
    return features.reshape(-1, features.shape[-1])


def _compared(whole: np.ndarray, sums: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    raw = part_whole.cosines(whole, sums, 0.0)
    return {
        **part_whole.cosines(whole, sums, mean),
        **part_whole.retrieval(whole, sums, mean),
        "raw_cosine": raw["matched"],
        "raw_cosine_mismatched": np.mean([raw[name] for name in part_whole.MISMATCHES], axis=0),
        **{f"raw_{name}": raw[name] for name in part_whole.MISMATCHES},
    }


def _arrays(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the cosines that the published figure is drawn from, float32."""
    names = part_whole.MISMATCHES
    made = {
        "raw_matched": columns["raw_cosine"],
        "raw_mismatched": np.concatenate([columns[f"raw_{name}"] for name in names]),
        "centred_matched": columns["matched"],
        "centred_mismatched": np.concatenate([columns[name] for name in names]),
    }
    return {name: values.astype(np.float32) for name, values in made.items()}
