"""One synthetic person, one film of them, and their lesions; every draw is seeded by its address.

The person (``Anatomy``) depends on the collection and the number only, so follow-up films show the same person.
The film (pose, breath, exposure) and the lesions depend on the follow-up as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from eden_bench import seeds
from tasks.phantom.chest.anatomy import Anatomy, bell, draw_anatomy
from tasks.reading.nih import LABELS

Collection = Literal["jsrt", "nih", "vindr", "shenzhen"]

KINDS = LABELS
"""The fourteen findings of ChestX-ray14, in the order of Wang et al., CVPR 2017; the first eight have boxes."""

BOXED = KINDS[:8]

TUBERCULOSIS = "Tuberculosis"
"""A fifteenth finding, which Shenzhen and VinDr-CXR label; drawn only where it is asked for."""

_WEIGHTS = (107, 53, 115, 141, 76, 80, 38, 73, 68, 48, 50, 41, 58, 45)
"""How often a kind is drawn: about the square root of its count in Data_Entry_2017, so that rare ones occur.

Hernia is three times as frequent as that.
"""

_HEALTHY_SHARE = 0.45


@dataclass(frozen=True, kw_only=True)
class Film:
    """Parameters that differ from film to film: pose, breath, exposure, processing."""

    view: Literal["PA", "AP"]
    turn_deg: float
    """Rotation about the body's long axis: it parts spinous processes from clavicle ends."""
    tilt_deg: float
    """Lordosis: it moves what lies in front up or down against what lies behind."""
    roll_deg: float
    scale: float
    shift_cm: tuple[float, float]
    inspiration: float
    """-1 expired, 0 mean, 1 deep."""
    scapula_cm: float
    """How far the scapulae are pulled off the lungs; negative is over them."""
    exposure: float
    contrast: float
    haze: float
    """Scattered light relative to primary."""
    noise: float
    blur_px: float
    """Unsharpness on a 1024-px image."""
    equalise: float
    """Share of the large-scale brightness that processing takes away."""
    marker: bool
    collimation_cm: tuple[float, float]
    """Width of the black borders left and right."""
    lead: bool
    """A venous line crosses the chest."""


