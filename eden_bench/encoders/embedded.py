"""An encoder that looks up the vectors of images by their ids instead of encoding pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor

from eden_bench.contracts import Features
from eden_bench.encoders.base import Encoder
from eden_bench.errors import UsageError


class Lookup(Protocol):
    """Where vectors come from (``eden_bench.weights.embeddings``)."""

    def of(self, dataset: str, ids: Sequence[str], digest: str, wanted: Features) -> np.ndarray:
        """Return (N, D) vectors in the order of the ids."""
        ...


class Embedded(Encoder):
    """Vectors from a file."""

    arch, channels, strides = "embeddings", (1,), (64,)
    reads_ids = True

    def __init__(self, found: Lookup) -> None:
        super().__init__()
        self.found = found

    def embed_ids(self, dataset: str, ids: Sequence[str], digest: str, wanted: Features) -> np.ndarray:
        """Return the vectors of a dataset's images, (N, D) float32. Raises as the file's ``of``."""
        return self.found.of(dataset, ids, digest, wanted)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raise an error, since the model is not at hand.

        Raises:
            UsageError: always.
        """
        raise UsageError("embeddings from a file can be read by the protocols linear and knn alone")
