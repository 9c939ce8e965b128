"""Bones: ribs as curves around the chest, clavicles, vertebrae, scapulae, humeral heads.

Ribs are space curves on an elliptical cage; the projection makes the posterior and the anterior arcs of a
film out of them, so turning the patient moves the arcs against each other. Lengths are cm of a standard body.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from tasks.phantom.chest.canvas import band, ellipse, smooth_closed
from tasks.phantom.chest.patient import Patient

RIBS = 10
SIDES = {"R": -1, "L": 1}
"""The patient's right lies left in the image."""

_CAGE = np.array([0.50, 0.71, 0.83, 0.91, 0.96, 0.99, 1.0, 1.0, 0.985, 0.95])
"""Relative half width of the cage at each rib."""
_DROP_CM = np.array([3.2, 5.0, 6.6, 7.8, 8.8, 9.6, 10.0, 10.0, 9.4, 8.2])
"""How much lower a rib's front end would lie than its head if it ran all around."""
_FRONT_DEG = np.array([150, 149, 147, 144, 141, 137, 131, 123, 113, 102])
"""Where the bone ends and the cartilage, which a film does not show, begins."""
_T1_CM = -13.6
_SAMPLES = 33


def vertebra_y(patient: Patient, thoracic: float) -> float:
    """Return the height of a thoracic vertebra's centre (1 to 12; 0 is C7, 13 is L1)."""
    return _T1_CM + (thoracic - 1) * patient.anatomy.vertebra_pitch_cm


def spine_x(patient: Patient, y: np.ndarray | float) -> np.ndarray:
    """Return how far the spine bows sideways at some heights."""
    anatomy = patient.anatomy
    return np.asarray(anatomy.spine_bow_cm * np.sin((np.asarray(y) / 9 + anatomy.spine_bow_phase) * 1.2))


def rib(patient: Patient, side: int, number: int) -> np.ndarray:
    """Return the centre line (33, 3) of a rib (1 to 10), from its head to its front end."""
    anatomy, breath = patient.anatomy, patient.film.inspiration
    i = number - 1
    width = anatomy.half_width_cm * _CAGE[i] * (1 + 0.02 * breath) * (1.03 if patient.has("Emphysema") else 1.0)
    depth = anatomy.half_depth_cm * (0.35 + 0.65 * _CAGE[i])
    drop = _DROP_CM[i] * anatomy.rib_slope * (1 - 0.08 * breath) * (0.85 if patient.has("Emphysema") else 1.0)
    angle = np.linspace(np.arcsin(1.9 / width), np.deg2rad(_FRONT_DEG[i]), _SAMPLES)
    top = vertebra_y(patient, number) - 0.3
    y = top + drop * (0.3 * angle / np.pi + 0.35 * (1 - np.cos(angle)))
    x = side * width * np.sin(angle) + spine_x(patient, top) * np.cos(angle / 2)
    return np.stack([x, y, -depth * np.cos(angle)], axis=1)


