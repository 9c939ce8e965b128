"""Diabetic retinopathy as it is painted: blood, exudates, cotton wool and new vessels, each with its extent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from tasks.phantom.fundus.patient import LESIONS, Eye, Lesion

if TYPE_CHECKING:
    from tasks.phantom.fundus.view import View

_EXUDATE, _COTTON = np.array([1.0, 0.86, 0.42], np.float32), np.array([0.96, 0.84, 0.66], np.float32)
_BITS = 4


@dataclass(frozen=True)
class Painting:
    """All lesions of an eye in one picture."""

    blood: np.ndarray
    """(S, S) float32 in [0, 1]: how much of a large vein's blood lies there."""
    exudate: np.ndarray
    cotton: np.ndarray
    """(S, S) float32 in [0, 1]: how much they cover."""
    masks: dict[str, np.ndarray]
    """Kind to the extent of all lesions of it, (S, S) bool."""

    def cover(self, light: np.ndarray) -> None:
        """Lay cotton wool and exudates over a picture (S, S, 3) float32."""
        for layer, colour in ((self.cotton, _COTTON), (self.exudate, _EXUDATE)):
            x, y, width, height = cv2.boundingRect((layer > 0.004).astype(np.uint8))
            part = (slice(y, y + height), slice(x, x + width))
            light[part] += layer[part][..., None] * (colour - light[part])


def paint(eye: Eye, view: View) -> Painting:
    """Paint the lesions of an eye as a photograph shows them."""
    layers = {kind: np.zeros((view.size_px, view.size_px), np.uint8) for kind in LESIONS}
    for lesion in eye.lesions:
        for outline in _outlines(lesion, eye):
            _draw(layers[lesion.kind], view(outline), closed=lesion.kind != "neovascular tuft")
    dark = cv2.max(layers["microaneurysm"], cv2.max(layers["haemorrhage"], layers["neovascular tuft"]))
    return Painting(
        blood=_blurred(dark, 0.7),
        exudate=_blurred(layers["hard exudate"], 0.7),
        cotton=_blurred(layers["cotton-wool spot"], max(0.7, 0.012 * view.scale)) * np.float32(0.85),
        masks={kind: layer > 127 for kind, layer in layers.items()},
    )


def _outlines(lesion: Lesion, eye: Eye) -> list[np.ndarray]:
    """Return the outlines of one lesion, or the lines of a tuft, in coordinates of the retina."""
    rng, centre = eye.generator("lesion", lesion.shape), np.array([lesion.x, lesion.y])
    if lesion.kind == "hard exudate":
        return [_blot(rng, place, rng.uniform(0.004, 0.013), 0.25) for place in _ring(rng, centre, lesion.radius)]
    if lesion.kind == "neovascular tuft":
        return [_tendril(rng, centre, lesion.radius) for _ in range(int(rng.integers(9, 16)))]
    if lesion.kind == "haemorrhage" and rng.random() < 0.4:
        return [_flame(rng, centre, lesion.radius, eye.retina.disc)]
    return [_blot(rng, centre, lesion.radius, 0.05 if lesion.kind == "microaneurysm" else 0.3)]


def _blot(rng: np.random.Generator, centre: np.ndarray, radius: float, rough: float) -> np.ndarray:
    """Return a round outline (32, 2), rougher with more waves."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    waves = sum(rough / k * rng.normal() * np.sin(k * angles + rng.uniform(0, 6.28)) for k in (2, 3, 4, 5))
    return np.asarray(
        centre + np.stack([np.cos(angles), np.sin(angles)], 1) * (radius * np.clip(1 + waves, 0.4, 1.7))[:, None]
    )


def _flame(rng: np.random.Generator, centre: np.ndarray, radius: float, disc: tuple[float, float]) -> np.ndarray:
    """Return an outline drawn out along the nerve fibres, which run from the disc."""
    along = centre - disc
    along = along / np.hypot(*along)
    blot = _blot(rng, np.zeros(2), radius, 0.35) * (1.9, 0.5)
    return np.asarray(centre + blot @ np.array([along, (-along[1], along[0])]))


def _ring(rng: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    """Return places on an arc, as exudates lie around what leaks."""
    count = int(rng.integers(6, 24))
    angles = rng.uniform(0, 6.28) + rng.uniform(0, rng.uniform(1.5, 6.0), count)
    return np.asarray(
        centre + np.stack([np.cos(angles), np.sin(angles)], 1) * (radius * rng.uniform(0.6, 1.1, count))[:, None]
    )


def _tendril(rng: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    """Return one new vessel, an open winding line (30, 2) that turns back on itself."""
    heading = rng.uniform(0, 6.28) + np.cumsum(rng.normal(0, 0.22, 30) + rng.normal(0, 0.12))
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * (radius / 14)
    return np.asarray(centre + np.cumsum(steps, axis=0))


def _draw(layer: np.ndarray, points: np.ndarray, *, closed: bool) -> None:
    fixed = [np.round(points * (1 << _BITS)).astype(np.int32)]
    if closed:
        cv2.fillPoly(layer, fixed, 255, cv2.LINE_AA, _BITS)
    else:
        cv2.polylines(layer, fixed, False, 255, max(1, round(layer.shape[0] / 500)), cv2.LINE_AA, _BITS)


def _blurred(layer: np.ndarray, sigma_px: float) -> np.ndarray:
    if not layer.any():
        return np.zeros(layer.shape, np.float32)
    return np.asarray(cv2.GaussianBlur(layer, (0, 0), sigma_px), np.float32) / np.float32(255)
