"""Compute the water (cm) that each ray passes: soft tissue on a coarse grid, bones and vessels on the fine one.

Bone is counted as the water that attenuates as much. Everything adds up along the ray, as in a projection:
borders vanish where nothing with another density lies behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce

import cv2
import numpy as np

from tasks.phantom.chest import organs, skeleton
from tasks.phantom.chest.canvas import FIELD_CM, Projection, band, clouds, cover, ellipse, fill, inflate, stroke
from tasks.phantom.chest.lesions import Effect, Ground, effect
from tasks.phantom.chest.patient import Patient
from tasks.phantom.chest.skeleton import SIDES

_AERATION = 0.76
"""Share of a lung that is air."""


@dataclass(frozen=True)
class Scene:
    """A patient in front of a film: outlines in film coordinates, cm."""

    patient: Patient
    project: Projection = field(init=False)
    spaces: dict[int, np.ndarray] = field(init=False)
    heart: np.ndarray = field(init=False)
    mediastinum: np.ndarray = field(init=False)
    ribs: dict[str, tuple[np.ndarray, np.ndarray]] = field(init=False)
    """R1 to R10 and L1 to L10: the posterior and the anterior arc."""

    def __post_init__(self) -> None:
        """Project the outlines that both image and truth need."""
        patient, project = self.patient, Projection(self.patient.film)
        made = {
            "project": project,
            "spaces": {side: project(organs.hemithorax(patient, side)) for side in (-1, 1)},
            "heart": project(organs.heart(patient), organs.HEART_DEPTH_CM),
            "mediastinum": project(organs.mediastinum(patient)),
            "ribs": {
                f"{letter}{number}": skeleton.rib_bands(
                    patient, side, number, project(skeleton.rib(patient, side, number))
                )
                for letter, side in SIDES.items()
                for number in range(1, skeleton.RIBS + 1)
            },
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def clavicle(self, side: int) -> np.ndarray:
        """Return the outline of a whole clavicle."""
        line, width = skeleton.clavicle(self.patient, side)
        return band(self.project(line), width * self.patient.film.scale)

    def clavicle_on_cage(self, side: int) -> np.ndarray:
        """Return the outline of the part of a clavicle over lungs and cage."""
        line, width = skeleton.clavicle_on_cage(self.patient, side)
        return band(self.project(line), width * self.patient.film.scale)


@dataclass(frozen=True)
class Water:
    """Water (cm) that each ray passes, and the effects of the lesions on the coarse grid."""

    total_cm: np.ndarray
    """(S, S) float32."""
    effects: tuple[Effect, ...]


def water(scene: Scene, size_px: int) -> Water:
    """Sum the water that every ray passes.

    Args:
        scene: the patient.
        size_px: side of the fine grid; soft tissue is summed at half of it and interpolated.
    """
    coarse_px = size_px // 2
    spaces = {side: fill([outline], coarse_px) for side, outline in scene.spaces.items()}
    covered = fill([scene.heart, scene.mediastinum], coarse_px)
    ground = Ground(scene.patient, scene.project, coarse_px, spaces, covered)
    effects = tuple(effect(ground, lesion) for lesion in scene.patient.lesions)
    air = _air_cm(scene, spaces)
    soft = _tissue_cm(scene, coarse_px) - air * (1 - _filling(effects, air))
    for each in effects:
        soft += 0.0 if each.water_cm is None else each.water_cm
    total = _strands_cm(scene, size_px) * _enlarged(_vessel_weight(effects, air), size_px)
    total += _enlarged(soft.astype(np.float32), size_px)
    total += _bone_cm(scene, size_px)
    return Water(total, effects)


def _filling(effects: tuple[Effect, ...], air: np.ndarray) -> np.ndarray:
    """Combine lesions: the air that one leaves, the next may fill."""
    left = reduce(lambda rest, each: rest * (1 - each.filling), effects, np.ones_like(air))
    return 1 - left


def _vessel_weight(effects: tuple[Effect, ...], air: np.ndarray) -> np.ndarray:
    seen = np.minimum(air / np.float32(5.0), np.float32(1))
    for each in effects:
        seen = seen * each.vessels
    return np.asarray(seen, np.float32)


def _tissue_cm(scene: Scene, size_px: int) -> np.ndarray:
    """Body without lungs: trunk, breasts, airways, stomach gas."""
    patient, project = scene.patient, scene.project
    anatomy = patient.anatomy
    depth = 2 * anatomy.half_depth_cm + 2.5 + 2.0 * anatomy.habitus
    soft = depth * inflate(fill([project(organs.torso(patient))], size_px), 7.5)
    if anatomy.breast_cm:
        for side in (-1, 1):
            mask = fill([project(organs.breast(patient, side), 8.0)], size_px)
            soft += 0.55 * anatomy.breast_cm * inflate(mask, 0.9 * anatomy.breast_cm)
    if anatomy.stomach_gas_cm:
        mask = fill([project(organs.stomach_gas(patient))], size_px)
        soft -= 1.9 * anatomy.stomach_gas_cm * inflate(mask, anatomy.stomach_gas_cm)
    soft += _hila_cm(scene, size_px) - _airways_cm(scene, size_px)
    grain = patient.person_generator("tissue")
    soft += np.float32(0.18) * clouds(grain, size_px, 2.5) * (soft > 2)
    return np.asarray(np.maximum(soft, 0), np.float32)


def _hila_cm(scene: Scene, size_px: int) -> np.ndarray:
    """The great vessels of the lung roots, end on and side by side."""
    found = np.zeros((size_px, size_px), np.float32)
    for side in (-1, 1):
        x, y = organs.hilum(scene.patient, side)
        for dx, dy, radius in ((0.1, -0.4, 1.3), (0.4, 1.0, 1.1), (0.6, 2.6, 0.8)):
            mask = fill([scene.project(ellipse((x + side * dx, y + dy), (radius, 1.25 * radius), -side * 20))], size_px)
            found += 1.2 * radius * inflate(mask, radius)
    return found


def _airways_cm(scene: Scene, size_px: int) -> np.ndarray:
    air = np.zeros((size_px, size_px), np.float32)
    windpipe, *bronchi = (scene.project(line) for line in organs.trachea(scene.patient))
    stroke(air, bronchi, 1.0, 0.9)
    stroke(air, [windpipe], 1.7 * scene.patient.film.scale, 2.3)
    return np.asarray(cv2.GaussianBlur(air, (0, 0), 0.25 * size_px / FIELD_CM))


def _air_cm(scene: Scene, spaces: dict[int, np.ndarray]) -> np.ndarray:
    """Air in the lungs: their depth, less heart, great vessels and hila, plus the recess behind the domes."""
    patient, size_px = scene.patient, spaces[1].shape[0]
    depth = 1.5 * patient.anatomy.half_depth_cm * _AERATION * (1 + 0.06 * patient.film.inspiration)
    lungs = inflate(spaces[-1], 4.0) + inflate(spaces[1], 4.0)
    middle = inflate(fill([scene.mediastinum], size_px), 1.6)
    lungs *= (1 - 0.94 * middle) * (1 - 0.78 * inflate(fill([scene.heart], size_px), 3.2))
    behind = [fill([scene.project(organs.recess(patient, side), -5.0)], size_px) for side in (-1, 1)]
    low = np.maximum(inflate(behind[0], 5.0) * (1 - spaces[-1]), inflate(behind[1], 5.0) * (1 - spaces[1]))
    return np.asarray(depth * (lungs + 0.13 * low * (1 - middle)), np.float32)


def _strands_cm(scene: Scene, size_px: int) -> np.ndarray:
    """Vessels, and the fine mottle of all that is too small to draw."""
    patient = scene.patient
    tree = np.zeros((size_px, size_px), np.float32)
    for side in (-1, 1):
        for lines, width in organs.vessels(patient, side):
            stroke(tree, scene.project(lines), width * patient.film.scale, 2.4 * width)
    soft = cv2.GaussianBlur(tree, (0, 0), 0.035 * size_px / FIELD_CM + 0.4)
    grain = patient.person_generator("mottle")
    mottle = 0.14 * clouds(grain, size_px, 0.35) + 0.12 * clouds(grain, size_px, 0.9)
    return np.asarray(soft + mottle, np.float32)


def _bone_cm(scene: Scene, size_px: int) -> np.ndarray:
    """Sum layers of bone; whole hundredths of a cm keep eighteen full-size layers cheap."""
    total = np.zeros((size_px, size_px), np.int16)
    for water_cm, outlines in [*_ribs(scene), *_spine(scene), *_shoulders(scene)]:
        layer = cover(outlines, size_px, round(abs(100 * water_cm)))
        (cv2.add if water_cm > 0 else cv2.subtract)(total, layer, dst=total, dtype=cv2.CV_16S)
    bone = total.astype(np.float32) * np.float32(0.01 * scene.patient.anatomy.bone_density)
    return np.asarray(cv2.GaussianBlur(bone, (0, 0), 0.04 * size_px / FIELD_CM + 0.3))


Layer = tuple[float, list[np.ndarray]]
"""Water in cm (negative takes away) and the outlines it fills; within a layer, overlaps count once."""


def _ribs(scene: Scene) -> Iterator[Layer]:
    """Tubes with a dense rim; front arcs are thinner bone than back arcs, and both add up where they cross."""
    for arc, weight in ((0, 1.0), (1, 0.72)):
        outlines = [arcs[arc] for arcs in scene.ribs.values()]
        yield 1.15 * weight, outlines
        yield -0.42 * weight, [_narrowed(outline, 0.62) for outline in outlines]


def _spine(scene: Scene) -> Iterator[Layer]:
    patient, project = scene.patient, scene.project
    depth, behind = skeleton.VERTEBRA_DEPTH_CM, skeleton.VERTEBRA_DEPTH_CM - 2
    bodies = list(project(skeleton.vertebrae(patient), depth))
    yield 1.25, bodies
    yield -0.3, [_shrunken(outline, 0.86) for outline in bodies]
    yield 0.55, list(project(skeleton.pedicles(patient), behind))
    yield 0.8, list(project(skeleton.transverse_processes(patient), behind))
    yield 1.1, list(project(skeleton.spinous_processes(patient, np.arange(-1, 13)), skeleton.SPINOUS_DEPTH_CM))


def _shoulders(scene: Scene) -> Iterator[Layer]:
    patient, project = scene.patient, scene.project
    scapulae = [skeleton.scapula(patient, side) for side in (-1, 1)]
    blades, spines = ([project(outline, -6.0) for outline in pair] for pair in zip(*scapulae, strict=True))
    heads = [project(skeleton.humeral_head(patient, side)) for side in (-1, 1)]
    clavicles = [scene.clavicle(side) for side in (-1, 1)]
    yield 0.75, blades
    yield -0.4, [_shrunken(outline, 0.9) for outline in blades]
    yield 0.9, spines
    yield 1.5, heads
    yield -0.5, [_shrunken(outline, 0.85) for outline in heads]
    yield 1.7, clavicles
    yield -0.7, [_narrowed(outline, 0.6) for outline in clavicles]


def _narrowed(outline: np.ndarray, share: float) -> np.ndarray:
    """Return a band's outline with a share of its width."""
    half = len(outline) // 2
    one, other = outline[:half], outline[half:][::-1]
    middle = (one + other) / 2
    return np.concatenate([middle + share * (one - middle), (middle + share * (other - middle))[::-1]])


def _shrunken(outline: np.ndarray, share: float) -> np.ndarray:
    centre = outline.mean(axis=0)
    return np.asarray(centre + share * (outline - centre))


def _enlarged(image: np.ndarray, size_px: int) -> np.ndarray:
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_LINEAR))
