"""Locality (paper, section 3.3 and Fig. 4.1): do features of a place look like those of the same place in others?

Patches about landmarks are embedded; each asks for its nearest patch of another patient. Scores come from the features,
never from a picture of them. Not as in the paper, which shows a t-SNE picture and gives no number: the picture is drawn
from the stored features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.contracts import DatasetIndex, Item, Outcome
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from tasks.probes import landmark_scores
from tasks.probes.base import OpenProbe
from tasks.probes.patches import around
from tasks.probes.protocol import LandmarkProtocol
from tasks.probes.ranks import directions

_LEAST_LANDMARKS = 3


class OpenLandmarks(OpenProbe):
    """A probe of films that have landmarks: those that every film with any of them has."""

    protocol: LandmarkProtocol

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return training and test films that have the landmarks common to all films with some.

        Raises:
            DataMissing: fewer than three landmarks are common.
        """
        known = [item for item in index.items if item.points]
        common = set.intersection(*(set(item.points) for item in known)) if known else set()
        if len(common) < _LEAST_LANDMARKS:
            raise DataMissing(
                f"{index.dataset}: {len(common)} landmarks are marked in every film of {index.root} that has any, "
                f"expected {_LEAST_LANDMARKS}: put a landmarks.csv (image, landmark, x, y) there"
            )
        self.names = sorted(common)
        parts = ([item for item in index.split(name) if item.points] for name in ("train", "test"))
        train, test = parts
        return train[: self.protocol.train_films], test[: self.protocol.test_films]

    def truth(self) -> list[Any]:
        """Return the landmarks, which the scores follow from."""
        return [self.names, [[item.points[name] for name in self.names] for item in self.items]]

    @cached_property
    def places(self) -> np.ndarray:
        """(N, L, 2) x and y of the landmarks in pixels of the decoded films."""
        return self.points(self.names)

    @cached_property
    def rows(self) -> np.ndarray:
        """(N · L,) film of each patch, landmark by landmark within a film."""
        return np.repeat(np.arange(len(self.items)), len(self.names))

    @cached_property
    def landmarks(self) -> np.ndarray:
        """(N · L,) landmark of each patch."""
        return np.tile(np.arange(len(self.names)), len(self.items))

    def patches(self, encoder: Encoder, share: float) -> np.ndarray:
        """Return the features of squares of a share of the film about all landmarks, (N · L, D)."""
        return self.embed(encoder, self.rows, around(self.places, share, self.protocol.film_px).reshape(-1, 4))


class OpenLocality(OpenLandmarks):
    """Locality with its films decoded."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the landmarks of the test films; see ``contracts.OpenTask.run``."""
        found = self.patches(encoder, self.protocol.patch_share)
        is_train = self.is_train[self.rows]
        mean = found[is_train].mean(axis=0)
        features, landmarks = directions(found, mean), self.landmarks[~is_train]
        test, images = features[~is_train], self.rows[~is_train]
        patients = self.patients[images]
        right = landmark_scores.identified(test, landmarks, patients)
        raw = landmark_scores.identified(directions(found)[~is_train], landmarks, patients)
        wanted = landmark_scores.templates(found[is_train], self.landmarks[is_train], len(self.names), mean)
        error, prior = self._errors(encoder, wanted, mean)
        scores = {
            "identification": float(np.nanmean(right)),
            "identification_raw": float(np.nanmean(raw)),
            **landmark_scores.neighbour_scores(test, landmarks, images),
            **landmark_scores.cluster_scores(test, landmarks, self.protocol.seed),
            "linear_probe": landmark_scores.linear_probe(found[~is_train], landmarks, patients),
            "radial_error": float(error.mean()),
            "radial_error_mean_place": float(prior.mean()),
            "within_2": float((error <= 2).mean()),
            "within_5": float((error <= 5).mean()),
        }
        cases = {
            "case": [f"{self.items[i].id} {self.names[k]}" for i, k in zip(images, landmarks, strict=True)],
            "patient": patients.tolist(),
            "identification": right.tolist(),
        }
        arrays = {
            "features": test.astype(np.float16),
            "landmark": landmarks.astype(np.int16),
            "film": images.astype(np.int32),
        }
        return Outcome(
            scores,
            cases,
            controls={"chance": 1 / len(self.names)},
            arrays={**arrays, "names": np.array(self.names)},
        )

    def _errors(self, encoder: Encoder, wanted: np.ndarray, mean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Search test films for landmarks; return errors, and those of the mean training place, in % of the side."""
        side, first = self.protocol.film_px, len(self.train)
        films = np.arange(first, min(first + self.protocol.searched_films, len(self.items)))
        steps = (np.arange(self.protocol.grid) + 0.5) / self.protocol.grid * side
        centres = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        boxes = around(centres, self.protocol.patch_share, side)
        errors = []
        for film in films:
            places = directions(self.embed(encoder, np.full(len(boxes), film), boxes), mean)
            errors.append(landmark_scores.placed(wanted @ places.T, centres, self.places[film]))
        mean_place = self.places[: len(self.train)].mean(axis=0)
        prior = np.linalg.norm(self.places[films] - mean_place, axis=2)
        return np.concatenate(errors) / side * 100, prior.ravel() / side * 100
