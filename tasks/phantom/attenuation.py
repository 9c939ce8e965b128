"""How much water (cm) each ray passes: soft tissue on a coarse grid, bones and vessels on the fine one.

Bone is counted as the water that attenuates as much. Everything adds up along the ray, as in a projection:
borders vanish where nothing with another density lies behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce

import cv2
import numpy as np

from tasks.phantom import organs, skeleton
from tasks.phantom.canvas import FIELD_CM, Projection, band, clouds, cover, fill, inflate, stroke
from tasks.phantom.lesions import Effect, Ground, effect
from tasks.phantom.patient import Patient
from tasks.phantom.skeleton import SIDES

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
    """What the rays pass, and the effects of the lesions on the coarse grid."""

    total_cm: np.ndarray
    """(S, S) float32."""
    effects: tuple[Effect, ...]


def water(scene: Scene, size_px: int) -> Water:
    """Sum up what every ray passes.

    Args:
        scene: the patient.
        size_px: side of the fine grid; soft tissue is summed at half of it and interpolated.
    """
    coarse_px = size_px // 2
    spaces = {side: fill([outline], coarse_px) for side, outline in scene.spaces.items()}
    ground = Ground(scene.patient, scene.project, coarse_px, spaces)
    effects = tuple(effect(ground, lesion) for lesion in scene.patient.lesions)
    air = _air_cm(scene, spaces)
    soft = _tissue_cm(scene, coarse_px) - air * (1 - _filling(effects, air))
    for each in effects:
        soft += 0.0 if each.water_cm is None else each.water_cm
    strands = _strands_cm(scene, size_px) * _enlarged(_vessel_weight(effects, air), size_px)
    return Water(_enlarged(soft, size_px) + strands + _bone_cm(scene, size_px), effects)


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
    soft -= _airways_cm(scene, size_px)
    grain = patient.person_generator("tissue")
    soft += np.float32(0.18) * clouds(grain, size_px, 2.5) * (soft > 2)
    return np.asarray(np.maximum(soft, 0), np.float32)


def _airways_cm(scene: Scene, size_px: int) -> np.ndarray:
    air = np.zeros((size_px, size_px), np.float32)
    windpipe, *bronchi = (scene.project(line) for line in organs.trachea(scene.patient))
    stroke(air, bronchi, 1.0, 0.9)
    stroke(air, [windpipe], 1.7 * scene.patient.film.scale, 1.7)
    return np.asarray(cv2.GaussianBlur(air, (0, 0), 0.25 * size_px / FIELD_CM))


def _air_cm(scene: Scene, spaces: dict[int, np.ndarray]) -> np.ndarray:
    """Air in the lungs: their depth, less heart, great vessels and hila, plus the recess behind the domes."""
    patient, size_px = scene.patient, spaces[1].shape[0]
    depth = 1.5 * patient.anatomy.half_depth_cm * _AERATION * (1 + 0.06 * patient.film.inspiration)
    lungs = sum((inflate(space, 4.0) for space in spaces.values()), np.zeros((size_px, size_px), np.float32))
    middle = inflate(fill([scene.mediastinum], size_px), 1.6)
    lungs *= (1 - 0.94 * middle) * (1 - 0.78 * inflate(fill([scene.heart], size_px), 3.2))
    behind = [fill([scene.project(organs.recess(patient, side), -5.0)], size_px) for side in (-1, 1)]
    low = sum(
        (inflate(mask, 5.0) * (1 - spaces[side]) for mask, side in zip(behind, (-1, 1), strict=True)),
        np.zeros_like(lungs),
    )
    return np.asarray(depth * (lungs + 0.13 * low * (1 - middle)), np.float32)


def _strands_cm(scene: Scene, size_px: int) -> np.ndarray:
    """Vessels, and the fine mottle of all that is too small to draw."""
    patient = scene.patient
    tree = np.zeros((size_px, size_px), np.float32)
    for side in (-1, 1):
        for lines, width in organs.vessels(patient, side):
            flat = scene.project(lines.reshape(-1, 2)).reshape(lines.shape)
            stroke(tree, flat, width * patient.film.scale, 1.1 * width)
    tree = cv2.GaussianBlur(tree, (0, 0), 0.035 * size_px / FIELD_CM + 0.4)
    grain = patient.person_generator("mottle")
    mottle = 0.14 * clouds(grain, size_px, 0.35) + 0.12 * clouds(grain, size_px, 0.9)
    return np.asarray(tree + mottle, np.float32)


def _bone_cm(scene: Scene, size_px: int) -> np.ndarray:
    bone = _ribs_cm(scene, size_px) + _spine_cm(scene, size_px) + _shoulders_cm(scene, size_px)
    bone *= np.float32(scene.patient.anatomy.bone_density)
    return np.asarray(cv2.GaussianBlur(bone, (0, 0), 0.04 * size_px / FIELD_CM + 0.3))


def _ribs_cm(scene: Scene, size_px: int) -> np.ndarray:
    """Tubes with a dense rim; front arcs are thinner bone than back arcs, and both add up where they cross."""
    bone = np.zeros((size_px, size_px), np.float32)
    for arc, weight in ((0, 1.0), (1, 0.72)):
        outlines = [arcs[arc] for arcs in scene.ribs.values()]
        inner = [_narrowed(outline, 0.62) for outline in outlines]
        bone += np.float32(weight) * (1.15 * cover(outlines, size_px) - 0.42 * cover(inner, size_px))
    return bone


def _spine_cm(scene: Scene, size_px: int) -> np.ndarray:
    patient, project = scene.patient, scene.project
    depth = skeleton.VERTEBRA_DEPTH_CM
    bodies = [project(outline, depth) for outline in skeleton.vertebrae(patient)]
    discless = [_shrunken(outline, 0.86) for outline in bodies]
    bone = 2.3 * cover(bodies, size_px) - 0.6 * cover(discless, size_px)
    bone += 0.7 * cover([project(outline, depth - 2) for outline in skeleton.pedicles(patient)], size_px)
    bone += 0.8 * cover([project(outline, depth - 2) for outline in skeleton.transverse_processes(patient)], size_px)
    tips = [project(skeleton.spinous_process(patient, k), skeleton.SPINOUS_DEPTH_CM) for k in range(-1, 13)]
    return np.asarray(bone + 1.1 * cover(tips, size_px))


def _shoulders_cm(scene: Scene, size_px: int) -> np.ndarray:
    patient, project = scene.patient, scene.project
    bone = np.zeros((size_px, size_px), np.float32)
    for side in (-1, 1):
        blade, spine = (project(outline, -6.0) for outline in skeleton.scapula(patient, side))
        clavicle, head = scene.clavicle(side), project(skeleton.humeral_head(patient, side))
        bone += 0.75 * cover([blade], size_px) - 0.4 * cover([_shrunken(blade, 0.9)], size_px)
        bone += 0.9 * cover([spine], size_px)
        bone += 1.5 * cover([head], size_px) - 0.5 * cover([_shrunken(head, 0.85)], size_px)
        bone += 1.7 * cover([clavicle], size_px) - 0.7 * cover([_narrowed(clavicle, 0.6)], size_px)
    return bone


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
