"""Locality (paper, section 3.3 and Fig. 4.1): do features of a place look like those of the same place in others?

Patches about landmarks are embedded; each asks for its nearest patch of another patient. Scores come from the features,
never from a picture of them. Not as in the paper, which shows a t-SNE picture and gives no number: the picture is drawn
from the stored features.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from eden_bench import registry
from eden_bench.contracts import Context, DatasetIndex, Outcome
from eden_bench.data.image_store import open_masks
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from tasks.probes import landmark_scores, search
from tasks.probes.landmarks import OpenLandmarks
from tasks.probes.patches import leaves_film
from tasks.probes.protocol import LandmarkProtocol
from tasks.probes.ranks import directions

if TYPE_CHECKING:
    from tasks.probes.definitions import ProbeTask

_LUNGS = ("left lung", "right lung")


class OpenLocality(OpenLandmarks):
    """Locality with its films decoded."""

    def __init__(self, task: ProbeTask, index: DatasetIndex, protocol: LandmarkProtocol, context: Context) -> None:
        super().__init__(task, index, protocol, context)
        self._lung_px = self._lungs(index, context)
        self.data["digest"] = digest([self.data["digest"], [round(float(px), 3) for px in self.box_px]])
        self.data["box"] = "of the landmarks" if self._lung_px is None else "of the lungs' masks"

    def _lungs(self, index: DatasetIndex, context: Context) -> np.ndarray | None:
        if not all({*_LUNGS} <= {*item.masks, *item.drawn} for item in self.items):
            return None
        dataset, side = context.dataset or registry.datasets.get(self.task.dataset), self.protocol.film_px
        masks = open_masks(replace(index, items=self.items), dataset, _LUNGS, side, context).masks
        corners = [np.argwhere(mask.any(axis=0))[:, ::-1] for mask in masks]
        boxes = np.array([[found.min(axis=0), found.max(axis=0) + 1] for found in corners])
        return _diagonal(boxes * self.scale[:, None])

    @cached_property
    def box_px(self) -> np.ndarray:
        """(N,) diagonal of the box about both lungs, in the files' pixels; about the landmarks where no masks are."""
        return self._lung_px if self._lung_px is not None else _diagonal(self.places * self.scale[:, None])

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Score the encoder on the landmarks of the test films; see ``contracts.OpenTask.run``."""
        found = self.patches(encoder, self.protocol.patch_share)
        mean = found[~self.is_test].mean(axis=0)
        right, centred = self._identified(found), directions(found, mean)
        scores = {
            "identification": float(np.nanmean(right)),
            **self._other_identifications(encoder, found, right),
            **self._neighbourhood(centred, found),
            **self._located(encoder, found, mean),
        }
        landmarks, films = self.landmarks[self.is_test], self.rows[self.is_test]
        cases = {
            "case": [f"{self.items[i].id} {self.names[k]}" for i, k in zip(films, landmarks, strict=True)],
            "patient": self.patients[films].tolist(),
            "identification": right.tolist(),
        }
        oracle = np.eye(len(self.names))[self.landmarks]
        controls = {"chance": 1 / len(self.names), "oracle": float(np.nanmean(self._identified(oracle)))}
        return Outcome(scores, cases, controls=controls, arrays=self.shown(centred))

    def _identified(self, found: np.ndarray, *, centre: bool = True) -> np.ndarray:
        """Return each test patch's chance to be identified, from the features of all patches."""
        mean = found[~self.is_test].mean(axis=0) if centre else 0.0
        patients = self.patients[self.rows[self.is_test]]
        return landmark_scores.identified(directions(found, mean)[self.is_test], self.landmarks[self.is_test], patients)

    def _other_identifications(self, encoder: Encoder, found: np.ndarray, right: np.ndarray) -> dict[str, float]:
        """Return the score in its raw form, without patches beyond the border, and of other sizes of patch."""
        small, large = (self.patches(encoder, share) for share in self.protocol.other_shares)
        inside = ~leaves_film(self.boxes(self.protocol.patch_share), self.protocol.film_px)[self.is_test]
        made = {
            "identification_raw": self._identified(found, centre=False),
            "identification_inside": right[inside],
            "identification_small": self._identified(small),
            "identification_large": self._identified(large),
        }
        return {name: float(np.nanmean(each)) for name, each in made.items() if len(each)}

    def _neighbourhood(self, centred: np.ndarray, found: np.ndarray) -> dict[str, float]:
        test, landmarks, films = (each[self.is_test] for each in (centred, self.landmarks, self.rows))
        raw = landmark_scores.cosines(directions(found)[self.is_test], landmarks, films)
        return {
            **landmark_scores.neighbour_scores(test, landmarks, films),
            **landmark_scores.cluster_scores(test, landmarks, self.protocol.seed),
            "linear_probe": landmark_scores.linear_probe(found[self.is_test], landmarks, self.patients[films]),
            "cosine_same_raw": raw["same"],
            "cosine_other_raw": raw["other"],
        }

    def _located(self, encoder: Encoder, found: np.ndarray, mean: np.ndarray) -> dict[str, float]:
        """Return errors of places found by templates, in shares of the box about the lungs and in the files' pixels."""
        films = search.searched(self)
        every = search.errors(self, encoder, found, mean)
        shares = {name: each / self.box_px[films, None] for name, each in every.items()}
        kind = {"mean_place": "radial_error", "grid": "radial_error"}
        others = {f"{kind.get(name, 'template_error')}_{name}": float(shares[name].mean()) for name in shares}
        return {
            "radial_error": others.pop("template_error_all"),
            **others,
            "radial_error_px": float(every["all"].mean()),
            "within_2": float((shares["all"] <= 0.02).mean()),
            "within_5": float((shares["all"] <= 0.05).mean()),
        }


def _diagonal(places: np.ndarray) -> np.ndarray:
    """Return the diagonal of the box about (N, P, 2) places, (N,)."""
    return np.asarray(np.linalg.norm(places.max(axis=1) - places.min(axis=1), axis=-1))
