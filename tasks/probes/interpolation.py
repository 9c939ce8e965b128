"""Inter- and extrapolation of layout (Adam-v2's poster): do features on a line mix as its places do?

See ``mixtures`` for the scores. Not as in the poster, whose raw cosines an untrained network surpasses: the place that
is most like the mixture is looked for among seven.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench.contracts import Context, DatasetIndex, Item, Outcome
from tasks.probes import lines, mixtures
from tasks.probes.definitions import ProbeTask
from tasks.probes.geometry import Encode, OpenGeometry
from tasks.probes.part_protocols import LinesProtocol

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder


class OpenInterpolation(OpenGeometry):
    """Inter- and extrapolation with its films decoded and lines drawn on them."""

    protocol: LinesProtocol

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: LinesProtocol, context: Context) -> None:
        super().__init__(task, index, protocol, context)
        self.boxes = {kind: self._drawn(kind, self.test) for kind in mixtures.KINDS}
        self.train_boxes = self._drawn("interpolation", self.train)

    def _drawn(self, kind: str, items: Sequence[Item]) -> np.ndarray:
        """Return (F, lines, 9, 4) boxes."""
        p, beyond = self.protocol, kind == "extrapolation"
        return np.stack(
            [lines.draw_lines(p.seed, item.id, p.lines, p.film_px, p.side_px, beyond=beyond) for item in items]
        )

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on lines over the test films; see ``contracts.OpenTask.run``."""
        columns = self._columns(self.by(encoder))
        names = [f"{line} {eighth}/{lines.EIGHTHS}" for line in range(self.protocol.lines) for eighth in lines.ASKED]
        cases: dict[str, Sequence[Any]] = {
            "case": [f"{item.id} {name}" for item in self.test for name in names],
            "patient": np.repeat(self.patients[self.rows["test"]], len(names)).tolist(),
        }
        cases |= {name: values.tolist() for name, values in columns.items()}
        controls = {"chance": lines.CHANCE, "oracle": self._oracle["interpolation_error"]}
        return Outcome(mixtures.summarise(columns), cases, {"oracle": self._oracle}, controls, _arrays(columns))

    @cached_property
    def _oracle(self) -> dict[str, float]:
        """Scores of a code that is the place itself, x and y."""
        return mixtures.summarise(self._columns(lambda rows, boxes: boxes[..., :2] / self.protocol.film_px))

    def _columns(self, encode: Encode) -> dict[str, np.ndarray]:
        """Return every column of numbers, a row a line and t."""
        train = encode(self.rows["train"], self.train_boxes)
        mean = train.reshape(-1, train.shape[-1]).mean(axis=0)
        columns: dict[str, np.ndarray] = {}
        for kind, boxes in self.boxes.items():
            columns |= mixtures.line_columns(encode(self.rows["test"], boxes), mean, kind)
        return {name: values.ravel() for name, values in columns.items()}


def _arrays(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the published cosines, (films × lines, 3) float32, t = ¼, ½, ¾."""
    names = [f"{kind}_{form}" for kind in mixtures.KINDS for form in ("raw_cosine", "raw_cosine_mismatched")]
    return {name: columns[name].reshape(-1, len(lines.ASKED)).astype(np.float32) for name in names}
