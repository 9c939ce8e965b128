"""Project points of a retina onto a photograph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tasks.phantom.fundus.patient import Eye


@dataclass(frozen=True)
class View:
    """Projection of retinal points onto a square picture whose inscribed circle is the field of view."""

    eye: Eye
    size_px: int

    def __call__(self, points: np.ndarray | tuple[float, float]) -> np.ndarray:
        """Return pixel coordinates (..., 2) of retinal points (..., 2); the first pixel's centre is (0, 0)."""
        return (
            np.asarray((np.asarray(points, float) - self.eye.photograph.shift) @ self._turn) * self.scale + self._middle
        )

    def retina(self, step: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
        """Return the retinal point under every step-th pixel of a box (top, bottom, left, right), (2, H, W) float32."""
        top, bottom, left, right = box or (0, self.size_px, 0, self.size_px)
        columns, rows = (np.arange(first + (step - 1) / 2, end, step) for first, end in ((left, right), (top, bottom)))
        grid = np.stack(np.meshgrid(columns, rows)) - self._middle
        places = np.einsum("cij,cd->dij", grid / self.scale, self._turn.T)
        return (places + np.array(self.eye.photograph.shift)[:, None, None]).astype(np.float32)

    @property
    def scale(self) -> float:
        """Pixels per unit of the retina."""
        return self.size_px / 2 / self.eye.photograph.field_radius

    @property
    def _middle(self) -> float:
        return (self.size_px - 1) / 2

    @cached_property
    def _turn(self) -> np.ndarray:
        angle = np.deg2rad(self.eye.photograph.roll_deg)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        return np.asarray(turn * (self.eye.mirror, 1))
