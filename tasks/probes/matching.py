"""Matching: is a film's landmark found in a view of it, in another film of the patient, and in another patient's film?

Other films of a patient, without and with a finding added, are the phantom's (``refilmed``): on real data nobody knows
where a landmark went, so these scores are absent there. Each landmark's patch asks for the most alike of a grid of
places. Copying the coordinates, and the mean place in training films, stand beside it: films are taken so alike that
both are often near. Not as in Adam's figures, which show pictures of matches and count none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import Context, DatasetIndex, Item, Outcome
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from tasks.probes import augmented, drawn_pairs, matches, refilmed
from tasks.probes.definitions import ProbeTask
from tasks.probes.landmarks import OpenLandmarks
from tasks.probes.matching_protocol import LIMITS, MatchingProtocol
from tasks.probes.patches import around, grid_centres
from tasks.probes.ranks import directions

Columns = dict[str, np.ndarray]
OTHER_PATIENT = "other patient"
"""Kind of the search in the next test film, whose scores have no prefix."""


class Others(NamedTuple):
    """Another film of each test film's patient."""

    films: np.ndarray
    """(K, S, S) uint8."""
    truth: np.ndarray
    """(K, L, 2) x and y of the landmarks on them."""
    inside: np.ndarray | None = None
    """(K, L) bool: in the extent of the finding that was added, where one was."""


class Found(NamedTuple):
    """One film searched for another's landmarks."""

    columns: Columns
    """(L,) each."""
    places: np.ndarray
    """(L, 2) x and y of the one place found, NaN where several tie or the film does not show the landmark."""