@dataclass(frozen=True, kw_only=True)
class Lesion:
    """One finding. Kinds without a place or side of their own (Edema) ignore those fields."""

    kind: str
    side: int
    """-1 the patient's right (left in the image), +1 the patient's left."""
    height: float
    """0 at the apex, 1 at the diaphragm."""
    outward: float
    """0 at the mediastinum, 1 at the chest wall."""
    size_cm: float
    strength: float
    """0 barely visible, 1 obvious."""
    angle_deg: float
    number: int


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A person, a film of them and their lesions; renders to the same image always."""

    seed: int
    collection: Collection
    number: int
    follow_up: int
    anatomy: Anatomy
    film: Film
    lesions: tuple[Lesion, ...]

    @property
    def age(self) -> int:
        """Age on this film, in years."""
        return self.anatomy.age + self.follow_up

    @property
    def labels(self) -> tuple[str, ...]:
        """The kinds of the lesions, each once, in the order of ``KINDS``, tuberculosis last."""
        present = {lesion.kind for lesion in self.lesions}
        return tuple(kind for kind in (*KINDS, TUBERCULOSIS) if kind in present)

    def has(self, kind: str) -> bool:
        """Return whether a lesion of this kind is present."""
        return kind in self.labels

    def person_generator(self, *what: seeds.Address) -> np.random.Generator:
        """Return the random generator that all films of this person share (vessel tree)."""
        return seeds.generator(self.seed, "phantom", self.collection, self.number, *what)

    def film_generator(self, *what: seeds.Address) -> np.random.Generator:
        """Return the random generator of this film alone (noise, texture of lesions)."""
        return seeds.generator(self.seed, "phantom", self.collection, self.number, "film", self.follow_up, *what)


def draw_patient(
    seed: int,
    number: int,
    *,
    collection: Collection = "nih",
    follow_up: int = 0,
    kinds: Sequence[str] | None = None,
) -> Patient:
    """Draw one patient, a function of the arguments alone.

    Args:
        seed: the phantom's seed.
        number: the person; people of two collections are different people.
        collection: "jsrt" and "shenzhen" are upright PA films, "nih" are PA and AP films of sicker people, "vindr"
            are PA films of slighter people, who fit on an upright sheet.
        follow_up: which film of this person.
        kinds: the findings; None draws them at roughly tempered clinical frequencies.

    Raises:
        ValueError: a kind is neither one of ``KINDS`` nor tuberculosis.
    """
    for kind in kinds or ():
        if kind not in (*KINDS, TUBERCULOSIS):
            raise ValueError(f"kinds must be among {', '.join((*KINDS, TUBERCULOSIS))}, not {kind!r}")
    person = seeds.generator(seed, "phantom", collection, number, "anatomy")
    exposure = seeds.generator(seed, "phantom", collection, number, "pose", follow_up)
    illness = seeds.generator(seed, "phantom", collection, number, "lesions", follow_up)
    drawn = _draw_kinds(illness)
    return Patient(
        seed=seed,
        collection=collection,
        number=number,
        follow_up=follow_up,
        anatomy=draw_anatomy(person),
        film=_draw_film(exposure, collection),
        lesions=_draw_lesions(illness, drawn if kinds is None else tuple(kinds)),
    )


def _draw_film(rng: np.random.Generator, collection: Collection) -> Film:
    hospital = collection == "nih"
    spread = 1.5 if hospital else 1.0
    lying = bool(rng.random() < 0.35) and hospital
    return Film(
        view="AP" if lying else "PA",
        turn_deg=bell(rng, 0, 3.0 * spread, -12, 12),
        tilt_deg=bell(rng, -5 if lying else 0, 3.0 * spread, -15, 12),
        roll_deg=bell(rng, 0, 1.7 * spread, -9, 9),
        scale=bell(rng, 1.0, 0.05 * spread, 0.82, 1.16) * (0.84 if collection == "vindr" else 1.0),
        shift_cm=(bell(rng, 0, 0.6 * spread, -2.4, 2.4), bell(rng, -0.4, 0.7 * spread, -2.8, 2.4)),
        inspiration=bell(rng, -0.6 if lying else 0.15, 0.4, -1.3, 1.0),
        scapula_cm=bell(rng, -1.0 if lying else 1.0, 0.7, -2.4, 2.6),
        exposure=bell(rng, 0, 0.16 * spread, -0.6, 0.6),
        contrast=bell(rng, 1.0, 0.13 * spread, 0.6, 1.5),
        haze=bell(rng, 0.5 if lying else 0.34, 0.1, 0.12, 0.85),
        noise=bell(rng, 0.009 * spread, 0.003, 0.003, 0.025),
        blur_px=bell(rng, 0.8, 0.25, 0.45, 1.6),
        equalise=bell(rng, 0.25, 0.18, 0, 0.6) if hospital else 0.0,
        marker=bool(rng.random() < (0.8 if hospital else 0.3)),
        collimation_cm=_draw_collimation(rng, hospital),
        lead=bool(rng.random() < 0.15) and hospital,
    )


def _draw_collimation(rng: np.random.Generator, hospital: bool) -> tuple[float, float]:
    present = rng.random(2) < (0.15 if hospital else 0.0)
    left, right = rng.uniform(0.3, 1.8, 2) * present
    return float(left), float(right)


def _draw_kinds(rng: np.random.Generator) -> tuple[str, ...]:
    if rng.random() < _HEALTHY_SHARE:
        return ()
    count = 1 + int(rng.random() < 0.4) + int(rng.random() < 0.15)
    share = np.array(_WEIGHTS, float) / sum(_WEIGHTS)
    return tuple(KINDS[i] for i in sorted(rng.choice(len(KINDS), count, replace=False, p=share)))


def _draw_lesions(rng: np.random.Generator, kinds: Sequence[str]) -> tuple[Lesion, ...]:
    lesions: list[Lesion] = []
    for kind in kinds:
        count = 1 + int(rng.random() < 0.2) if kind in _SOMETIMES_TWO else 1
        lesions += [_draw_lesion(rng, kind, len(lesions) + i) for i in range(count)]
    return tuple(lesions)


_SOMETIMES_TWO = ("Nodule", "Infiltration", "Pneumonia", TUBERCULOSIS)

_SIZES_CM = {
    "Atelectasis": (3.0, 7.0),
    "Effusion": (2.0, 9.0),
    "Infiltration": (2.5, 5.0),
    "Mass": (3.2, 6.5),
    "Nodule": (1.0, 2.8),
    "Pneumonia": (2.8, 5.5),
    "Pneumothorax": (1.0, 4.0),
    "Consolidation": (3.0, 6.0),
    "Fibrosis": (4.0, 8.0),
    "Pleural_Thickening": (0.5, 1.5),
    "Hernia": (2.4, 4.2),
    TUBERCULOSIS: (4.0, 7.5),
}


def _draw_lesion(rng: np.random.Generator, kind: str, number: int) -> Lesion:
    low, high = _SIZES_CM.get(kind, (1.0, 1.0))
    lowest = 0.4 if kind == TUBERCULOSIS else 0.9  # it prefers the upper zones
    return Lesion(
        kind=kind,
        side=-1 if rng.random() < 0.53 else 1,
        height=float(rng.uniform(0.12, lowest)),
        outward=float(rng.uniform(0.15, 0.9)),
        size_cm=float(rng.uniform(low, high)),
        strength=float(rng.uniform(0.25, 1.0)),
        angle_deg=float(rng.uniform(-35, 35)),
        number=number,
    )
