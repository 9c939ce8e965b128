"""The body of one synthetic person: what stays the same from film to film, and how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Anatomy that all films of a person share. Lengths in cm on a standard body, angles in degrees."""

    sex: Literal["F", "M"]
    age: int
    habitus: float
    """Fat and muscle: -1 slim, 0 average, 1.5 heavy."""
    half_width_cm: float
    half_depth_cm: float
    vertebra_pitch_cm: float
    rib_slope: float
    rib_width_cm: float
    bone_density: float
    spine_bow_cm: float
    spine_bow_phase: float
    clavicle_angle_deg: float
    clavicle_bend_cm: float
    clavicle_width_cm: float
    shoulder_drop_cm: float
    heart_width: float
    heart_height: float
    heart_axis_deg: float
    heart_blunt_cm: float
    aortic_knob_cm: float
    aorta_unfolding_cm: float
    mediastinum_width: float
    dome_cm: float
    """Height of the right diaphragm dome at mean inspiration; positive is lower in the image."""
    dome_gap_cm: float
    """How much lower the left dome is than the right."""
    dome_arch: float
    breast_cm: float
    vessel_density: float
    stomach_gas_cm: float
    """Radius of the gas bubble under the left dome; 0 where there is none."""


def draw_anatomy(rng: np.random.Generator) -> Anatomy:
    """Sample the anatomy of one person."""
    female = rng.random() < 0.47
    age = int(bell(rng, 55, 16, 18, 92))
    old = (age - 55) / 35
    habitus = bell(rng, 0, 0.6, -1, 1.6)
    size = 0.93 if female else 1.0
    return Anatomy(
        sex="F" if female else "M",
        age=age,
        habitus=habitus,
        half_width_cm=size * bell(rng, 13.4, 0.8, 11.4, 15.2),
        half_depth_cm=size * bell(rng, 9.5, 0.8, 7.8, 11.6),
        vertebra_pitch_cm=size * bell(rng, 2.25, 0.1, 2.0, 2.5),
        rib_slope=bell(rng, 1.0, 0.16, 0.6, 1.4),
        rib_width_cm=bell(rng, 1.15, 0.12, 0.85, 1.5),
        bone_density=bell(rng, 1.0 - 0.2 * old, 0.17, 0.5, 1.4),
        spine_bow_cm=bell(rng, 0, 0.45, -1.4, 1.4),
        spine_bow_phase=float(rng.uniform(-1, 1)),
        clavicle_angle_deg=bell(rng, 8, 7, -10, 26),
        clavicle_bend_cm=bell(rng, 0.7, 0.3, 0.1, 1.5),
        clavicle_width_cm=size * bell(rng, 1.25, 0.15, 0.9, 1.6),
        shoulder_drop_cm=bell(rng, 0, 0.8, -1.8, 1.8),
        heart_width=size * bell(rng, 1.07 + 0.06 * old + 0.05 * habitus, 0.1, 0.8, 1.34),
        heart_height=size * bell(rng, 1.0, 0.08, 0.8, 1.2),
        heart_axis_deg=bell(rng, 6 * habitus, 6, -14, 16),
        heart_blunt_cm=bell(rng, 0, 0.4, -0.9, 0.9),
        aortic_knob_cm=bell(rng, 0.5 + 0.5 * old, 0.3, 0.0, 1.6),
        aorta_unfolding_cm=bell(rng, 0.3 + 0.5 * old, 0.35, 0, 1.6),
        mediastinum_width=bell(rng, 1.0 + 0.05 * habitus, 0.11, 0.75, 1.35),
        dome_cm=bell(rng, 7.3 - 0.6 * habitus, 0.7, 5.0, 9.2),
        dome_gap_cm=bell(rng, 1.2, 0.6, -0.6, 2.8),
        dome_arch=bell(rng, 1.0, 0.18, 0.5, 1.4),
        breast_cm=bell(rng, 5.6 + 0.9 * habitus, 1.0, 3.0, 8.5) if female else 0.0,
        vessel_density=bell(rng, 1.0, 0.2, 0.5, 1.5),
        stomach_gas_cm=float(rng.uniform(1.2, 3.4)) if rng.random() < 0.6 else 0.0,
    )


def bell(rng: np.random.Generator, mean: float, sd: float, low: float, high: float) -> float:
    """Sample a normal number, clipped to [low, high]."""
    return float(np.clip(rng.normal(mean, sd), low, high))
