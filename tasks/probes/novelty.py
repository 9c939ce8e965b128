"""Novelty: is a film with a finding farther from films without one than they are from each other?

Films without a finding are the bank; nothing learns what a finding looks like. Adam-v2's abstract names the property
and no protocol. Not controlled for: view, sex and age, which findings go along with; so a scalar of the film, its mean
brightness, stands beside the score as a floor, and so does what turning and brightening ordinary films does to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from eden_bench.contracts import Context, DatasetIndex, Item, Outcome
from eden_bench.encoders import Encoder
from eden_bench.errors import DataMissing
from eden_bench.statistics.ranking import auc
from tasks.probes import novelty_patches, novelty_scores
from tasks.probes.base import OpenProbe
from tasks.probes.definitions import ProbeTask
from tasks.probes.novelty_protocol import NoveltyProtocol
from tasks.probes.ranks import directions


class OpenNovelty(OpenProbe):
    """Novelty with its films decoded; ``train`` is the bank."""

    protocol: NoveltyProtocol

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: NoveltyProtocol, context: Context) -> None:
        super().__init__(task, index, protocol, context)
        self.data["split_rule"] = f"{self.data['split_rule']}, of the training list those without a finding"

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return the bank, training films without a finding, and the test films.

        Raises:
            DataMissing: the bank is too small, or the test films have findings all or none of them.
        """
        self.names = tuple(index.label_names)
        bank = [item for item in index.split("train") if not any(item.labels)][: self.protocol.train_films]
        test = index.split("test")[: self.protocol.test_films]
        ill = sum(any(item.labels) for item in test)
        if len(bank) <= self.protocol.neighbours or ill in (0, len(test)):
            raise DataMissing(
                f"{index.dataset}: {len(bank)} training films in {index.root} have no finding, and {ill} of "
                f"{len(test)} test films have one, expected more than {self.protocol.neighbours} of the first, and "
                "test films with and without: add images"
            )
        return bank, test

    def truth(self) -> list[Any]:
        """Return the labels and boxes, which the scores follow from."""
        return [self.names, [item.labels for item in self.items], [item.boxes for item in self.test]]

    @cached_property
    def labels(self) -> np.ndarray:
        """(test films, L) bool."""
        return np.array([item.labels for item in self.test]) > 0

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the test films; see ``contracts.OpenTask.run``."""
        whole = np.tile([0, 0, self.protocol.film_px, self.protocol.film_px], (len(self.items), 1))
        found = self.embed(encoder, np.arange(len(self.items)), whole)
        target = self.labels.any(axis=1).astype(int)
        columns = {**self._novelties(found), **self._brightness()}
        patches, more = novelty_patches.by_patches(self, encoder) if self.protocol.patch_grid else ({}, {})
        more |= novelty_patches.nuisance(self, encoder, found) if self.protocol.nuisance_films else {}
        by_finding = novelty_scores.by_finding(columns["novelty"], self.labels, self.names)
        areas = {name: auc(values, target) for name, values in columns.items()}
        scores = {name: area for name, area in areas.items() if name.startswith("novelty")}
        scores |= {"average_precision": _average_precision(target, columns["novelty"])}
        scores |= {"macro": float(np.mean(list(by_finding.values())))}
        scores |= {f"auc_{name}": area for name, area in by_finding.items()} | more
        cases: dict[str, Sequence[Any]] = {
            "case": [item.id for item in self.test],
            "patient": [item.patient for item in self.test],
            "target": target.tolist(),
            **{name: values.tolist() for name, values in (columns | patches).items()},
        }
        controls = {"chance": 0.5, **{name: areas[name] for name in self._brightness()}}
        return Outcome(scores, cases, controls=controls)

    def _novelties(self, found: np.ndarray) -> dict[str, np.ndarray]:
        """Return each test film's distance to the bank, by features whitened, centred, and as they are."""
        bank = found[self.is_train]
        forms = {
            "novelty": novelty_scores.whitened(found, bank),
            "novelty_centred": directions(found, bank.mean(axis=0, dtype=np.float64)),
            "novelty_raw": directions(found),
        }
        return {
            name: novelty_scores.distances(form[~self.is_train], form[self.is_train], self.protocol.neighbours)
            for name, form in forms.items()
        }

    def _brightness(self) -> dict[str, np.ndarray]:
        """Return what one scalar says: a film's mean grey level, and how far that is from the bank's mean."""
        bright = self.films.mean(axis=(1, 2))
        test, usual = bright[~self.is_train], bright[self.is_train].mean()
        return {"brightness": test, "unusual brightness": np.abs(test - usual)}


def _average_precision(target: np.ndarray, novelty: np.ndarray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(target, novelty))
