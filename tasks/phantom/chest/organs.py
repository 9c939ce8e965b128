"""Soft parts: torso, pleural spaces, heart, mediastinum, airways, diaphragm, vessels.

All outlines are in body coordinates (cm); ``rendering`` projects and sums them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tasks.phantom.chest.canvas import ellipse, smooth_closed
from tasks.phantom.chest.patient import Lesion, Patient
from tasks.phantom.chest.skeleton import cage_half_width, clavicle

HEART_DEPTH_CM = 3.0
"""The heart lies in front of the middle, so it moves when the patient turns."""
CARINA_CM = -4.6


def torso(patient: Patient) -> np.ndarray:
    """Return the outline of neck, shoulders, trunk and the upper arms close to it."""
    anatomy = patient.anatomy
    flank = anatomy.half_width_cm + 1.9 + 1.0 * anatomy.habitus
    neck, drop = 5.2 + 0.6 * anatomy.habitus, anatomy.shoulder_drop_cm
    top = min(float(clavicle(patient, 1)[0][-1, 1]) - 1.3, -13.8 + drop)
    right = [
        (neck, -24.0),
        (neck, -17.5),
        (neck + 2.0, -15.6),
        (flank - 2.5, top - 0.6),
        (flank + 3.5, top + 0.8),
        (flank + 7.5, -8.0 + drop),
        (flank + 9.5, 0.0),
        (flank + 10.5, 9.0),
        (flank + 5.5, 7.5),
        (flank + 2.6, 1.0),
        (flank + 1.0, -0.8 + 0.8 * anatomy.habitus),
        (flank + 0.1, 3.0),
        (flank - 0.2, 9.0),
        (flank + 0.3, 24.0),
    ]
    left = [(-x, y) for x, y in reversed(right)]
    return smooth_closed(np.array(right + left))


def dome_y(patient: Patient, side: int) -> float:
    """Return the height of a diaphragm dome on this film."""
    anatomy = patient.anatomy
    y = anatomy.dome_cm + (anatomy.dome_gap_cm if side > 0 else 0.0) + 1.0 * patient.film.inspiration
    y += 1.3 * patient.has("Emphysema")
    for lesion in patient.lesions:
        if lesion.kind == "Atelectasis" and lesion.side == side:
            y -= 0.5 + 0.8 * lesion.strength
    return y


def dome_x(patient: Patient) -> float:
    """Return how far from the middle the domes are highest."""
    return 0.45 * patient.anatomy.half_width_cm


def diaphragm(patient: Patient, side: int) -> np.ndarray:
    """Return the upper border of a hemidiaphragm (17, 2), from the flank to the middle."""
    arch = patient.anatomy.dome_arch * (0.45 if patient.has("Emphysema") else 1.0)
    top, flank = dome_y(patient, side), float(cage_half_width(patient, 11.0)) - 0.35
    x = np.linspace(flank, 0.2, 17)
    outward = np.clip((x - dome_x(patient)) / (flank - dome_x(patient)), 0, 1)
    inward = np.clip((dome_x(patient) - x) / dome_x(patient), 0, 1)
    y = top + arch * (4.3 * outward**2.6 + 1.3 * inward**2)
    return np.stack([side * x, y], axis=1)


def apex_y(patient: Patient) -> float:
    """Return the height of the lung apices."""
    return -14.2 + 0.2 * patient.film.inspiration


def hemithorax(patient: Patient, side: int) -> np.ndarray:
    """Return the outline of one pleural space, from the middle to the chest wall, above the diaphragm."""
    floor = diaphragm(patient, side)
    y = np.linspace(apex_y(patient) + 1.5, floor[0, 1] - 0.5, 18)
    wall = np.stack([side * (cage_half_width(patient, y) - 0.35), y], axis=1)
    top = apex_y(patient)
    apex = np.array([(1.3, -11.5), (1.8, top + 1.7), (2.9, top + 0.4), (4.2, top), (5.5, top + 0.4)]) * (side, 1)
    return np.concatenate([apex, wall, floor, [(side * 0.2, -11.0)]])


def recess(patient: Patient, side: int) -> np.ndarray:
    """Return the outline of the lung that reaches down behind the dome."""
    floor = np.add(diaphragm(patient, side)[2:], (0, 3.6))
    return np.concatenate([[(side * 0.3, 2.0), floor[0] - (0, 6)], floor])


_HEART = np.array(
    [
        (-2.5, -2.2), (-3.4, 0.6), (-3.9, 3.4), (-3.5, 5.9), (-2.2, 7.6),
        (1.5, 8.5), (5.2, 8.7), (7.9, 7.7), (8.5, 5.9), (7.5, 3.0), (5.5, 0.0), (3.9, -2.2), (1.2, -3.2),
    ]
)  # fmt: skip
_LEFT_BORDER = np.array([0, 0, 0, 0, 0, 0, 0.3, 0.8, 1.0, 1.0, 0.6, 0.2, 0])
_RIGHT_BORDER = np.array([0.1, 0.5, 1.0, 1.0, 0.5, 0, 0, 0, 0, 0, 0, 0, 0])


def heart_scale(patient: Patient) -> tuple[float, float]:
    """Return how wide and how high the heart is on this film, relative to the standard body's."""
    anatomy, film = patient.anatomy, patient.film
    wide = anatomy.heart_width * (1 - 0.05 * film.inspiration) * (1.12 if film.view == "AP" else 1.0)
    high = anatomy.heart_height * (1 + 0.03 * film.inspiration)
    wide *= 0.85 if patient.has("Emphysema") else 1.0
    for lesion in patient.lesions:
        if lesion.kind == "Cardiomegaly":
            wide *= 1.25 + 0.3 * lesion.strength
            high *= 1.05 + 0.1 * lesion.strength
    return wide, high


