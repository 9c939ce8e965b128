"""Dense semantics (Adam's poster, PEAC's co-segmentation): do positions that show one organ have like features?

Labels of one or five training films are propagated to the positions of test films; clusters are given organs by
majority. Not as published, which shows pictures and gives no number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eden_bench import registry, seeds
from eden_bench.contracts import Context, DatasetIndex, Item, Outcome
from eden_bench.data.image_store import open_masks
from eden_bench.digests import digest
from eden_bench.encoders import Encoder, features
from eden_bench.errors import DataMissing
from tasks.probes import label_maps
from tasks.probes.base import OpenProbe
from tasks.probes.patches import around, cut
from tasks.probes.protocol import DenseProtocol
from tasks.probes.ranks import cosine_table, directions

STRUCTURES = ("lungs", "heart", "clavicles")
SUPPORTS = (5, 1)
CLUSTERS = (6, 12)
_SPAN = 3
"""Side of a patch in steps of the grid that it is cut on."""
_DIGITS = 6
"""Of a cosine: equal features must tie in whatever order their products were added."""


class OpenDenseSemantics(OpenProbe):
    """Dense semantics with films and masks decoded."""

    protocol: DenseProtocol

    def __init__(self, task: Any, index: DatasetIndex, protocol: DenseProtocol, context: Context) -> None:  # noqa: ANN401 - as OpenProbe
        super().__init__(task, index, protocol, context)
        dataset = context.dataset or registry.datasets.get(task.dataset)
        store = open_masks(replace(index, items=self.items), dataset, STRUCTURES, protocol.film_px, context)
        self.masks = np.asarray(store.masks)
        self.data["digest"] = digest([self.data["digest"], store.digest])

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return the training and the test films.

        Raises:
            DataMissing: there are fewer training films than are to be labelled.
        """
        train, test = super().choose(index)
        if len(train) < max(SUPPORTS):
            raise DataMissing(
                f"{index.dataset}: {self.task.name} has {len(train)} training films in {index.root}, expected "
                f"{max(SUPPORTS)} to take labels from: raise the protocol's train_films, or add training films"
            )
        return train, test

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on every test film; see ``contracts.OpenTask.run``."""
        found, grid = self.maps(encoder)
        labels = np.stack([_by_position(label_maps.reduced(masks, grid)) for masks in self.masks])
        tables = self._tables(found, labels, grid)
        columns = {name: values for name, table in tables.items() for name, values in _columns(name, table)}
        blind = self._copied(labels, grid, max(SUPPORTS), place=False)
        scores = {name: float(np.nanmean(values)) for name, values in columns.items()}
        controls = {
            "chance": float(np.nanmean(blind)),
            "copy the coordinates": scores["floor_5"],
            "oracle": scores["ceiling"],
        }
        cases = {
            "case": [item.id for item in self.test],
            "patient": [item.patient for item in self.test],
            **{name: values.tolist() for name, values in columns.items()},
        }
        told = {"grid": [int(side) for side in grid], "structures": list(STRUCTURES), "draws": self.protocol.draws}
        return Outcome(scores, cases, training=told, controls=controls)

    def maps(self, encoder: Encoder) -> tuple[np.ndarray, tuple[int, int]]:
        """Return the features of each film's positions, (N, P, D) row by row, and rows and columns of the map.

        An encoder whose map is one position whatever the image (pixels), or that reads where patches lie (position),
        is given a patch about each place of a grid.
        """
        if not encoder.reads_boxes:
            found = features(encoder.to(self.device), self.films, self.protocol.features)
            if found.shape[2:] != (1, 1):
                return found.reshape(*found.shape[:2], -1).transpose(0, 2, 1), found.shape[2:]
        grid, side = self.protocol.patch_grid, self.protocol.film_px
        boxes = around(_centres((grid, grid)) * side, _SPAN / grid, side)
        if encoder.reads_boxes:
            places = np.asarray(encoder.embed_boxes(boxes / side), dtype=np.float32)
            return np.broadcast_to(places, (len(self.items), *places.shape)), (grid, grid)
        own = replace(self.protocol.features, size_px=int(boxes[0, 2] - boxes[0, 0]))
        cuts = (cut(self.films, np.full(len(boxes), film), boxes, own.size_px) for film in range(len(self.items)))
        return np.stack([features(encoder, each, own).reshape(len(boxes), -1) for each in cuts]), (grid, grid)

    def supports(self, count: int) -> Iterator[np.ndarray]:
        """Draw which training films are labelled, (count,), once a draw; the same for every encoder."""
        for draw in range(self.protocol.draws):
            drawn = seeds.generator(self.protocol.seed, "labelled films", count, draw)
            yield drawn.permutation(len(self.train))[:count]

    def _tables(self, found: np.ndarray, labels: np.ndarray, grid: tuple[int, int]) -> dict[str, np.ndarray]:
        """Return IoUs by score, each (test films, structures)."""
        mean = found[self.is_train].mean(axis=(0, 1), dtype=np.float64)
        tables = {f"miou_{count}": self._propagated(found, labels, grid, count, mean) for count in SUPPORTS}
        tables["miou_5_raw"] = self._propagated(found, labels, grid, max(SUPPORTS))
        tables |= {f"floor_{count}": self._copied(labels, grid, count) for count in SUPPORTS}
        tables["ceiling"] = self._compared(labels[~self.is_train], grid)
        places = np.broadcast_to(_centres(grid), (len(found), grid[0] * grid[1], 2))
        for count in CLUSTERS:
            tables[f"clusters_{count}"] = self._clustered(found, labels, grid, count, mean)
            tables[f"clusters_{count}_places"] = self._clustered(places, labels, grid, count, None)
        return tables

    def _propagated(
        self, found: np.ndarray, labels: np.ndarray, grid: tuple[int, int], count: int, mean: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Return the IoUs of labels propagated from some films, (T, S), mean over draws."""
        test = [directions(film, mean) for film in found[~self.is_train]]
        each = []
        for chosen in self.supports(count):
            candidates = directions(found[chosen], mean).reshape(-1, found.shape[-1])
            known = labels[chosen].reshape(len(candidates), -1)
            similar = (cosine_table(film, candidates, _DIGITS) for film in test)
            votes = [label_maps.voted(rows, known, self.protocol.neighbours) for rows in similar]
            each.append(self._compared(np.stack(votes), grid))
        return np.mean(each, axis=0)

    def _copied(self, labels: np.ndarray, grid: tuple[int, int], count: int, *, place: bool = True) -> np.ndarray:
        """Return the IoUs of labels copied from some films' same place, (T, S), mean over draws; else of their mean."""
        size, truth = self.protocol.film_px, self.masks[len(self.train) :] > 0
        known = [labels[chosen].mean(axis=0) for chosen in self.supports(count)]
        votes = known if place else [np.broadcast_to(one.mean(axis=0), one.shape) for one in known]
        copies = [label_maps.enlarged(_by_structure(vote, grid), size) for vote in votes]
        return np.array([np.mean([label_maps.iou(copy, masks) for copy in copies], axis=0) for masks in truth])

    def _clustered(
        self, found: np.ndarray, labels: np.ndarray, grid: tuple[int, int], count: int, mean: np.ndarray | None
    ) -> np.ndarray:
        """Return the IoUs of clusters of training films' positions, (T, S); without a mean, of features as they are."""
        flat, known = (each[self.is_train].reshape(-1, each.shape[-1]) for each in (found, labels))
        kept = seeds.generator(self.protocol.seed, "clustered positions").permutation(len(flat))
        kept = kept[: self.protocol.clustered]
        train, test = flat[kept], found[~self.is_train].reshape(-1, found.shape[-1])
        if mean is not None:
            train, test = directions(train, mean), directions(test, mean)
        votes = label_maps.cluster_labels(train, known[kept], test, count, self.protocol.seed)
        return self._compared(votes.reshape(len(self.test), *labels.shape[1:]), grid)

    def _compared(self, votes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        """Return the IoU of each test film's votes, (T, P, S), by structure, (T, S)."""
        size, truth = self.protocol.film_px, self.masks[len(self.train) :] > 0
        shown = (label_maps.enlarged(_by_structure(vote, grid), size) for vote in votes)
        return np.stack([label_maps.iou(found, masks) for found, masks in zip(shown, truth, strict=True)])


def _centres(grid: tuple[int, int]) -> np.ndarray:
    """Return x and y of each position, (P, 2) in shares of the film."""
    rows, columns = grid
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows)
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _by_position(maps: np.ndarray) -> np.ndarray:
    """Return (S, h, w) as (P, S)."""
    return maps.reshape(len(maps), -1).T


def _by_structure(votes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Return (P, S) as (S, h, w)."""
    return np.ascontiguousarray(votes.T, dtype=np.float64).reshape(-1, *grid)


_OF_STRUCTURES = {"miou_5": "iou", "floor_5": "floor_iou", "ceiling": "ceiling_iou"}


def _columns(name: str, table: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield a score's column, a row a film, and those of its structures where they are told."""
    yield name, np.nanmean(table, axis=1)
    if name in _OF_STRUCTURES:
        yield from ((f"{_OF_STRUCTURES[name]}_{part}", table[:, i]) for i, part in enumerate(STRUCTURES))
