"""Lesions: the fourteen findings and tuberculosis, as effects on the air in the lungs.

A lesion replaces a share of the lung's air by water (``filling``; negative is more air still), adds water outside
the lungs, or changes an outline (Cardiomegaly, and the domes of Emphysema and Atelectasis, in ``organs``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from tasks.phantom.chest import organs
from tasks.phantom.chest.canvas import FIELD_CM, Projection, band, clouds, ellipse, fill, inflate, smooth_closed, stroke
from tasks.phantom.chest.patient import TUBERCULOSIS, Lesion, Patient


@dataclass(frozen=True)
class Ground:
    """Coarse grid of the film on which lesions are painted, (S, S)."""

    patient: Patient
    project: Projection
    size_px: int
    spaces: dict[int, np.ndarray]
    """Side (-1, +1) to the mask of its pleural space, uint8 in {0, 1}."""
    covered: np.ndarray
    """Where heart and mediastinum lie before or behind the lungs, (S, S) uint8 in {0, 1}."""

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Return x (1, S) and y (S, 1) of the pixels' centres, film cm, float32."""
        centres = ((np.arange(self.size_px) + 0.5) * FIELD_CM / self.size_px).astype(np.float32)
        return centres[None, :], centres[:, None]

    def field(self, side: int) -> np.ndarray:
        """Return the part of a pleural space that the middle does not cover, without slivers, bool."""
        seen = self.spaces[side] & (1 - self.covered)
        grain = np.ones((max(1, round(0.5 * self.size_px / FIELD_CM)),) * 2, np.uint8)
        return np.asarray(cv2.morphologyEx(seen, cv2.MORPH_OPEN, grain) > 0)

    def at(self, point: tuple[float, float], depth_cm: float = 0.0) -> tuple[float, float]:
        """Return the film coordinates of a point of the body."""
        x, y = self.project(point, depth_cm)
        return float(x), float(y)

    def generator(self, lesion: Lesion) -> np.random.Generator:
        """Return the lesion's own random generator."""
        return self.patient.film_generator("lesion", lesion.kind, lesion.number)


@dataclass(frozen=True)
class Effect:
    """Effect of a lesion on the coarse grid; all maps (S, S) float32."""

    filling: np.ndarray
    """Share of the lung's air that is water, at most 1; negative is more air than normal."""
    extent: np.ndarray
    """The lesion's true extent, bool."""
    water_cm: np.ndarray | None = None
    """Water outside the lungs' air (pleural line, hernia)."""
    vessels: np.ndarray | float = 1.0
    """Factor on vessels and lung texture."""


def effect(ground: Ground, lesion: Lesion) -> Effect:
    """Compute the effect of a lesion on the film."""
    return _EFFECTS[lesion.kind](ground, lesion)


def _blob(ground: Ground, lesion: Lesion, stretch: float = 1.0) -> np.ndarray:
    """Return a Gaussian (S, S) around the lesion's place, 1 at its centre, size_cm across at half height."""
    centre = ground.at(organs.lung_point(ground.patient, lesion))
    x, y = ground.grid()
    angle = np.float32(np.deg2rad(lesion.angle_deg))
    along = (x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)
    across = (y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)
    radius = lesion.size_cm / 2
    return np.asarray(np.exp2(-((along / (radius * stretch)) ** 2) - (across / (radius / stretch)) ** 2), np.float32)


def _patchy(ground: Ground, lesion: Lesion, grain_cm: float, roughness: float, density: float) -> Effect:
    blob = _blob(ground, lesion, 1.2) * ground.spaces[lesion.side]
    texture = 1 + roughness * clouds(ground.generator(lesion), ground.size_px, grain_cm)
    filling = np.clip(blob * texture, 0, 1) * np.float32(density * (0.35 + 0.65 * lesion.strength))
    return Effect(filling, blob > 0.4)


def _infiltration(ground: Ground, lesion: Lesion) -> Effect:
    return _patchy(ground, lesion, 0.7, 0.6, 0.3)