def heart(patient: Patient) -> np.ndarray:
    """Return the outline of the heart (at ``HEART_DEPTH_CM``); two thirds lie left of the middle."""
    anatomy = patient.anatomy
    points = _HEART.copy()
    points[:, 0] += anatomy.heart_blunt_cm * (_LEFT_BORDER - 0.6 * _RIGHT_BORDER)
    angle = np.deg2rad(anatomy.heart_axis_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.add((points - (1, 2)) @ turn, (1, 2))
    floor = (dome_y(patient, -1) + dome_y(patient, 1)) / 2
    return smooth_closed(np.add((points - (0, 8)) * heart_scale(patient), (0, 8.7 + 0.85 * (floor - 7.9))))


def mediastinum(patient: Patient) -> np.ndarray:
    """Return the outline of what lies between the lungs, without the heart: great vessels, oesophagus, fat."""
    anatomy = patient.anatomy
    wide, knob, bend = anatomy.mediastinum_width, anatomy.aortic_knob_cm, anatomy.aorta_unfolding_cm
    right = [(-2.2, -17), (-2.3, -13), (-2.5 - 0.3 * bend, -9), (-2.5, -5.4), (-2.9, -3.2), (-2.7, 0), (-1.8, 16)]
    left = [(2, 16), (1.9 + bend, 6), (2.2 + bend, 0), (3.5, -2), (3.6, -3.6), (2.9 + 0.3 * knob, -5)]
    arch = [(2.7 + knob, -6.4), (2.6 + knob, -7.9), (2 + 0.3 * knob, -9.8), (1.9, -13), (2.1, -17)]
    return smooth_closed(np.array(right + left + arch) * (wide, 1))


def azygos_arch(patient: Patient) -> tuple[float, float]:
    """Return the centre of the azygos arch, in the angle of trachea and right main bronchus."""
    return -1.95 * patient.anatomy.mediastinum_width, CARINA_CM - 0.9


def pulmonary_artery(patient: Patient) -> tuple[float, float]:
    """Return the centre of the left pulmonary artery's bulge, below the aortic knob."""
    return 3.3 * patient.anatomy.mediastinum_width, -3.1


def hilum(patient: Patient, side: int) -> tuple[float, float]:
    """Return the centre of a hilum; the left lies higher than the right."""
    reach = 3.7 * patient.anatomy.mediastinum_width
    return (reach, -2.6) if side > 0 else (-reach, -1.6)


def trachea(patient: Patient) -> list[np.ndarray]:
    """Return the lines of the trachea and the two main bronchi."""
    windpipe = np.array(
        [(0.1, -20.0), (0.0, -12.0), (-0.35 - 0.2 * patient.anatomy.aortic_knob_cm, -7.5), (-0.2, CARINA_CM)]
    )
    bronchi = [np.array([(-0.2, CARINA_CM), (side * 1.6, CARINA_CM + 1.3), hilum(patient, side)]) for side in (-1, 1)]
    return [windpipe, *bronchi]


def breast(patient: Patient, side: int) -> np.ndarray:
    """Return the outline of a breast."""
    size = patient.anatomy.breast_cm
    return ellipse((side * 0.58 * patient.anatomy.half_width_cm, 9.4 - 0.45 * size), (1.05 * size, size), side * 12)


def stomach_gas(patient: Patient) -> np.ndarray:
    """Return the outline of the gas bubble under the left dome."""
    radius = patient.anatomy.stomach_gas_cm
    return ellipse((4.6, dome_y(patient, 1) + 1.1 + 0.65 * radius), (1.25 * radius, 0.65 * radius))


def lung_point(patient: Patient, lesion: Lesion) -> tuple[float, float]:
    """Return where in its lung a lesion lies."""
    top, base = apex_y(patient) + 2.2, dome_y(patient, lesion.side) - 0.8
    y = top + lesion.height * (base - top)
    inner = 2.9 + (3.2 * lesion.height**2 if lesion.side > 0 else 1.0 * lesion.height)
    outer = max(float(cage_half_width(patient, y)) - 1.3, inner + 0.5)
    return lesion.side * (inner + lesion.outward * (outer - inner)), y


def vessels(patient: Patient, side: int) -> Iterator[tuple[np.ndarray, float]]:
    """Yield one lung's vessel tree from twigs to trunks: lines (N, 6, 2) that share a width in cm."""
    rng = patient.person_generator("vessels", side)
    lines, widths = _grow_tree(rng, np.array(hilum(patient, side)), side, round(11 * patient.anatomy.vessel_density))
    steps = np.round(widths / _WIDTH_STEP_CM).astype(int)
    for step in np.unique(steps):
        yield lines[steps == step], float(step * _WIDTH_STEP_CM)


_WIDTH_STEP_CM = 0.04


def _grow_tree(rng: np.random.Generator, hilum: np.ndarray, side: int, trunks: int) -> tuple[np.ndarray, np.ndarray]:
    """Return all branches (N, 6, 2) and their widths (N,): a fan of trunks that fork six times."""
    angle = np.deg2rad(np.linspace(-80, 85, trunks) + rng.uniform(-6, 6, trunks))
    width = rng.uniform(0.3, 0.5, trunks) + 0.1 + 0.1 * np.sin(angle)
    start = hilum + rng.normal(0, 0.5, (trunks, 2))
    lines, widths = [], []
    for _ in range(6):
        bends = angle[:, None] + np.cumsum(rng.normal(0, 0.12, (len(angle), 5)), axis=1)
        length = rng.uniform(1.2, 2.4, len(angle)) + 1.6 * width
        moves = np.stack([side * np.cos(bends), np.sin(bends)], axis=2) * length[:, None, None] / 5
        line = np.concatenate([start[:, None], start[:, None] + np.cumsum(moves, axis=1)], axis=1)
        lines.append(line)
        widths.append(width)
        fork = rng.uniform(0.15, 0.7, (2, len(angle))) * np.array([[1], [-1]])
        angle = (bends[:, -1] + fork).ravel()
        width = (width * rng.uniform(0.55, 0.82, (2, len(width)))).ravel()
        start = np.tile(line[:, -1], (2, 1))
    return np.concatenate(lines), np.concatenate(widths)
