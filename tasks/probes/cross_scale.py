"""Cross-scale consistency (paper, Fig. 8): is a landmark found among others at another scale?"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from eden_bench.contracts import Outcome
from eden_bench.encoders import Encoder
from tasks.probes.landmarks import OpenLandmarks
from tasks.probes.protocol import FACTORS
from tasks.probes.ranks import cosine_table, directions, top1

PAIRS = tuple(permutations(FACTORS, 2))
Scales = dict[str, np.ndarray]
"""Name of a scale to (N · L, D)."""


class OpenCrossScale(OpenLandmarks):
    """Cross-scale consistency with its films decoded."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the landmarks of the test films; see ``contracts.OpenTask.run``."""
        share = self.protocol.patch_share
        found = {name: self.patches(encoder, factor * share) for name, factor in FACTORS.items()}
        centred = {name: directions(each, each[~self.is_test].mean(axis=0)) for name, each in found.items()}
        pairs = {f"{a}_to_{b}": each for (a, b), each in self._within(centred).items()}
        each = np.mean(list(pairs.values()), axis=0)
        raw = self._within({name: directions(one) for name, one in found.items()})
        films, landmarks = self.rows[self.is_test], self.landmarks[self.is_test]
        cases = {
            "case": [f"{self.items[i].id} {self.names[k]}" for i, k in zip(films, landmarks, strict=True)],
            "patient": self.patients[films].tolist(),
            "cross_scale": each.tolist(),
            **{name: values.tolist() for name, values in pairs.items()},
        }
        scores = {"cross_scale": float(each.mean()), "cross_scale_raw": float(np.mean(list(raw.values())))}
        scores |= {name: float(values.mean()) for name, values in pairs.items()}
        scores["cross_scale_others"] = float(np.nanmean(self._across(centred)))
        oracle = dict.fromkeys(FACTORS, np.eye(len(self.names))[self.landmarks])
        controls = {"chance": 1 / len(self.names), "oracle": float(np.mean(list(self._within(oracle).values())))}
        shown = {f"features_{name}": self.shown(one)["features"] for name, one in centred.items()}
        rest = {name: one for name, one in self.shown(centred["one"]).items() if name != "features"}
        return Outcome(scores, cases, controls=controls, arrays={**rest, **shown})

    def _within(self, scales: Scales) -> dict[tuple[str, str], np.ndarray]:
        """Return each pair of scales to the chance that a test patch finds its own landmark in its own film."""
        films = {name: each.reshape(len(self.items), len(self.names), -1) for name, each in scales.items()}
        test = {name: each[len(self.train) :] for name, each in films.items()}
        return {(a, b): found_within(test[a], test[b]).ravel() for a, b in PAIRS}

    def _across(self, scales: Scales) -> np.ndarray:
        """Return the chance that a test patch finds its landmark among those of other patients at another scale."""
        patients, landmarks = self.patients[self.rows[self.is_test]], self.landmarks[self.is_test]
        test = {name: each[self.is_test] for name, each in scales.items()}
        return np.concatenate([found_across(test[a], test[b], landmarks, patients) for a, b in PAIRS])


def found_within(queries: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Return the chance that each landmark's best match among those of its film is itself.

    Args:
        queries: (N, L, D) directions, of N films.
        candidates: (N, L, D) of the same films, at another scale.

    Returns:
        (N, L) in [0, 1].
    """
    truth = np.arange(queries.shape[1])
    return np.stack([top1(cosine_table(one, other), truth) for one, other in zip(queries, candidates, strict=True)])


def found_across(
    queries: np.ndarray, candidates: np.ndarray, landmarks: np.ndarray, patients: np.ndarray
) -> np.ndarray:
    """Return the chance that each patch's best match among those of other patients shows its landmark.

    Args:
        queries: (M, D) directions.
        candidates: (M, D) of the same landmarks, at another scale.
        landmarks: (M,) int.
        patients: (M,) whose they are.

    Returns:
        (M,) in [0, 1].
    """
    similarity = cosine_table(queries, candidates)
    similarity[patients[:, None] == patients] = -np.inf
    return top1(similarity, landmarks[:, None] == landmarks)
