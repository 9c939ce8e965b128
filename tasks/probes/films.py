"""Films that a probe without labels looks at, one a patient: of the test list to score, of the training list to fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Context, Dataset, DatasetIndex, Item, OpenTask
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from tasks.probes.part_protocols import FilmProtocol


class OpenFilms(OpenTask):
    """A probe's films, decoded once; see ``contracts.OpenTask``.

    Raises:
        DataMissing: the training or the test list has fewer than two patients.
    """

    def __init__(self, index: DatasetIndex, protocol: FilmProtocol, context: Context, dataset: Dataset) -> None:
        train, test = (
            _chosen(index, split, count)
            for split, count in (("train", protocol.train_films), ("test", protocol.test_films))
        )
        store = open_images(replace(index, items=(*train, *test)), dataset, protocol.source_px, context)
        self.train, self.test = train, test
        self.train_films, self.test_films = np.split(store.images, [len(train)])
        ids = {"train": [item.id for item in train], "validation": [], "test": [item.id for item in test]}
        self.data: dict[str, Any] = {
            "dataset": index.dataset,
            "digest": store.digest,
            "splits": digest(ids),
            "split_rule": f"{index.split_rule}; one film a patient, patients in the order of a hash",
            "test_list": index.split_digest("test"),
            "train": len(train),
            "validation": 0,
            "test": len(test),
            "part": index.part,
            "phantom": index.phantom,
        }


def _chosen(index: DatasetIndex, split: str, count: int) -> tuple[Item, ...]:
    """Return the first film of each of some patients."""
    first: dict[str, Item] = {}
    for item in index.split(split):
        first.setdefault(item.patient, item)
    order = sorted(first, key=lambda patient: seeds.key(0, "probe", index.dataset, patient))
    if len(order) < 2:
        raise DataMissing(
            f"{index.dataset}: {len(order)} {split} patients in {index.root}, expected at least 2: a probe compares "
            "patients; add films"
        )
    return tuple(first[patient] for patient in order[:count])


def patients_of(items: Sequence[Item], each: int) -> list[str]:
    """Return the patient of each row where every film has as many."""
    return [item.patient for item in items for _ in range(each)]
