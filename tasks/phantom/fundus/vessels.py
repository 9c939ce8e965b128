"""The vessel trees of a retina: trunks from the disc along the arcades, branches by Murray's law.

Where a vessel of radius r0 gives off a branch r1 and goes on as r2, r0³ = r1³ + r2³, and the branch leaves at the angle
of least work (Murray, PNAS 1926; J Gen Physiol 1926). Coordinates are those of ``tasks.phantom.fundus.patient``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from tasks.phantom.fundus.patient import Retina

Kind = Literal["artery", "vein"]

STEP = 0.016
"""Distance between the points of a vessel."""

THINNEST = 0.0016
"""Radius below which a vessel is not drawn, about 10 µm."""

_REACH = 1.55
"""Distance from the fovea where vessels end; no photograph reaches farther."""
_AVASCULAR = 0.085
"""Radius of the fovea's avascular zone, with its unseen capillaries."""

_ARCADE = ((0.60, 0.30), (0.40, 0.50), (0.10, 0.60), (-0.30, 0.60), (-0.75, 0.52), (-1.3, 0.5))
_NASAL = ((0.80, 0.30), (0.98, 0.58), (1.16, 0.88), (1.4, 1.15))
_MACULAR = ((0.5, 0.10), (0.32, 0.15), (0.14, 0.13))
_MEDIAL = ((0.88, 0.07), (1.06, 0.12), (1.3, 0.2))
_Trunk = tuple[tuple[tuple[float, float], ...], int, Kind, float]
_KINDS: tuple[Kind, Kind] = ("vein", "artery")
_TRUNKS: tuple[_Trunk, ...] = tuple(
    (course, side, kind, size)
    for course, size in ((_ARCADE, 1.0), (_NASAL, 0.72), (_MACULAR, 0.36), (_MEDIAL, 0.4))
    for side in (-1, 1)
    for kind in _KINDS
)
"""Course below (1) or above (-1) the disc, as points after it; and radius, as a share of the largest."""

_SPACING = (0.17, 0.13, 0.12)
"""Mean distance between the branches of a trunk, of its branches, and of theirs."""
_SHARES = ((0.3, 0.72), (0.4, 0.75), (0.5, 0.85))
"""Least and largest radius of a branch, as a share of its parent's."""


@dataclass(frozen=True)
class Vessel:
    """One vessel from where it begins to where it ends or goes on unseen."""

    kind: Kind
    order: int
    """0 a trunk, 1 its branch, and so on."""
    points: np.ndarray
    """(N, 2)."""
    radii: np.ndarray
    """(N,)"""
    parent: int = -1
    """Number of the vessel it leaves, -1 for a trunk."""
    fork: int = 0
    """Which of the parent's points it leaves."""


def grow(retina: Retina, shared: np.random.Generator, own: np.random.Generator) -> tuple[Vessel, ...]:
    """Grow the arteries and veins of one eye, parents before their branches.

    Args:
        retina: disc, calibre and the arteries' share of it.
        shared: what both eyes of a person have in common, the course of their trunks.
        own: what is this eye's.
    """
    vessels = [_trunk(retina, trunk, shared, own) for trunk in _TRUNKS]
    first = 0
    for order, spacing in enumerate(_SPACING):
        parents = range(first, len(vessels))
        first = len(vessels)
        for number in parents:
            vessels[number], buds = _bud(retina, vessels[number], number, order, spacing, own)
            vessels += buds
        vessels[first:] = _extend(vessels[first:], own)
    return tuple(vessels)


def branching_angle(before: float, branch: float, after: float) -> float:
    """Return the angle in radians between a vessel and its branch that costs least work."""
    return math.acos((before**4 + branch**4 - after**4) / (2 * before**2 * branch**2))


def _trunk(retina: Retina, trunk: _Trunk, shared: np.random.Generator, own: np.random.Generator) -> Vessel:
    course, side, kind, size = trunk
    wide = size * (retina.artery_to_vein if kind == "artery" else 1.0)
    after = np.array([(x, side * y) for x, y in course])
    after += retina.disc - np.array([0.69, -0.055])
    jitter = 0.035 * shared.normal(size=after.shape) + 0.02 * own.normal(size=after.shape)
    after += jitter * np.linspace(0.3, 1.3, len(after))[:, None]
    if kind == "artery":
        after *= 1 + own.choice((-1, 1)) * own.uniform(0.05, 0.13)
    disc = np.array(retina.disc)
    start = np.add(disc, (0.02 + 0.01 * own.normal(), side * 0.012))
    rim = disc + 0.7 * retina.disc_radius * _unit(after[0] - retina.disc) * (0.5, 1.0)
    line = _wound(_curve(np.vstack([start, rim, after])), own)
    line = line[np.hypot(*line.T) < _REACH]
    return Vessel(kind, 0, line, np.full(len(line), wide * retina.calibre * float(np.exp(own.normal(0, 0.06)))))