class OpenMatching(OpenLandmarks):
    """Matching with its films decoded; ``films`` goes on with the test films' ``others``, kind by kind."""

    protocol: MatchingProtocol

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: MatchingProtocol, context: Context) -> None:
        super().__init__(task, index, protocol, context)
        self.shows_films = self.reader.card.shows(index)
        self.data["split_rule"] = f"{self.data['split_rule']}, of the test list one a patient"
        drawn = [_view_of(item, protocol) for item in self.test]
        self.maps = [mapping for mapping, _ in drawn]
        own = self.films[len(self.train) :]
        views = [augmented.view(film, *how) for film, how in zip(own, drawn, strict=True)]
        moved = [
            augmented.moved(place, mapping)
            for place, mapping in zip(self.places[len(self.train) :], self.maps, strict=True)
        ]
        self.others = {"augmented": Others(np.array(views), np.array(moved))}
        if refilmed.known(index):
            self._film_again(index, context)
        self.films = np.concatenate([self.films, *(other.films for other in self.others.values())])

    def _film_again(self, index: DatasetIndex, context: Context) -> None:
        """Add further films of the patients, whose truth the phantom knows."""
        found = refilmed.open_refilmed(index, self.test, self.names, self.protocol.film_px, context)
        self.others["refilmed"] = Others(found.films[:, 0], found.again)
        self.others["diseased"] = Others(found.films[:, 1], found.diseased, found.inside)
        self.data["digest"] = digest([self.data["digest"], found.digest])

    def choose(self, index: DatasetIndex) -> tuple[Sequence[Item], Sequence[Item]]:
        """Return training films, and the first test film of each of as many patients as are searched."""
        train, test = super().choose(index)
        first = {item.patient: item for item in reversed(test)}
        one_each = [item for item in test if first[item.patient] is item]
        return train, one_each[: self.protocol.searched_films]

    @cached_property
    def centres(self) -> np.ndarray:
        """(G, 2) x and y of the grid's places."""
        return grid_centres(self.protocol.grid, self.protocol.film_px)

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the landmarks of the test films; see ``contracts.OpenTask.run``."""
        features = self.patches(encoder, self.protocol.patch_share).reshape(len(self.items), len(self.names), -1)
        mean = features[self.is_train].mean(axis=(0, 1))
        pairs = self._pairs(encoder, features[~self.is_train], mean)
        columns = _joined(pairs)
        scores = {name: float(np.nanmean(values)) for name, values in columns.items() if not np.isnan(values).all()}
        cases = {
            "case": [f"{item.id} {name}" for item in self.test for name in self.names],
            "patient": [item.patient for item in self.test for _ in self.names],
            **{name: values.tolist() for name, values in columns.items()},
        }
        told = {name: scores[f"pck_5_of_{name.replace(' ', '_')}"] for name in _CONTROLS}
        return Outcome(scores, cases, controls=told, arrays=self._drawn(pairs[0]))

    def _drawn(self, found: Mapping[str, Found]) -> dict[str, np.ndarray]:
        """Return what the first test film's lines are drawn from; films only where a record may hold them."""
        first = len(self.train)
        other = Others(self.films[first + 1 : first + 2], self.places[first + 1 : first + 2])
        searched = {**self.others, OTHER_PATIENT: other}
        films = [self.films[first], *(each.films[0] for each in searched.values())]
        return drawn_pairs.arrays(
            self.names,
            {kind: (each.truth[0], found[kind].places) for kind, each in searched.items()},
            self.places[first],
            self.protocol.film_px,
            films if self.shows_films else (),
        )

    def _pairs(self, encoder: Encoder, marks: np.ndarray, mean: np.ndarray) -> list[dict[str, Found]]:
        """Match each test film with the next one, the last with the first, and with others of the same patient."""
        first, count = len(self.train), len(self.test)
        own = start = self._grid(encoder, first)
        pairs = []
        for k in range(count):
            following = (k + 1) % count
            other = self._grid(encoder, first + following) if following else start
            place = self.places[first + k]
            pair = {OTHER_PATIENT: self._matched(marks[k], own, other, place, self.places[first + following], mean)}
            for j, name in enumerate(self.others, 1):
                shown = self._grid(encoder, first + j * count + k)
                pair[name] = self._matched_other(name, k, marks[k], own, shown, mean)
            pairs.append(pair)
            own = other
        return pairs

    def _grid(self, encoder: Encoder, film: int) -> np.ndarray:
        """Return the features of the grid's places on a film, (G, D)."""
        boxes = around(self.centres, self.protocol.patch_share, self.protocol.film_px)
        return self.embed(encoder, np.full(len(boxes), film), boxes)

    def _matched_other(
        self, name: str, k: int, marks: np.ndarray, own: np.ndarray, shown: np.ndarray, mean: np.ndarray
    ) -> Found:
        """Match a film with another of the patient; landmarks that the other does not show have no score."""
        other, place = self.others[name], self.places[len(self.train) + k]
        truth = other.truth[k]
        there = ((truth >= 0) & (truth <= self.protocol.film_px)).all(axis=1)
        found = self._matched(marks, own, shown, place, truth, mean)
        columns = {
            f"{name}_{score}": np.where(there, values, np.nan)
            for score, values in found.columns.items()
            if "raw" not in score
        }
        parted = {} if other.inside is None else _parted(columns, name, other.inside[k])
        return Found({**columns, **parted}, np.where(there[:, None], found.places, np.nan))

    def _matched(
        self,
        marks: np.ndarray,
        own: np.ndarray,
        other: np.ndarray,
        place: np.ndarray,
        truth: np.ndarray,
        mean: np.ndarray,
    ) -> Found:
        """Return the scores of one film's landmarks, (L,) each, those of the controls, and the places found."""
        distance = self._percent(matches.far(self.centres, truth))
        near = self._percent(matches.far(self.centres, place)) <= LIMITS["pck_5"]
        query, here, there = (directions(features, mean) for features in (marks, own, other))
        found = matches.best_places(query @ there.T)
        raw = matches.best_places(directions(marks) @ directions(other).T)
        columns = {
            **matches.off(found, distance, LIMITS),
            "cycle": matches.led_back(found, matches.best_places(there @ here.T), near),
            "pck_5_raw": matches.off(raw, distance, LIMITS)["pck_5"],
            **self._controls(distance, place, truth),
        }
        return Found(columns, matches.only_places(found, self.centres))

    def _controls(self, distance: np.ndarray, place: np.ndarray, truth: np.ndarray) -> Columns:
        """Return the scores of what looks at no feature."""
        usual = self.places[: len(self.train)].mean(axis=0)
        told = {
            "chance": matches.off(np.full(distance.shape, 1 / distance.shape[1]), distance, LIMITS),
            "copy the coordinates": self._at(place, truth),
            "mean place": self._at(usual, truth),
            "oracle": matches.off(matches.best_places(-distance), distance, LIMITS),
        }
        return {
            f"{score}_of_{name.replace(' ', '_')}": values
            for name, each in told.items()
            for score, values in each.items()
        }

    def _at(self, place: np.ndarray, truth: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the scores of saying one place for each landmark."""
        distance = self._percent(np.linalg.norm(place - truth, axis=1))[:, None]
        return matches.off(np.ones_like(distance), distance, LIMITS)

    def _percent(self, distance: np.ndarray) -> np.ndarray:
        return distance / self.protocol.film_px * 100


_CONTROLS = ("chance", "copy the coordinates", "mean place", "oracle")


def _view_of(item: Item, protocol: MatchingProtocol) -> tuple[np.ndarray, float]:
    """Draw a film's view: its map and its gamma."""
    draw = seeds.generator(protocol.seed, "matching", item.id).random(3)
    degrees = protocol.rotation_degrees * (1 if draw[0] < 0.5 else -1)
    return augmented.taken(degrees, draw[1:], protocol)


def _parted(columns: Columns, name: str, inside: np.ndarray) -> Columns:
    """Return the columns of PCK at 5 % and of the error for landmarks in a finding's extent, and for those outside."""
    kept = {score.removeprefix(f"{name}_"): values for score, values in columns.items()}
    kept = {score: values for score, values in kept.items() if score.startswith(("pck_5", "radial_error"))}
    parts = {"inside": inside, "outside": ~inside}
    return {
        f"{name}_{part}_{score}": np.where(chosen, values, np.nan)
        for part, chosen in parts.items()
        for score, values in kept.items()
    }


def _joined(pairs: Sequence[Mapping[str, Found]]) -> Columns:
    """Return the columns of all films, in the order of the searches."""
    return {
        name: np.concatenate([pair[kind].columns[name] for pair in pairs])
        for kind, found in pairs[0].items()
        for name in found.columns
    }
