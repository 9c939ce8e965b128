"""The open probe, with its films decoded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench import registry
from eden_bench.contracts import Context, DatasetIndex, Item, OpenTask
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from tasks.probes.patches import cut_ahead

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder
    from tasks.probes.definitions import ProbeTask

_CUTTERS = 4
"""Threads that cut patches while an accelerator encodes those before."""


class OpenProbe(OpenTask):
    """A probe with its films decoded; what it scores is its own.

    Attributes:
        reader: of the dataset.
        train: films that means and fits are made on.
        test: films that are scored.
        films: (N, H, W) uint8, those of ``train``, then those of ``test``; H = W = ``film_px``.

    Raises:
        DataMissing: there are too few films, or they are in colour.
    """

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: Any, context: Context) -> None:  # noqa: ANN401 - each probe's own
        self.task, self.protocol = task, protocol
        self.train, self.test = self.choose(index)
        for name, part in (("training", self.train), ("test", self.test)):
            if len({item.patient for item in part}) < 2:
                raise DataMissing(
                    f"{index.dataset}: {task.name} can use {len(part)} {name} films in {index.root}, expected films of "
                    "at least 2 patients"
                )
        self.items = (*self.train, *self.test)
        self.reader = context.dataset or registry.datasets.get(task.dataset)
        store = open_images(replace(index, items=self.items), self.reader, protocol.film_px, context)
        self.films = np.asarray(store.images)
        if self.films.ndim != 3:
            raise DataMissing(f"{index.dataset}: {task.name} reads grey films, {index.root} holds colour images")
        self.native_px = np.asarray(store.native_px)
        self.device = context.device
        lists = {"train": [item.id for item in self.train], "test": [item.id for item in self.test]}
        self.data: dict[str, Any] = {
            "dataset": index.dataset,
            "digest": digest([store.digest, *self.truth()]),
            "splits": digest(lists),
            "split_rule": f"{index.split_rule}; of each list the first films by id",
            "test_list": index.split_digest("test"),
            "train": len(self.train),
            "validation": 0,
            "test": len(self.test),
            "part": index.part,
            "phantom": index.phantom,
        }

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return the training and the test films; a probe that needs landmarks keeps those that have them."""
        return index.split("train")[: self.protocol.train_films], index.split("test")[: self.protocol.test_films]

    def truth(self) -> list[Any]:
        """Return what besides pixels the scores follow from, for the digest of the data; nothing by default."""
        return []

    @cached_property
    def patients(self) -> np.ndarray:
        """(N,) patient of each film, as text."""
        return np.array([item.patient for item in self.items])

    @cached_property
    def is_train(self) -> np.ndarray:
        """(N,) bool: the film is one of ``train``."""
        return np.arange(len(self.items)) < len(self.train)

    def points(self, names: Sequence[str]) -> np.ndarray:
        """Return landmarks in pixels of the decoded films, (N, L, 2) x and y."""
        native = np.array([[item.points[name] for name in names] for item in self.items], dtype=np.float64)
        return native / self.native_px[:, None, ::-1] * self.protocol.film_px

    def embed(self, encoder: Encoder, rows: np.ndarray, boxes: np.ndarray, *, mirrored: bool = False) -> np.ndarray:
        """Return features of boxes, (M, D) float32, as the protocol declares them.

        An encoder that reads positions (``reads_boxes``: the control "position") is given the boxes instead of pixels.

        Args:
            encoder: on any device.
            rows: (M,) which film each box is of.
            boxes: (M, 4) in pixels of the decoded films.
            mirrored: turn each patch left to right before it is encoded.
        """
        from eden_bench.encoders import features

        if encoder.reads_boxes:
            return np.asarray(encoder.embed_boxes(boxes / self.protocol.film_px), dtype=np.float32)
        wanted = self.protocol.features
        encoder = encoder.for_size(wanted.size_px).to(self.device)  # once, since a transformer is built anew for a size
        return np.concatenate([
            features(encoder, np.ascontiguousarray(patches[:, :, ::-1]) if mirrored else patches, wanted)
            for patches in cut_ahead(self.films, rows, boxes, wanted.size_px, 0 if self.device == "cpu" else _CUTTERS)
        ])  # fmt: skip
