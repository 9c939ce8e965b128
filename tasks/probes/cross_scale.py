"""Cross-scale consistency (paper, Fig. 8): is a landmark found among the others of its film at another scale?"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from eden_bench.contracts import Outcome
from eden_bench.encoders import Encoder
from tasks.probes.locality import OpenLandmarks
from tasks.probes.protocol import FACTORS
from tasks.probes.ranks import directions, top1


class OpenCrossScale(OpenLandmarks):
    """Cross-scale consistency with its films decoded."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the landmarks of the test films; see ``contracts.OpenTask.run``."""
        count, is_train = len(self.names), self.is_train
        found = {
            name: self.patches(encoder, factor * self.protocol.patch_share).reshape(len(self.items), count, -1)
            for name, factor in FACTORS.items()
        }
        centred = {name: directions(each, each[is_train].mean(axis=(0, 1)))[~is_train] for name, each in found.items()}
        pairs = {f"{a}_to_{b}": _found(centred[a], centred[b]) for a, b in permutations(FACTORS, 2)}
        raw = [
            _found(directions(found[a])[~is_train], directions(found[b])[~is_train])
            for a, b in permutations(FACTORS, 2)
        ]
        each = np.mean(list(pairs.values()), axis=0)
        cases = {
            "case": [f"{item.id} {name}" for item in self.test for name in self.names],
            "patient": [item.patient for item in self.test for _ in self.names],
            "cross_scale": each.ravel().tolist(),
            **{name: values.ravel().tolist() for name, values in pairs.items()},
        }
        scores = {"cross_scale": float(each.mean()), "cross_scale_raw": float(np.mean(raw))}
        scores |= {name: float(values.mean()) for name, values in pairs.items()}
        return Outcome(scores, cases, controls={"chance": 1 / count})


def _found(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the chance that each landmark's best match in its own film at the other scale is itself, (N, L)."""
    truth = np.arange(queries.shape[1])
    return np.stack([top1(one @ other.T, truth) for one, other in zip(queries, candidates, strict=True)])