def rib_bands(patient: Patient, side: int, number: int, line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the outlines of the posterior and the anterior arc around a projected rib (33, 2)."""
    along = np.linspace(0, 1, _SAMPLES)
    width = patient.anatomy.rib_width_cm * patient.film.scale * (0.8 + 0.35 * along**2) * (0.85 if number < 3 else 1.0)
    split = int(np.argmax(side * line[:, 0])) + 1
    split = min(max(split, 6), _SAMPLES - 3)
    return band(line[: split + 1], width[: split + 1]), band(line[split - 1 :], width[split - 1 :])


def cage_half_width(patient: Patient, y: np.ndarray | float) -> np.ndarray:
    """Return the half width of the rib cage (to the middle of the ribs) at some heights."""
    return np.interp(y, *_flank(patient))


@lru_cache(maxsize=64)
def _flank(patient: Patient) -> tuple[np.ndarray, np.ndarray]:
    ribs = [rib(patient, 1, number) for number in range(1, RIBS + 1)]
    widest = [line[np.argmax(line[:, 0])] for line in ribs]
    heights = [_T1_CM - 0.9, *(point[1] for point in widest), widest[-1][1] + 5]
    widths = [widest[0][0] * 0.72, *(point[0] for point in widest), widest[-1][0] * 0.94]
    return np.array(heights), np.array(widths)


def clavicle(patient: Patient, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a clavicle's centre line (25, 3) from the sternum outwards, and its widths (25,)."""
    anatomy = patient.anatomy
    t = np.linspace(0, 1, 25)
    length = 1.05 * anatomy.half_width_cm
    rise = length * np.tan(np.deg2rad(anatomy.clavicle_angle_deg)) + (1.5 if patient.film.view == "AP" else 0.0)
    wave = anatomy.clavicle_bend_cm * np.sin(2 * np.pi * t) * (1 - 0.3 * t)
    y = -10.4 + anatomy.shoulder_drop_cm * t - rise * t + wave
    width = anatomy.clavicle_width_cm * (1.35 - 1.5 * t + 1.6 * t**2)
    return np.stack([side * (1.7 + length * t), y, 6.5 - 5.5 * t], axis=1), width


def clavicle_on_cage(patient: Patient, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of a clavicle over lungs and cage: all that SCR's observers drew."""
    line, width = clavicle(patient, side)
    reach = cage_half_width(patient, line[:, 1] + 1.0) + 0.6
    keep = max(6, int(np.argmax(np.append(np.abs(line[:, 0]) > reach, True))))
    return line[:keep], width[:keep]


_VERTEBRA = smooth_closed(
    np.array([(-1, -0.42), (0, -0.42), (1, -0.42), (0.88, 0), (1, 0.42), (0, 0.42), (-1, 0.42), (-0.88, 0)]), 4
)
"""Half width and pitch are 1."""


def vertebrae(patient: Patient) -> np.ndarray:
    """Return the outlines (20, 32, 2) of the vertebral bodies C6 to L5; lower ones are wider."""
    thoracic = np.arange(-1, 19)
    half = (1.45 + 0.055 * (thoracic + 1)) * patient.anatomy.half_width_cm / 13.4
    size = np.stack([half, np.full(20, patient.anatomy.vertebra_pitch_cm)], axis=1)
    return np.asarray(_VERTEBRA * size[:, None, :] + _spine(patient, thoracic)[:, None, :])


def pedicles(patient: Patient) -> np.ndarray:
    """Return the outlines (26, 48, 2) of the two pedicles of each vertebra, seen end on."""
    middle = np.add(_spine(patient, np.arange(1, 14)), (0, -0.3))
    return ellipse(np.concatenate([np.add(middle, (side * 1.05, 0)) for side in SIDES.values()]), (0.28, 0.5))


def spinous_processes(patient: Patient, thoracic: np.ndarray) -> np.ndarray:
    """Return the outlines (N, 48, 2) of spinous processes; they lie behind, at ``SPINOUS_DEPTH_CM``."""
    return ellipse(np.add(_spine(patient, thoracic), (0, 0.55 * patient.anatomy.vertebra_pitch_cm)), (0.33, 0.75))


def transverse_processes(patient: Patient) -> np.ndarray:
    """Return the outlines (22, 6, 2) of the transverse processes T1 to T11."""
    thoracic = np.arange(1, 12)
    middle = _spine(patient, thoracic)[:, None, :]
    reach = np.stack([np.full(11, 1.0), 2.3 - 0.04 * thoracic, 3.3 - 0.06 * thoracic], axis=1)
    rise = np.tile([-0.2, -0.45, -0.65], (11, 1))
    lines = [middle + np.stack([side * reach, rise], axis=2) for side in SIDES.values()]
    return band(np.concatenate(lines), np.array([0.9, 0.75, 0.95]))


def _spine(patient: Patient, thoracic: np.ndarray) -> np.ndarray:
    """Return the centres (N, 2) of vertebrae."""
    y = _T1_CM + (thoracic - 1) * patient.anatomy.vertebra_pitch_cm
    return np.stack([spine_x(patient, y), y], axis=1)


SPINOUS_DEPTH_CM = -8.0
VERTEBRA_DEPTH_CM = -5.0


_SCAPULA = np.array(
    [
        (12.2, -10.4),
        (14.3, -12.0),
        (16.6, -11.0),
        (16.9, -8.8),
        (15.8, -6.2),
        (14.9, -2.0),
        (13.8, 1.9),
        (12.9, 1.6),
        (12.4, -3.5),
    ]
)
_SCAPULAR_SPINE = np.array([(12.4, -8.3), (14.5, -10.6), (16.5, -12.4), (18.4, -12.6)])


def scapula(patient: Patient, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the outlines of a scapula's blade and of its spine with the acromion."""
    blade, spine = (
        smooth_closed(_place_scapula(patient, side, _SCAPULA)),
        _place_scapula(patient, side, _SCAPULAR_SPINE),
    )
    return blade, band(spine, np.array([0.6, 1.0, 1.3, 1.1]))


def humeral_head(patient: Patient, side: int) -> np.ndarray:
    """Return the outline of the head and neck of a humerus."""
    points = np.array(
        [
            (16.6, -10.6),
            (18.2, -11.8),
            (20.2, -10.8),
            (20.9, -8.4),
            (20.9, -1.5),
            (18.9, -1.5),
            (18.5, -6.6),
            (17.0, -8.0),
        ]
    )
    return smooth_closed(_place_scapula(patient, side, points))


def _place_scapula(patient: Patient, side: int, points: np.ndarray) -> np.ndarray:
    size = patient.anatomy.half_width_cm / 13.4
    return (points * size + (patient.film.scapula_cm, patient.anatomy.shoulder_drop_cm)) * (side, 1)
