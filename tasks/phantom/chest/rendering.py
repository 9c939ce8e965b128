"""Render a patient's film and its ground truth.

Attenuation follows Beer and Lambert; scattered light and a sigmoid film response come after, then grain. The
exposure is set from the healthy anatomy, so a lesion changes the image where it lies and nearly nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from tasks.phantom.chest import organs, skeleton
from tasks.phantom.chest.attenuation import Scene, water
from tasks.phantom.chest.canvas import FIELD_CM, fill, stroke, to_px
from tasks.phantom.chest.patient import BOXED, Patient
from tasks.phantom.chest.skeleton import SIDES

LANDMARKS = (
    "right clavicle",
    "azygos arch",
    "rib 6",
    "spinous process",
    "left clavicle",
    "pulmonary artery",
    "rib 5",
    "right diaphragm",
    "left diaphragm",
    "end of thoracic spine",
)
"""The ten landmarks of the paper's Fig. 4, in its order; rib 6 is a right one, rib 5 a left one."""

ORGANS = ("heart", "left lung", "right lung", "left clavicle", "right clavicle")
RIBS = tuple(f"{letter}{number}" for letter in SIDES for number in range(1, skeleton.RIBS + 1))
STRUCTURES = ORGANS + RIBS

_RENDER_PX = 1024
"""Anatomy is projected at this size at most; larger films are enlarged and get their own grain."""
_WATER_PER_CM = 0.19
"""Attenuation of water at about 70 keV."""