def _pneumonia(ground: Ground, lesion: Lesion) -> Effect:
    return _patchy(ground, lesion, 1.3, 0.45, 0.48)


def _consolidation(ground: Ground, lesion: Lesion) -> Effect:
    """A homogeneous patch with a straight fissure edge and air-filled bronchi in it."""
    base = _blob(ground, lesion, 1.15)
    noise = 0.1 * clouds(ground.generator(lesion), ground.size_px, 1.0)
    centre = ground.at(organs.lung_point(ground.patient, lesion))
    y = ground.grid()[1]
    fissure = _step(12 * (y - centre[1] + 0.6))
    body = _step(14 * (base + noise - 0.45)) * fissure * ground.spaces[lesion.side]
    bronchi = np.zeros((ground.size_px,) * 2, np.float32)
    hilum = np.array(ground.at(organs.hilum(ground.patient, lesion.side)))
    for k in range(3):
        target = np.add(centre, (0.8 * (k - 1), 0.9 * (k - 1) + 0.8))
        stroke(bronchi, [np.stack([hilum + 0.5 * (target - hilum), target])], 0.22, 0.45)
    filling = (body * (0.4 + 0.35 * lesion.strength) * (1 - cv2.GaussianBlur(bronchi, (0, 0), 0.8))).astype(np.float32)
    return Effect(filling, body > 0.4, vessels=1 - 0.8 * body)


def _tuberculosis(ground: Ground, lesion: Lesion) -> Effect:
    """Patchy shadows in an upper zone around a cavity, and small nodules strewn over the same lung."""
    patches = _patchy(ground, lesion, 1.0, 0.6, 0.55)
    space, rng = ground.spaces[lesion.side], ground.generator(lesion)
    x, y = ground.at(organs.lung_point(ground.patient, lesion))
    radius = lesion.size_cm * float(rng.uniform(0.12, 0.2))
    wall, hole = (fill([ellipse((x, y), (r, 0.9 * r), lesion.angle_deg)], ground.size_px) for r in (radius, radius / 2))
    strewn = np.add((x, y), rng.normal(0, 1, (14, 2)) * (1.6, 2.4))
    nodules = fill([ellipse(place, (0.28, 0.28)) for place in strewn], ground.size_px)
    dense = cv2.GaussianBlur(np.maximum(wall, nodules).astype(np.float32), (0, 0), 1.0) * space
    filling = np.maximum(patches.filling, dense * np.float32(0.25 + 0.3 * lesion.strength))
    filling *= 1 - cv2.GaussianBlur(hole.astype(np.float32), (0, 0), 1.0)
    return Effect(filling, patches.extent | ((wall & space) > 0))


def _round(ground: Ground, lesion: Lesion, lobulation: float) -> Effect:
    rng = ground.generator(lesion)
    centre = ground.at(organs.lung_point(ground.patient, lesion))
    outline = ellipse(centre, (lesion.size_cm / 2, lesion.size_cm / 2 * rng.uniform(0.75, 1)), lesion.angle_deg)[::4]
    outline = smooth_closed(np.array(centre) + (outline - centre) * (1 + lobulation * rng.normal(0, 1, (12, 1))))
    mask = fill([outline], ground.size_px) & ground.spaces[lesion.side]
    chord = inflate(mask, lesion.size_cm / 2) * np.float32(lesion.size_cm / 13 * (0.65 + 0.6 * lesion.strength))
    return Effect(np.minimum(cv2.GaussianBlur(chord, (0, 0), 1.0), 1), mask > 0)


def _nodule(ground: Ground, lesion: Lesion) -> Effect:
    return _round(ground, lesion, 0.04)


def _mass(ground: Ground, lesion: Lesion) -> Effect:
    return _round(ground, lesion, 0.09)


