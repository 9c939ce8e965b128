"""Cross-scale consistency of films without landmarks: the places of a grid in each film stand in for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.contracts import DatasetIndex, Item
from tasks.probes.base import OpenProbe
from tasks.probes.cross_scale import OpenCrossScale
from tasks.probes.cross_scale_protocol import PlacesProtocol


class OpenCrossScalePlaces(OpenCrossScale):
    """Cross-scale consistency at the places of a grid, with its films decoded."""

    protocol: PlacesProtocol

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return the first training and test films by id, and name the grid's places."""
        side = range(self.protocol.places)
        self.names = [f"row {row + 1} column {column + 1}" for row in side for column in side]
        return OpenProbe.choose(self, index)

    def truth(self) -> list[Any]:
        """Return the places, which the scores follow from."""
        return [self.names]

    @cached_property
    def places(self) -> np.ndarray:
        """(N, L, 2) x and y of the places in pixels of the decoded films, the same in each."""
        margin = self.protocol.patch_share  # half of the largest patch
        centres = np.linspace(margin, 1 - margin, self.protocol.places) * self.protocol.film_px
        y, x = np.meshgrid(centres, centres, indexing="ij")
        return np.broadcast_to(np.stack([x.ravel(), y.ravel()], axis=-1), (len(self.items), x.size, 2))
