"""One synthetic person's two retinas, their lesions, and the parameters of each photograph.

The retina's axes, in radii of a 45° field (about 6.5 mm): the fovea is the origin, x runs towards the nose, so towards
the optic disc, in either eye, and y down. A right eye has its disc at the right of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from eden_bench import seeds
from tasks.phantom.fundus.vessels import Vessel, grow

Side = Literal["left", "right"]
Camera = Literal["eyepacs", "drive"]

LESIONS = ("microaneurysm", "haemorrhage", "hard exudate", "cotton-wool spot", "neovascular tuft")
SEVERE_PER_QUADRANT = 3
"""Haemorrhages in each of the four quadrants from which the retinopathy is severe (20 of the clinical 4-2-1 rule would
crowd a picture of this size)."""


@dataclass(frozen=True)
class Lesion:
    """One sign of diabetic retinopathy."""

    kind: str
    x: float
    y: float
    radius: float
    shape: int
    """Number of its outline's stream."""


@dataclass(frozen=True)
class Retina:
    """The anatomy of one eye."""

    disc: tuple[float, float]
    disc_radius: float
    disc_oval: float
    """Height over width."""
    cup_share: float
    """Radius of the cup over that of the disc."""
    crescent: float
    """Pigment or atrophy at the disc's temporal border, 0 for none."""
    pigment: float
    """0 fair, choroidal vessels show through; 1 dark."""
    macula: float
    """Depth of the macula's darkening."""
    youth: float
    """1 young: sheen of the nerve fibres and a foveal reflex; 0 old."""
    calibre: float
    """Radius of the largest vein."""
    artery_to_vein: float


@dataclass(frozen=True)
class Photograph:
    """Parameters of one picture; every number is 0 or 1 for an ideal one."""

    field_radius: float
    shift: tuple[float, float]
    roll_deg: float
    exposure: float
    tint: tuple[float, float, float]
    """Factor of red, green and blue."""
    vignette: float
    tilt: tuple[float, float]
    haze: float
    blur: float
    """s.d. in radii of the field."""
    noise: float
    notch: bool
    inverted: bool
    cut: float
    """Share of the field's diameter that the frame cuts off above and below together."""


@dataclass(frozen=True)
class Eye:
    """One eye of one person, and its photograph."""

    seed: int
    number: int
    side: Side
    camera: Camera
    retina: Retina
    photograph: Photograph
    lesions: tuple[Lesion, ...]

    @property
    def grade(self) -> int:
        """Grade of diabetic retinopathy, 0 to 4, derived from the lesions."""
        return graded(self.lesions)

    @property
    def mirror(self) -> int:
        """1 where x runs to the right in the picture, as in a right eye; -1 in a left one."""
        return 1 if self.side == "right" else -1

    @cached_property
    def vessels(self) -> tuple[Vessel, ...]:
        """The vessel trees, parents before their branches."""
        return grow(self.retina, self.generator("trunks", eye=False), self.generator("vessels"))

    def generator(self, *address: str | int, eye: bool = True) -> np.random.Generator:
        """Return a random generator of this person, or of this eye."""
        whose = (self.camera, self.number, *((self.side,) if eye else ()))
        return seeds.generator(self.seed, "fundus", *whose, *address)


def draw_eye(seed: int, number: int, side: Side, *, camera: Camera = "eyepacs", grade: int | None = None) -> Eye:
    """Draw one eye and its photograph, a function of the arguments alone.

    Args:
        seed: the phantom's seed.
        number: the person; people before two cameras are different people. Both eyes share pigment, disc and calibre,
            and resemble each other in their trunks.
        side: which eye.
        camera: "eyepacs" are many cameras, some held upside down, and retinas with diabetes; "drive" is one camera and
            mostly healthy retinas.
        grade: of diabetic retinopathy, 0 to 4; None draws it at tempered clinical frequencies.

    Raises:
        ValueError: the grade is not 0 to 4.
    """
    if grade not in (None, 0, 1, 2, 3, 4):
        raise ValueError(f"grade must be 0 to 4, not {grade!r}")
    eye = Eye(seed, number, side, camera, _STANDARD, _IDEAL, ())
    person, own = eye.generator("person", eye=False), eye.generator("eye")
    retina = _draw_retina(person, own)
    photograph = _draw_photograph(eye.generator("photograph"), camera)
    wanted = _draw_grade(person, own, camera) if grade is None else grade
    lesions = _draw_lesions(eye.generator("lesions"), retina, wanted)
    return Eye(seed, number, side, camera, retina, photograph, lesions)