def _atelectasis(ground: Ground, lesion: Lesion) -> Effect:
    """Plates of collapsed lung above a raised dome."""
    dome = (
        lesion.side * organs.dome_x(ground.patient) * (0.8 + 0.5 * lesion.outward),
        organs.dome_y(ground.patient, lesion.side),
    )
    centre = np.array(ground.at((dome[0], dome[1] - 1.1 - 2.0 * (1 - lesion.height))))
    angle = np.deg2rad(lesion.angle_deg * 0.6)
    along = np.array([np.cos(angle), np.sin(angle)])
    plates = []
    for k in range(1 + int(lesion.strength > 0.4)):
        middle = centre + np.array([0.7 * k, -1.3 * k])
        line = middle + np.linspace(-0.5, 0.5, 9)[:, None] * along * lesion.size_cm * (1 - 0.3 * k)
        plates.append(band(line, 0.75 * np.sin(np.linspace(0.25, np.pi - 0.25, 9))))
    mask = fill(plates, ground.size_px) & ground.spaces[lesion.side]
    soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.12 * ground.size_px / FIELD_CM)
    filling = soft * np.float32(0.2 + 0.3 * lesion.strength) * ground.spaces[lesion.side]
    return Effect(filling, mask > 0)


def _effusion(ground: Ground, lesion: Lesion) -> Effect:
    """Fluid that fills the space from below, higher along the wall (meniscus)."""
    patient = ground.patient
    level = float(organs.diaphragm(patient, lesion.side)[0, 1]) - 0.8 - lesion.size_cm
    centre = ground.at((lesion.side * 4.0, level))
    x, y = ground.grid()
    outward = np.clip((x - centre[0]) * lesion.side / 9, 0, 1)
    depth = y - centre[1] - 0.12 * (x - centre[0]) * np.tan(np.deg2rad(patient.film.roll_deg)) + 2.6 * outward**2
    edge = _step(depth / 0.28)
    filling = (edge * ground.spaces[lesion.side] * (0.75 + 0.2 * lesion.strength)).astype(np.float32)
    return Effect(filling, (edge > 0.4) & ground.field(lesion.side), vessels=1 - edge)


def _pneumothorax(ground: Ground, lesion: Lesion) -> Effect:
    """Air between chest wall and a shrunken lung: dark, without vessels, bounded by a fine bright line."""
    patient, space = ground.patient, ground.field(lesion.side)
    outline = organs.hemithorax(patient, lesion.side)
    pivot = np.array([lesion.side * 1.5, organs.dome_y(patient, lesion.side) - 1])
    lung = ground.project(pivot + (outline - pivot) * (1 - lesion.size_cm / np.array([13.0, 17.0])))
    x = ground.grid()[0]
    lateral = (x - ground.at((lesion.side * 2.6, 0.0))[0]) * lesion.side > 0
    gap = space & lateral & (fill([lung], ground.size_px) == 0)
    line = np.zeros((ground.size_px,) * 2, np.float32)
    stroke(line, [np.concatenate([lung, lung[:1]])], 0.09, 0.8 + 0.5 * lesion.strength)
    near = cv2.dilate(gap.astype(np.uint8), np.ones((3, 3), np.uint8)) * space
    air = gap * np.float32(-0.12 - 0.14 * lesion.strength)
    collapse = (space & ~gap) * np.float32(0.05 + 0.015 * lesion.size_cm)
    return Effect(air + collapse, gap, line * near, 1 - gap.astype(np.float32))


def _edema(ground: Ground, lesion: Lesion) -> Effect:
    """Haze like a bat's wings around both hila."""
    x, y = ground.grid()
    haze = np.zeros((ground.size_px,) * 2, np.float32)
    for side, space in ground.spaces.items():
        centre = ground.at((side * 5.2, 0.8))
        haze += np.exp(-(((x - centre[0]) / 4.5) ** 2) - ((y - centre[1]) / 5.8) ** 2) * space
    texture = 1 + 0.3 * clouds(ground.generator(lesion), ground.size_px, 0.8)
    filling = np.clip(haze * texture, 0, 1).astype(np.float32) * np.float32(0.22 + 0.28 * lesion.strength)
    return Effect(filling, (haze > 0.35) & (ground.covered == 0), vessels=1.3)


