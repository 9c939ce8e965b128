"""Symmetry: a mirrored patch of one side, looked for on the other side of other patients.

An encoder that is blind to mirroring finds a mirrored patch no better than the patch as it is, and tells no sides
apart; the pattern to be had is mirrored high and above unmirrored, and laterality high. Places are hidden: an encoder
that reads where patches lie is shown nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from eden_bench.contracts import DatasetIndex, Item, Outcome
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from tasks.probes.landmarks import OpenLandmarks
from tasks.probes.patches import around
from tasks.probes.ranks import cosine_table, directions, top1

_SIDE = re.compile(r"(?<![a-z])(left|right)(?![a-z])", re.IGNORECASE)
_LEAST_PAIRS = 2
_DIGITS = 9
"""Of a cosine: equal features must tie in whatever order their products were added."""


class OpenSymmetry(OpenLandmarks):
    """Symmetry with its films decoded; ``names`` are the left ones of all pairs, then the right ones."""

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return films with landmarks as ``OpenLandmarks`` does; keep the landmarks that are paired.

        Raises:
            DataMissing: fewer than two pairs are common to the films.
        """
        chosen = super().choose(index)
        found = pairs(self.names)
        if len(found) < _LEAST_PAIRS:
            raise DataMissing(
                f"{index.dataset}: {len(found)} of the landmarks {', '.join(self.names)} in {index.root} are pairs of "
                f"a left and a right one, expected {_LEAST_PAIRS}: name the two of a pair alike but for left and right"
            )
        self.names = [pair[side] for side in (0, 1) for pair in found]
        return chosen

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the paired landmarks of the test films; see ``contracts.OpenTask.run``."""
        plain, turned = (self._features(encoder, mirrored=way) for way in (False, True))
        test, landmarks, patients = self._test()
        centred, mirrored = (directions(each, each[~test].mean(axis=0))[test] for each in (plain, turned))
        columns = scored(centred, mirrored, landmarks, patients, len(self.names) // 2)
        raw = counterpart(directions(turned)[test], directions(plain)[test], landmarks, patients, len(self.names) // 2)
        scores = {name: float(np.nanmean(values)) for name, values in columns.items()}
        cases = {
            "case": [f"{self.items[i].id} {self.names[k]}" for i, k in zip(self.rows[test], landmarks, strict=True)],
            "patient": patients.tolist(),
            **{name: values.tolist() for name, values in columns.items()},
        }
        return Outcome(scores | {"mirrored_raw": float(np.nanmean(raw))}, cases, controls=self._controls())

    def _features(self, encoder: Encoder, *, mirrored: bool) -> np.ndarray:
        """Return features of all patches, (M, D); zeros of an encoder that reads where they lie."""
        if encoder.reads_boxes:
            return np.zeros((len(self.rows), 1))
        boxes = around(self.places, self.protocol.patch_share, self.protocol.film_px).reshape(-1, 4)
        return self.embed(encoder, self.rows, boxes, mirrored=mirrored)

    def _test(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return which patches are of test films, and their landmarks and patients."""
        test = ~self.is_train[self.rows]
        return test, self.landmarks[test], self.patients[self.rows[test]]

    def _controls(self) -> dict[str, float]:
        """Return chance, and what an encoder scores that knows each structure and side and mirrors them."""
        _, landmarks, patients = self._test()
        count = len(self.names) // 2
        codes = np.eye(len(self.names))
        oracle = counterpart(codes[other_side(landmarks, count)], codes[landmarks], landmarks, patients, count)
        nothing = np.zeros((len(landmarks), 1))
        chance = counterpart(nothing, nothing, landmarks, patients, count)
        return {"chance": float(np.nanmean(chance)), "oracle": float(np.nanmean(oracle))}


def pairs(names: Sequence[str]) -> list[tuple[str, str]]:
    """Return the left and the right of each two landmarks whose names are alike but for the side.

    >>> pairs(["left lung", "right lung, apex", "Right lung", "rib 5"])
    [('left lung', 'Right lung')]
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        if len(sides := _SIDE.findall(name)) == 1:
            structure = found.setdefault(_SIDE.sub("", name), {"left": [], "right": []})
            structure[sides[0].lower()].append(name)
    return [
        (each["left"][0], each["right"][0])
        for _, each in sorted(found.items())
        if len(each["left"]) == len(each["right"]) == 1
    ]


def other_side(landmarks: np.ndarray, count: int) -> np.ndarray:
    """Return the counterparts of landmarks, of which the first ``count`` are left and the others right, in order."""
    return (landmarks + count) % (2 * count)


def counterpart(
    queries: np.ndarray, candidates: np.ndarray, landmarks: np.ndarray, patients: np.ndarray, count: int
) -> np.ndarray:
    """Return the chance of each query that its nearest of the other side, in other patients, is its counterpart.

    Args:
        queries: (M, D) directions, mirrored or not.
        candidates: (M, D) directions of the same patches, not mirrored.
        landmarks: (M,) int, as ``other_side`` numbers them.
        patients: (M,) whose they are.
        count: how many pairs there are.

    Returns:
        (M,) in [0, 1]; NaN where no other patient is a candidate.
    """
    similarity = _others(queries, candidates, patients)
    left = landmarks < count
    similarity[left[:, None] == left] = -np.inf
    return top1(similarity, other_side(landmarks, count)[:, None] == landmarks)


def own_side(features: np.ndarray, landmarks: np.ndarray, patients: np.ndarray, count: int) -> np.ndarray:
    """Return the chance of each patch that its nearest in other patients is of its own side, (M,) in [0, 1]."""
    left = landmarks < count
    return top1(_others(features, features, patients), left[:, None] == left)


def scored(
    centred: np.ndarray, mirrored: np.ndarray, landmarks: np.ndarray, patients: np.ndarray, count: int
) -> dict[str, np.ndarray]:
    """Return the columns of the cases, (M,) each."""
    turned = counterpart(mirrored, centred, landmarks, patients, count)
    still = counterpart(centred, centred, landmarks, patients, count)
    told = own_side(centred, landmarks, patients, count)
    return {"mirrored": turned, "unmirrored": still, "mirrored_gain": turned - still, "laterality": told}


def _others(queries: np.ndarray, candidates: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return cosines, -inf to patches of a query's own patient."""
    similarity = cosine_table(queries, candidates, _DIGITS)
    similarity[patients[:, None] == patients] = -np.inf
    return similarity