class LesionBox(NamedTuple):
    """A lesion's box in pixels of the rendering."""

    kind: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Rendering:
    """One film with its ground truth. Masks are rendered lazily, at any size."""

    patient: Patient
    brightness: np.ndarray
    """(H, W) float32 in [0, 1]: air dark, bone bright, before rounding to a file's bit depth."""
    landmarks: dict[str, tuple[float, float]]
    """Name to (x, y) in pixels."""
    boxes: tuple[LesionBox, ...]
    """One for each lesion of the eight kinds that ChestX-ray14 boxes, where it is on the film."""
    lesion_masks: tuple[tuple[str, np.ndarray], ...]
    """Kind and (H, W) bool mask of each lesion."""
    scene: Scene = field(repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """The findings, in the order of ``KINDS``."""
        return self.patient.labels

    @property
    def image(self) -> np.ndarray:
        """The film as (H, W) uint8."""
        return np.asarray(np.round(self.brightness * 255), np.uint8)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """Every structure's mask, (H, W) bool, at the film's size."""
        return {name: self.mask(name) for name in STRUCTURES}

    def mask(self, name: str, size_px: int | None = None) -> np.ndarray:
        """Return one structure's mask, (size, size) bool.

        Args:
            name: one of ``STRUCTURES``.
            size_px: side of the mask; the film's own by default.

        Raises:
            ValueError: there is no such structure.
        """
        size = size_px or self.brightness.shape[0]
        if name in RIBS:
            return fill(self.scene.ribs[name], size) > 0
        if name not in ORGANS:
            raise ValueError(f"name must be among {', '.join(STRUCTURES)}, not {name!r}")
        if name == "heart":
            return fill([self.scene.heart], size) > 0
        side = 1 if name.startswith("left") else -1
        if name.endswith("clavicle"):
            return fill([self.scene.clavicle_on_cage(side)], size) > 0
        covered = fill([self.scene.heart, self.scene.mediastinum], size)
        return (fill([self.scene.spaces[side]], size) > 0) & (covered == 0)


def render(patient: Patient, size_px: int = _RENDER_PX) -> Rendering:
    """Project a patient onto a film.

    Args:
        patient: whom.
        size_px: side of the film; at least 64 and even.

    Raises:
        ValueError: size_px is odd or too small.
    """
    if size_px < 64 or size_px % 2:
        raise ValueError(f"size_px must be even and at least 64, not {size_px}")
    scene = Scene(patient)
    work_px = min(size_px, _RENDER_PX)
    passed = water(scene, work_px)
    light = _develop(patient, passed.total_cm)
    _add_objects(scene, light)
    extents = tuple(
        (lesion.kind, _enlarged_mask(each.extent, size_px))
        for lesion, each in zip(patient.lesions, passed.effects, strict=True)
    )
    return Rendering(
        patient=patient,
        brightness=_add_grain(patient, light, size_px),
        landmarks={name: _point(xy, size_px) for name, xy in _landmarks(scene).items()},
        boxes=_boxes(extents),
        lesion_masks=extents,
        scene=scene,
    )


def landmarks(patient: Patient, size_px: int) -> dict[str, tuple[float, float]]:
    """Return the landmarks of a patient's film in pixels, as a rendering has them, without rendering it."""
    return {name: _point(xy, size_px) for name, xy in _landmarks(Scene(patient)).items()}


def _develop(patient: Patient, water_cm: np.ndarray) -> np.ndarray:
    """Convert water to brightness: primary light, scatter, and the film's sigmoid."""
    film = patient.film
    primary = np.exp(np.float32(-_WATER_PER_CM) * water_cm)
    small = cv2.resize(np.minimum(primary, 0.4), (64, 64), interpolation=cv2.INTER_AREA)
    scatter = cv2.GaussianBlur(small, (0, 0), 64 * 3.0 / FIELD_CM)
    light = primary + np.float32(film.haze) * cv2.resize(scatter, primary.shape, interpolation=cv2.INTER_LINEAR)
    light = cv2.GaussianBlur(light, (0, 0), max(film.blur_px * water_cm.shape[0] / _RENDER_PX, 0.3))
    gain = 1.5 * film.contrast
    relative = cv2.pow(light * np.float32(np.exp(-_middle_exposure(patient))), gain)
    bright = 1 / (1 + relative)
    return _equalised(bright, film.equalise)


def _middle_exposure(patient: Patient) -> float:
    """Return the log exposure that comes out mid-grey: between lungs and mediastinum of this body."""
    anatomy, film = patient.anatomy, patient.film
    body = 2 * anatomy.half_depth_cm + 2.5 + 2.0 * anatomy.habitus
    lungs = _WATER_PER_CM * (body - 1.1 * anatomy.half_depth_cm)
    return -lungs - 0.30 + np.log1p(0.8 * film.haze) + film.exposure


def _equalised(bright: np.ndarray, share: float) -> np.ndarray:
    if not share:
        return bright
    small = cv2.resize(bright, (64, 64), interpolation=cv2.INTER_AREA)
    slow = cv2.GaussianBlur(small, (0, 0), 64 * 4.5 / FIELD_CM)
    lifted = bright - np.float32(0.6 * share) * (cv2.resize(slow, bright.shape) - 0.5)
    return np.asarray(np.clip(lifted, 0, 1))


def _add_objects(scene: Scene, bright: np.ndarray) -> None:
    """Draw what is not anatomy onto the film: a side marker, a line, black borders."""
    film, size_px = scene.patient.film, bright.shape[0]
    if film.lead:
        t = np.linspace(0, 1, 30)
        path = np.stack([-2.3 - 6.5 * (1 - t) ** 3, -18 + 19 * t], axis=1)
        line = np.zeros_like(bright)
        stroke(line, [scene.project(path, 2.0)], 0.22, 0.12)
        np.minimum(bright + cv2.GaussianBlur(line, (0, 0), 0.8), 1, out=bright)
    if film.marker:
        x, y = 30.5 + film.shift_cm[0], 2.2 + 0.5 * film.roll_deg / 3
        stroke(bright, [np.array([(x, y), (x, y + 1.4), (x + 0.8, y + 1.4)])], 0.22, 0.97)
    left, right = (round(width * size_px / FIELD_CM) for width in film.collimation_cm)
    bright[:, :left] = 0
    bright[:, size_px - right :] = 0


def _add_grain(patient: Patient, bright: np.ndarray, size_px: int) -> np.ndarray:
    """Enlarge to the final size and add grain; it is strongest in the dense, but not in the blank, parts."""
    if bright.shape[0] != size_px:
        bright = cv2.resize(bright, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    grain = _noise(patient.film_generator("grain", size_px), size_px)
    grain *= np.float32(0.12) + bright
    grain *= np.float32(1.02) - bright
    grain = cv2.scaleAdd(grain, 8 * patient.film.noise, bright)
    return np.asarray(np.clip(grain, 0, 1, out=grain))


def _noise(rng: np.random.Generator, size_px: int) -> np.ndarray:
    """Return (S, S) float32 of mean 0 and s.d. 1: sums of two bytes, which cost a tenth of normal deviates."""
    words = np.asarray(rng.bit_generator.random_raw(size_px * size_px // 4))
    planes = words.view(np.uint8).reshape(2, size_px, size_px)
    total = cv2.add(planes[0], planes[1], dtype=cv2.CV_32F)
    total -= np.float32(255)
    total *= np.float32(1 / 104.5)
    return np.asarray(total)


def _landmarks(scene: Scene) -> dict[str, np.ndarray]:
    """Return the landmarks in film coordinates, in the order of ``LANDMARKS``."""
    patient, project = scene.patient, scene.project
    clavicles = {side: skeleton.clavicle_on_cage(patient, side)[0] for side in (-1, 1)}
    end_y = skeleton.vertebra_y(patient, 12) + 0.5 * patient.anatomy.vertebra_pitch_cm
    dome = {side: (side * organs.dome_x(patient), organs.dome_y(patient, side)) for side in (-1, 1)}
    tip = skeleton.spinous_processes(patient, np.array([3]))[0].mean(axis=0)
    places = (
        project(_middle(clavicles[-1])),
        project(organs.azygos_arch(patient)),
        project(skeleton.rib(patient, -1, 6)[9]),
        project(tip, skeleton.SPINOUS_DEPTH_CM),
        project(_middle(clavicles[1])),
        project(organs.pulmonary_artery(patient)),
        project(skeleton.rib(patient, 1, 5)[9]),
        project(dome[-1]),
        project(dome[1]),
        project((float(skeleton.spine_x(patient, end_y)), end_y), skeleton.VERTEBRA_DEPTH_CM),
    )
    return dict(zip(LANDMARKS, places, strict=True))


def _middle(line: np.ndarray) -> np.ndarray:
    return line[len(line) // 2]


def _point(xy_cm: np.ndarray, size_px: int) -> tuple[float, float]:
    x, y = to_px(xy_cm, size_px)
    return float(x), float(y)


def _boxes(extents: tuple[tuple[str, np.ndarray], ...]) -> tuple[LesionBox, ...]:
    boxes = []
    for kind, mask in extents:
        if kind in BOXED and mask.any():
            x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
            boxes.append(LesionBox(kind, float(x), float(y), float(width), float(height)))
    return tuple(boxes)


def _enlarged_mask(mask: np.ndarray, size_px: int) -> np.ndarray:
    return np.asarray(cv2.resize(mask.astype(np.uint8), (size_px, size_px), interpolation=cv2.INTER_NEAREST) > 0)