def _emphysema(ground: Ground, lesion: Lesion) -> Effect:
    """More air and fewer vessels; ``organs`` flattens the domes and narrows the heart."""
    lungs = ground.field(-1) | ground.field(1)
    return Effect(lungs.astype(np.float32) * np.float32(-0.06 - 0.08 * lesion.strength), lungs, vessels=0.6)


def _fibrosis(ground: Ground, lesion: Lesion) -> Effect:
    """A net of strands, at the bases and along the wall."""
    space = ground.spaces[lesion.side]
    region = _blob(ground, lesion, 1.0) * space
    rng = ground.generator(lesion)
    net = np.exp(-((clouds(rng, ground.size_px, 0.55) / 0.3) ** 2)) + np.exp(
        -((clouds(rng, ground.size_px, 0.8) / 0.25) ** 2)
    )
    filling = region * (0.05 + 0.28 * net * (0.4 + 0.6 * lesion.strength))
    return Effect(filling.astype(np.float32), region > 0.4)


def _pleural_thickening(ground: Ground, lesion: Lesion) -> Effect:
    """A rind along the chest wall or over the apex."""
    space = ground.spaces[lesion.side]
    depth = cv2.distanceTransform(space, cv2.DIST_L2, 3) * np.float32(FIELD_CM / ground.size_px)
    centre = ground.at(organs.lung_point(ground.patient, lesion))
    x, y = ground.grid()
    outer = (x - ground.at((lesion.side * 4.5, 0.0))[0]) * lesion.side > 0
    reach = np.exp(-(((y - centre[1]) / 4.0) ** 2))
    wavy = lesion.size_cm * (1 + 0.25 * clouds(ground.generator(lesion), ground.size_px, 2.0))
    rind = (depth < wavy * reach) * space * outer
    soft = cv2.GaussianBlur(rind.astype(np.float32), (0, 0), 0.08 * ground.size_px / FIELD_CM) * space
    return Effect(soft * np.float32(0.25 + 0.4 * lesion.strength), rind > 0)


def _hernia(ground: Ground, lesion: Lesion) -> Effect:
    """A round stomach pouch behind the heart, often with a fluid level."""
    floor = (organs.dome_y(ground.patient, -1) + organs.dome_y(ground.patient, 1)) / 2
    x, y = ground.at((0.9 + lesion.side * 0.7, floor - 0.55 * lesion.size_cm), -3.0)
    mask = fill([ellipse((x, y), (1.15 * lesion.size_cm, 0.95 * lesion.size_cm))], ground.size_px)
    pouch = inflate(mask, lesion.size_cm) * np.float32(2.2 + 2.0 * lesion.strength)
    gas = fill([ellipse((x, y), (0.9 * lesion.size_cm, 0.7 * lesion.size_cm))], ground.size_px)
    gas &= ground.grid()[1] < y
    return Effect(np.zeros_like(pouch), mask > 0, pouch - 3.2 * inflate(gas.astype(np.uint8), 0.5 * lesion.size_cm))


def _cardiomegaly(ground: Ground, lesion: Lesion) -> Effect:
    """Only an outline: ``organs.heart`` is wider."""
    outline = ground.project(organs.heart(ground.patient), organs.HEART_DEPTH_CM)
    mask = fill([outline], ground.size_px) > 0
    return Effect(np.zeros(mask.shape, np.float32), mask)


_EFFECTS: dict[str, Callable[[Ground, Lesion], Effect]] = {
    "Atelectasis": _atelectasis,
    "Cardiomegaly": _cardiomegaly,
    "Effusion": _effusion,
    "Infiltration": _infiltration,
    "Mass": _mass,
    "Nodule": _nodule,
    "Pneumonia": _pneumonia,
    "Pneumothorax": _pneumothorax,
    "Consolidation": _consolidation,
    "Edema": _edema,
    "Emphysema": _emphysema,
    "Fibrosis": _fibrosis,
    "Pleural_Thickening": _pleural_thickening,
    "Hernia": _hernia,
    TUBERCULOSIS: _tuberculosis,
}


def _step(x: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 to 1 at x = 0."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2), np.float32)
