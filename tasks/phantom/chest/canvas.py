"""Project points of the body onto the film, and fill outlines on a pixel grid.

The body's axes, in cm: x to the patient's left (right in the image), y down, z to the front; the origin lies
in the middle of the chest. The film is a square of ``FIELD_CM``; film coordinates are cm from its upper left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from tasks.phantom.chest.patient import Film

FIELD_CM = 35.6
"""Side of a 14-inch film."""

_FRACTION_BITS = 5


@dataclass(frozen=True)
class Projection:
    """Parallel projection of body points onto the film."""

    film: Film

    def __call__(self, points: npt.ArrayLike, depth_cm: float = 0.0) -> np.ndarray:
        """Return film coordinates (..., 2) in cm of body points (..., 2) at one depth, or (..., 3)."""
        body = np.asarray(points, float)
        if body.shape[-1] == 3:
            return np.asarray(body @ self._axes + self._origin)
        return np.asarray(body @ self._axes[:2] + (self._origin + depth_cm * self._axes[2]))

    @cached_property
    def _axes(self) -> np.ndarray:
        """Return the film displacement of one cm along x, y and z, (3, 2)."""
        turn, tilt, roll = np.deg2rad([self.film.turn_deg, self.film.tilt_deg, self.film.roll_deg])
        upright = np.array([[np.cos(turn), 0], [0, 1], [np.sin(turn), np.tan(tilt)]])
        rolled = np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
        return np.asarray(self.film.scale * upright @ rolled)

    @cached_property
    def _origin(self) -> np.ndarray:
        return np.asarray(self.film.shift_cm) + FIELD_CM / 2


def to_px(points_cm: np.ndarray, size_px: int) -> np.ndarray:
    """Return pixel coordinates of film coordinates; the centre of the first pixel is (0, 0)."""
    return np.asarray(points_cm * (size_px / FIELD_CM) - 0.5)


def fill(outlines: Iterable[np.ndarray], size_px: int) -> np.ndarray:
    """Return the union of closed outlines (each (N, 2), film cm) as (size, size) uint8 in {0, 1}."""
    mask = np.zeros((size_px, size_px), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [_fixed(outline, size_px)], 1, cv2.LINE_8, _FRACTION_BITS)
    return mask


def cover(outlines: Iterable[np.ndarray], size_px: int, value: int) -> np.ndarray:
    """Return the union of closed outlines with soft edges, as (size, size) uint8 from 0 to value."""
    mask = np.zeros((size_px, size_px), np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [_fixed(outline, size_px)], value, cv2.LINE_AA, _FRACTION_BITS)
    return mask


def inflate(mask: np.ndarray, rim_cm: float) -> np.ndarray:
    """Return the relative thickness of a rounded body over a mask: 0 at its border, 1 from rim_cm inwards.

    Args:
        mask: (H, W) uint8 in {0, 1}.
        rim_cm: radius of the rounding; the profile is a quarter circle.

    Returns:
        (H, W) float32 in [0, 1].
    """
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    inside = np.minimum(distance * np.float32(FIELD_CM / mask.shape[1] / rim_cm), np.float32(1))
    return np.asarray(np.sqrt(inside * (2 - inside)))


def stroke(image: np.ndarray, lines: list[np.ndarray] | np.ndarray, width_cm: float, value: float) -> None:
    """Draw open lines onto a float32 image; too thin ones are drawn fainter instead.

    Args:
        image: (S, S) float32, changed in place.
        lines: each (N, 2), film cm; or one array (K, N, 2).
        width_cm: their width.
        value: what is written (not added) along them.
    """
    width_px = width_cm * image.shape[1] / FIELD_CM
    drawn_px = max(1, round(width_px))
    points = (
        [_fixed(line, image.shape[1]) for line in lines]
        if isinstance(lines, list)
        else [*_fixed(lines, image.shape[1])]
    )
    cv2.polylines(image, points, False, value * min(1.0, width_px / drawn_px), drawn_px, cv2.LINE_8, _FRACTION_BITS)


def band(line: np.ndarray, widths_cm: np.ndarray) -> np.ndarray:
    """Return the outlines (..., 2N, 2) of bands around lines (..., N, 2) with a width at each point."""
    along = np.empty_like(line, dtype=float)
    along[..., 1:-1, :] = line[..., 2:, :] - line[..., :-2, :]
    along[..., 0, :] = line[..., 1, :] - line[..., 0, :]
    along[..., -1, :] = line[..., -1, :] - line[..., -2, :]
    half = np.asarray(widths_cm) / np.maximum(np.hypot(along[..., 0], along[..., 1]), 1e-9) / 2
    across = np.stack([-along[..., 1] * half, along[..., 0] * half], axis=-1)
    return np.concatenate([line + across, (line - across)[..., ::-1, :]], axis=-2)


def smooth_closed(points: np.ndarray, per_segment: int = 8) -> np.ndarray:
    """Return closed Catmull-Rom curves through points (..., N, 2), as (..., N · per_segment, 2)."""
    points = np.asarray(points, float)
    count = points.shape[-2]
    near = (np.arange(count)[:, None] + np.arange(-1, 3)) % count
    t = np.linspace(0, 1, per_segment, endpoint=False)
    weights = np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2]) / 2
    curve = np.einsum("ks,...nkc->...nsc", weights, points[..., near, :])
    return np.asarray(curve.reshape(*points.shape[:-2], count * per_segment, 2))


_ANGLES = np.linspace(0, 2 * np.pi, 48, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


def ellipse(centre: tuple[float, float] | np.ndarray, radii: tuple[float, float], angle_deg: float = 0.0) -> np.ndarray:
    """Return ellipses around centres (..., 2) as outlines (..., 48, 2)."""
    angle = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return np.asarray((_CIRCLE * radii) @ turn + np.asarray(centre)[..., None, :])


def clouds(rng: np.random.Generator, size_px: int, grain_cm: float) -> np.ndarray:
    """Return smooth noise (size, size) float32, mean 0, s.d. about 1, with grains of a given size."""
    cells = max(4, round(FIELD_CM / grain_cm))
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size_px, size_px), interpolation=cv2.INTER_CUBIC)) * np.float32(1.3)


def _fixed(points_cm: np.ndarray, size_px: int) -> np.ndarray:
    scaled = to_px(np.asarray(points_cm), size_px) * (1 << _FRACTION_BITS)
    return np.round(scaled).astype(np.int32)