def _curve(through: np.ndarray) -> np.ndarray:
    """Return a Catmull-Rom curve through points (N, 2) with points about `STEP` apart."""
    padded = np.vstack([2 * through[0] - through[1], through, 2 * through[-1] - through[-2]])
    t = np.linspace(0, 1, 24, endpoint=False)[:, None]
    a, b, c, d = (padded[k : len(padded) - 3 + k, None] for k in range(4))
    dense = (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
    dense = dense.reshape(-1, 2)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(dense, axis=0).T))])
    places = np.arange(0, along[-1], STEP)
    return np.stack([np.interp(places, along, dense[:, axis]) for axis in (0, 1)], axis=1)


def _wound(line: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Bend a line to either side by smooth random waves."""
    along = np.arange(len(line)) * STEP
    waves = rng.uniform(4, 26, 4)
    sideways = sum(
        0.055 / w * np.sin(w * along + phase) for w, phase in zip(waves, rng.uniform(0, 6.28, 4), strict=True)
    )
    tangent = np.gradient(line, axis=0) / STEP
    return np.asarray(
        line + np.stack([-tangent[:, 1], tangent[:, 0]], 1) * (sideways * np.minimum(1, along / 0.3))[:, None]
    )


def _bud(
    retina: Retina, parent: Vessel, number: int, order: int, spacing: float, rng: np.random.Generator
) -> tuple[Vessel, list[Vessel]]:
    """Place the first two points of branches along a vessel, which gets thinner at each by Murray's law."""
    radii, points, buds = parent.radii.copy(), parent.points, list[Vessel]()
    draws = rng.random((2 + int(2 * len(points) * STEP / spacing), 4))
    place, side = spacing * (0.3 + 0.7 * draws[0, 0]), 1 if draws[0, 1] < 0.5 else -1
    least, most = _SHARES[order]
    for gap, turn, size, angle in draws[1:].tolist():
        at = round(place / STEP)
        if at >= len(points) - 1:
            break
        place += spacing * (0.5 + gap)
        side = -side if turn < 0.75 else side
        before = float(radii[at])
        branch = before * (least + (most - least) * size)
        if at < 1 or branch < THINNEST or math.dist(points[at], retina.disc) < 1.15 * retina.disc_radius:
            continue
        after = (before**3 - branch**3) ** (1 / 3)
        radii[at:] *= after / before
        x, y = (points[at] - points[at - 1]).tolist()
        heading = math.atan2(y, x) + side * branching_angle(before, branch, after) * (0.8 + 0.3 * angle)
        first = points[at] + np.array([(0, 0), (STEP * math.cos(heading), STEP * math.sin(heading))])
        buds.append(Vessel(parent.kind, order + 1, first, np.full(2, branch), number, at))
    return replace(parent, radii=radii), buds


def _extend(buds: list[Vessel], rng: np.random.Generator) -> list[Vessel]:
    """Extend branches, all at once: they turn to the fovea inside the arcades and away from the disc outside."""
    if not buds:
        return []
    at = np.array([bud.points[1] for bud in buds])
    heading = np.array([np.arctan2(*(bud.points[1] - bud.points[0])[::-1]) for bud in buds])
    radius = np.array([bud.radii[0] for bud in buds])
    steps = np.clip((radius * rng.uniform(60, 150, len(buds)) / STEP).astype(int), 4, 62)
    inward = np.cos(_towards(-at) - heading) > 0.1
    waves, phases = rng.uniform(8, 40, (2, len(buds))), rng.uniform(0, 6.28, (2, len(buds)))
    path = [at]
    for step in range(int(steps.max())):
        target = np.where(inward & (np.hypot(*at.T) < 0.75), _towards(-at), _towards(at - (0.45, 0.0)))
        winding = (np.sin(waves * (step * STEP) + phases) * 3.2).sum(axis=0)
        heading = heading + STEP * (winding + 2.2 * np.sin(target - heading))
        at = at + STEP * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path.append(at)
    return [
        _grown(bud, line[: steps[k]]) for k, (bud, line) in enumerate(zip(buds, np.stack(path, axis=1), strict=True))
    ]


def _grown(bud: Vessel, path: np.ndarray) -> Vessel:
    """End a branch at the avascular zone or far out; it thins as twigs too fine to draw leave it."""
    distance = np.square(path).sum(axis=1)
    ends = np.flatnonzero((distance < _AVASCULAR**2) | (distance > _REACH**2))
    points = np.concatenate([bud.points[:1], path[: max(1, ends[0])] if len(ends) else path])
    radii = bud.radii[0] * np.cbrt(1 - 0.85 / (len(points) - 1) * np.arange(len(points)))
    return replace(bud, points=points, radii=radii)


def _towards(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(np.arctan2(vectors[:, 1], vectors[:, 0]))


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.hypot(*vector))
