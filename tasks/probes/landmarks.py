"""Films with landmarks: patches about them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.contracts import DatasetIndex, Item
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from tasks.probes.base import OpenProbe
from tasks.probes.patches import around
from tasks.probes.protocol import LandmarkProtocol

_LEAST_LANDMARKS = 3
_SHOWN_FILMS = 100
"""Of which features are stored: a picture shows no more, and a record holds 64 MB."""


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
        train, test = ([item for item in index.split(name) if item.points] for name in ("train", "test"))
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

    @cached_property
    def is_test(self) -> np.ndarray:
        """(N · L,) bool: the patch is of a test film."""
        return ~self.is_train[self.rows]

    @cached_property
    def scale(self) -> np.ndarray:
        """(N, 2) pixels of the file for one of the decoded film, along x and y."""
        return np.asarray(self.native_px[:, ::-1] / self.protocol.film_px)

    def boxes(self, share: float) -> np.ndarray:
        """Return squares of a share of the film about all landmarks, (N · L, 4)."""
        return around(self.places, share, self.protocol.film_px).reshape(-1, 4)

    def patches(self, encoder: Encoder, share: float, *, mirrored: bool = False) -> np.ndarray:
        """Return the features of these squares, (N · L, D)."""
        return self.embed(encoder, self.rows, self.boxes(share), mirrored=mirrored)

    def shown(self, features: np.ndarray) -> dict[str, np.ndarray]:
        """Return what a picture of the test films is drawn from, of the first hundred: (n · L, D) and what they are."""
        few = slice(len(self.train) * len(self.names), (len(self.train) + _SHOWN_FILMS) * len(self.names))
        found = {"features": features[few].astype(np.float16), "landmark": self.landmarks[few].astype(np.int16)}
        return {**found, "film": self.rows[few].astype(np.int32), "names": np.array(self.names)}