def graded(lesions: tuple[Lesion, ...]) -> int:
    """Return the grade of diabetic retinopathy (International scale, Wilkinson et al., Ophthalmology 2003).

    4 with new vessels; 3 with `SEVERE_PER_QUADRANT` haemorrhages in each quadrant; 2 with anything more than
    microaneurysms; 1 with these; else 0.
    """
    kinds = {lesion.kind for lesion in lesions}
    if "neovascular tuft" in kinds:
        return 4
    bleeding = [(lesion.x > 0, lesion.y > 0) for lesion in lesions if lesion.kind == "haemorrhage"]
    if all(bleeding.count((right, low)) >= SEVERE_PER_QUADRANT for right in (False, True) for low in (False, True)):
        return 3
    return 2 if kinds - {"microaneurysm"} else len(kinds)


_STANDARD = Retina((0.7, -0.05), 0.145, 1.08, 0.4, 0.0, 0.4, 0.5, 0.5, 0.0125, 0.75)
_IDEAL = Photograph(1.0, (0.0, 0.0), 0.0, 1.0, (1.0, 1.0, 1.0), 0.0, (0.0, 0.0), 0.0, 0.0, 0.0, False, False, 0.0)
_GRADES = {"eyepacs": (0.5, 0.14, 0.18, 0.09, 0.09), "drive": (0.82, 0.18)}
"""How often a grade is drawn; EyePACS' own are 0.73, 0.07, 0.15, 0.02 and 0.02."""


def _draw_retina(person: np.random.Generator, own: np.random.Generator) -> Retina:
    return Retina(
        disc=(_bell(person, 0.69, 0.02) + _bell(own, 0, 0.008), _bell(person, -0.055, 0.02) + _bell(own, 0, 0.008)),
        disc_radius=_bell(person, 0.142, 0.009),
        disc_oval=_bell(person, 1.08, 0.035),
        cup_share=float(np.clip(_bell(person, 0.42, 0.11) + _bell(own, 0, 0.03), 0.15, 0.75)),
        crescent=float(max(0.0, person.normal(-0.1, 0.4))),
        pigment=float(person.beta(1.6, 2.0)),
        macula=float(person.uniform(0.45, 0.95)),
        youth=float(person.uniform(0, 1)),
        calibre=_bell(person, 0.0118, 0.0008),
        artery_to_vein=_bell(person, 0.76, 0.04),
    )


def _draw_photograph(rng: np.random.Generator, camera: Camera) -> Photograph:
    many = camera == "eyepacs"
    spread = 1.0 if many else 0.4
    return Photograph(
        field_radius=float(rng.choice((0.9, 1.0, 1.1))) if many else 0.98,
        shift=(_bell(rng, 0.17 if many else 0.05, 0.10 * spread), _bell(rng, 0, 0.045 * spread)),
        roll_deg=_bell(rng, 0, 4.0 * spread),
        exposure=float(np.exp(_bell(rng, -0.05, 0.17 * spread))),
        tint=tuple(np.exp(rng.normal(0, (0.04, 0.05, 0.12)) * spread).tolist()),
        vignette=float(rng.uniform(0.15, 0.45 if many else 0.3)),
        tilt=(_bell(rng, 0, 0.10 * spread), _bell(rng, 0, 0.10 * spread)),
        haze=float(max(0.0, rng.normal(0.0, 0.06))) if many else 0.0,
        blur=float(rng.uniform(0.001, 0.0035)) if many else 0.0018,
        noise=float(rng.uniform(0.006, 0.016)),
        notch=bool(rng.random() < 0.5) and many,
        inverted=bool(rng.random() < 0.12) and many,
        cut=float(rng.choice((0.0, 0.0, 0.08, 0.16))) if many else 0.0,
    )


