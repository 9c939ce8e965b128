"""The phantom's people filmed again, and filmed again with a finding added: where each landmark went is known.

The phantom's folder holds one film a patient; further ones are rendered from its description of the patient, as its
writer renders, and kept in the cache. The two further films of a patient differ in the finding alone, so that what a
finding does to a match is the difference of their scores. No real film has such a truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eden_bench import seeds
from eden_bench.contracts import PHANTOM, Context, DatasetIndex, Item
from eden_bench.data.image_store import resized
from eden_bench.data.pixel_store import StoreSpec, open_store
from eden_bench.digests import digest
from eden_bench.errors import DataDamaged
from eden_bench.files import plain_text
from tasks.phantom.chest.patient import BOXED, Patient, draw_patient
from tasks.phantom.chest.rendering import landmarks, render
from tasks.phantom.layouts.scr import IMAGE_PX, described, raw
from tasks.reading.jsrt import as_grey

_ROUNDED_PX = 0.002
"""Landmarks are written to a thousandth of a pixel."""


@dataclass(frozen=True)
class Refilmed:
    """Further films of K films' people."""

    films: np.ndarray
    """(K, 3, S, S) uint8: filmed again, the same with a finding, and 0 or 1 where that finding is."""
    again: np.ndarray
    """(K, L, 2) x and y of the landmarks on the first of them, in pixels of S."""
    diseased: np.ndarray
    """(K, L, 2) on the second."""
    digest: str

    @property
    def inside(self) -> np.ndarray:
        """(K, L) bool: the landmark lies in the extent of the finding."""
        x, y = np.moveaxis(np.clip(np.floor(self.diseased).astype(int), 0, self.films.shape[-1] - 1), -1, 0)
        return np.asarray(self.films[np.arange(len(x))[:, None], 2, y, x] > 0)


def known(index: DatasetIndex) -> bool:
    """Return whether a dataset's people can be filmed again: those of SCR's phantom."""
    return index.phantom and index.dataset == "scr"


def open_refilmed(
    index: DatasetIndex, items: Sequence[Item], names: Sequence[str], size_px: int, context: Context
) -> Refilmed:
    """Film people of SCR's phantom again, or map these films from the cache.

    Args:
        index: for which ``known`` is true.
        items: films of it.
        names: landmarks.
        size_px: side that films are squashed to.
        context: as in ``eden_bench.data.image_store.open_images``.

    Raises:
        DataDamaged: the phantom's description does not lead to the landmarks that lie in its folder.
        NotBuilt: the films are not rendered yet, and this is a dry run.
    """
    content = plain_text.read_json(index.root / PHANTOM)
    people = described(content["patients"], content["seed"])
    for item in items:
        _need_agreement(index, item, people[item.id])
    pairs = {item.id: filmed_again(people[item.id]) for item in items}

    def make(item: Item) -> tuple[np.ndarray, tuple[int, int]]:
        return _pixels(*pairs[item.id], size_px), (IMAGE_PX, IMAGE_PX)

    files, told = tuple((item.image,) for item in items), tuple(sorted(content.items()))
    spec = StoreSpec(f"{index.dataset}-refilmed", "refilmed", tuple(items), files, (3, size_px, size_px), make)
    store = open_store(replace(spec, drawn=told), context)
    places = [[placed(film, names, size_px) for film in pairs[item.id]] for item in items]
    again, diseased = np.moveaxis(np.array(places), 1, 0)
    return Refilmed(store.pixels, again, diseased, digest([store.digest, again.tolist(), diseased.tolist()]))


def filmed_again(patient: Patient) -> tuple[Patient, Patient]:
    """Return a patient on another film, and on the same with one of the eight boxed findings added."""
    draw = seeds.generator(patient.seed, "phantom", patient.collection, patient.number, "finding added")
    kind = BOXED[int(draw.integers(len(BOXED)))]
    other = draw_patient(patient.seed, patient.number, collection=patient.collection, follow_up=1, kinds=(kind,))
    own = len(patient.lesions)
    added = tuple(replace(lesion, number=own + lesion.number) for lesion in other.lesions)
    again = replace(other, lesions=patient.lesions)
    return again, replace(again, lesions=(*patient.lesions, *added))


def placed(patient: Patient, names: Sequence[str], size_px: int) -> list[tuple[float, float]]:
    """Return a film's landmarks, x and y in pixels, the first pixel's centre at (0.5, 0.5)."""
    found = landmarks(patient, size_px)
    return [(found[name][0] + 0.5, found[name][1] + 0.5) for name in names]


def film(shown: Any, size_px: int) -> np.ndarray:  # noqa: ANN401 - a rendering
    """Return a rendering (S, S) uint8 as the phantom's film of it is read and squashed."""
    return resized(as_grey(raw(shown.brightness)), size_px)


def _pixels(again: Patient, diseased: Patient, size_px: int) -> np.ndarray:
    plain, ill = render(again, IMAGE_PX), render(diseased, IMAGE_PX)
    extent = np.any([mask for _, mask in ill.lesion_masks[len(again.lesions) :]], axis=0).astype(np.uint8)
    return np.stack([film(plain, size_px), film(ill, size_px), resized(extent, size_px, nearest=True)])


def _need_agreement(index: DatasetIndex, item: Item, patient: Patient) -> None:
    names = sorted(item.points)
    written, derived = (
        np.array(places) for places in ([item.points[n] for n in names], placed(patient, names, IMAGE_PX))
    )
    if np.abs(written - derived).max() > _ROUNDED_PX:
        raise DataDamaged(
            f"{index.dataset}: the landmarks of {item.id} in {index.root} are not those that its {PHANTOM} leads to, "
            "expected a phantom of this version as it was written: write it again with eden-bench data phantom"
        )