def _draw_grade(person: np.random.Generator, own: np.random.Generator, camera: Camera) -> int:
    """Draw a grade; the second eye is mostly within one of the first."""
    shares = _GRADES[camera]
    base = int(person.choice(len(shares), p=shares))
    moved = int(own.choice((-1, 0, 1), p=(0.12, 0.76, 0.12))) if base else 0
    return int(np.clip(base + moved, 0, len(shares) - 1))


_COUNTS: dict[int, dict[str, tuple[int, int]]] = {
    0: {},
    1: {"microaneurysm": (2, 7)},
    2: {"microaneurysm": (5, 15), "haemorrhage": (2, 8), "hard exudate": (0, 4), "cotton-wool spot": (0, 2)},
    3: {"microaneurysm": (10, 25), "haemorrhage": (4, 10), "hard exudate": (1, 5), "cotton-wool spot": (1, 5)},
    4: {
        "microaneurysm": (8, 20),
        "haemorrhage": (3, 14),
        "hard exudate": (0, 5),
        "cotton-wool spot": (0, 4),
        "neovascular tuft": (1, 3),
    },
}
"""Least and most lesions of each kind at each grade; clusters count as one."""

_RADII = {
    "microaneurysm": (0.005, 0.009),
    "haemorrhage": (0.014, 0.042),
    "hard exudate": (0.03, 0.11),
    "cotton-wool spot": (0.028, 0.05),
    "neovascular tuft": (0.06, 0.13),
}


def _draw_lesions(rng: np.random.Generator, retina: Retina, grade: int) -> tuple[Lesion, ...]:
    """Draw the lesions of a grade; at 2 too few haemorrhages for 3, at 3 enough in every quadrant."""
    lesions: list[Lesion] = []
    for kind, (least, most) in _COUNTS[grade].items():
        for _ in range(int(rng.integers(least, most + 1))):
            lesions.append(_lesion(rng, retina, kind, len(lesions)))
    if grade == 3:
        for quadrant in range(4 * SEVERE_PER_QUADRANT):
            lesions.append(_lesion(rng, retina, "haemorrhage", len(lesions), quadrant % 4))
    return tuple(lesions)


def _lesion(rng: np.random.Generator, retina: Retina, kind: str, shape: int, quadrant: int | None = None) -> Lesion:
    x, y = _place(rng, retina, kind)
    if quadrant is not None:
        x, y = abs(x) * (1 if quadrant % 2 else -1), abs(y) * (1 if quadrant // 2 else -1)
    low, high = _RADII[kind]
    return Lesion(kind, x, y, float(rng.uniform(low, high)), shape)


def _place(rng: np.random.Generator, retina: Retina, kind: str) -> tuple[float, float]:
    """Draw a place off fovea and disc: exudates near the macula, cotton wool and tufts along the arcades."""
    if kind == "neovascular tuft" and rng.random() < 0.4:
        return retina.disc[0] + _bell(rng, 0, 0.04), retina.disc[1] + _bell(rng, 0, 0.08)
    nearest, farthest = {"hard exudate": (0.12, 0.45), "cotton-wool spot": (0.4, 0.75)}.get(kind, (0.1, 0.8))
    while True:
        x, y = rng.uniform(-farthest, farthest, 2).tolist()
        from_disc = np.hypot(x - retina.disc[0], y - retina.disc[1])
        from_mirrored = np.hypot(abs(x) - retina.disc[0], y - retina.disc[1])
        if nearest < np.hypot(x, y) < farthest and min(from_disc, from_mirrored) > 1.6 * retina.disc_radius:
            return x, y


def _bell(rng: np.random.Generator, mean: float, deviation: float) -> float:
    """Draw from a normal distribution cut at two and a half standard deviations."""
    return float(mean + deviation * np.clip(rng.normal(), -2.5, 2.5))
