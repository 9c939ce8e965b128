"""Render the photograph of a retina and its ground truth.

The fundus reflects light by pigment; blood absorbs on the way there and back, so vessels and bleedings multiply the
colour, bright lesions and the disc cover it, and the camera adds light fall-off, haze, unsharpness and grain.
"""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field

import cv2
import numpy as np

from tasks.phantom.chest.canvas import band
from tasks.phantom.fundus.lesions import Painting, paint
from tasks.phantom.fundus.patient import Eye
from tasks.phantom.fundus.vessels import Vessel
from tasks.phantom.fundus.view import View

STRUCTURES = ("vessels", "arteries", "veins", "optic disc", "optic cup", "field of view")
LANDMARKS = ("fovea", "optic disc", "superior arcade", "inferior arcade")
"""The arcades' points lie where the large vein is farthest from the fovea's height."""

_COARSER = 4
"""The fundus without vessels and disc is painted this many times coarser than the picture."""
_FINER, _FINEST_PX = 2, 960
"""Vessels are drawn this many times finer than the picture, and on a raster of at least this side."""
_FRACTION_BITS = 4
_BRIGHTEST = 1.6
_FAIR, _DARK = np.array([0.86, 0.42, 0.25], np.float32), np.array([0.56, 0.23, 0.10], np.float32)
_RIM, _CUP = np.array([0.98, 0.66, 0.40], np.float32), np.array([1.0, 0.90, 0.66], np.float32)
_VEIN, _ARTERY = np.array([0.42, 0.80, 0.50], np.float32), np.array([0.20, 0.58, 0.36], np.float32)
"""Absorption of red, green and blue by the blood of a large vessel."""


@dataclass(frozen=True)
class Rendering:
    """One photograph, upright and in a square, with its ground truth."""

    eye: Eye
    image: np.ndarray
    """(S, S, 3) uint8, red first; black outside the field of view."""
    field: np.ndarray
    """(S, S) bool, the field of view."""
    landmarks: dict[str, tuple[float, float]]
    """`LANDMARKS` to (x, y) in pixels; they may lie outside the picture."""
    trees: dict[str, np.ndarray] = dataclass_field(repr=False)
    lesions: Painting = dataclass_field(repr=False)

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """`STRUCTURES` and the kinds of lesions, each (S, S) bool; what the field of view cuts off is False."""
        masks = {"arteries": self.trees["artery"] > 127, "veins": self.trees["vein"] > 127}
        masks |= {"vessels": masks["arteries"] | masks["veins"], "field of view": self.field}
        masks |= _disc_masks(self.eye, View(self.eye, len(self.field))) | self.lesions.masks
        return {name: mask & self.field for name, mask in masks.items()}


def render(eye: Eye, size_px: int) -> Rendering:
    """Render the photograph of an eye.

    Args:
        eye: whom, and how.
        size_px: side of the picture, the diameter of the field of view; at least 64 and a multiple of 4.

    Raises:
        ValueError: size_px is too small, or no multiple of 4.
    """
    if size_px < 64 or size_px % 4:
        raise ValueError(f"size_px must be a multiple of 4 and at least 64, not {size_px}")
    view, field = View(eye, size_px), _field(eye, size_px)
    trees = {kind: _tree([v for v in eye.vessels if v.kind == kind], view) for kind in ("vein", "artery")}
    lesions = paint(eye, view)
    light = _background(eye, view)
    light *= _through_blood(eye, view, trees, lesions.blood)
    lesions.cover(light)
    return Rendering(eye, _exposed(eye, light, field), field > 127, _landmarks(eye, view), trees, lesions)


def vessel_mask(eye: Eye, vessels: list[Vessel], size_px: int, thicker_px: float = 0.0) -> np.ndarray:
    """Return the mask (S, S) bool of some vessels, drawn bolder by a margin each side, as by an observer."""
    return _tree(vessels, View(eye, size_px), thicker_px) > 127


def _tree(vessels: list[Vessel], view: View, thicker_px: float = 0.0) -> np.ndarray:
    """Return how much of each pixel vessels cover, (S, S) uint8, 255 for all of it."""
    finer = max(_FINER, -(-_FINEST_PX // view.size_px))
    side = view.size_px * finer
    drawn = np.zeros((side, side), np.uint8)
    for vessel in vessels:
        line = (view(vessel.points) + 0.5) * finer - 0.5
        if ((line > -20) & (line < side + 20)).all(axis=1).any():
            half = (vessel.radii * view.scale + thicker_px) * finer - 0.5  # outlines are filled with their border
            _fill(drawn, band(line, 2 * np.maximum(half, 0.15)), 255)
    return np.asarray(cv2.resize(drawn, (view.size_px, view.size_px), interpolation=cv2.INTER_AREA))


def _fill(image: np.ndarray, outline: np.ndarray, value: int) -> None:
    fixed = np.round(outline * (1 << _FRACTION_BITS)).astype(np.int32)
    cv2.fillPoly(image, [fixed], value, cv2.LINE_8, _FRACTION_BITS)


def _field(eye: Eye, size_px: int) -> np.ndarray:
    """Return the field of view with soft edges, (S, S) uint8; a square tab at the upper right tells what is up."""
    field, middle = np.zeros((size_px, size_px), np.uint8), (size_px - 1) / 2
    centre = (round(middle * 16), round(middle * 16))
    cv2.circle(field, centre, round((size_px / 2 - 1.5) * 16), 255, -1, cv2.LINE_AA, _FRACTION_BITS)
    if eye.photograph.notch:
        reach = np.sqrt(0.5) * size_px / 2
        tab = np.array([(0.93, -0.05), (1.06, -0.05), (1.06, 0.05), (0.93, 0.05)])
        turned = np.stack([tab[:, 0] - tab[:, 1], -tab[:, 0] - tab[:, 1]], axis=1) * reach + middle
        cv2.fillPoly(field, [np.round(turned * 16).astype(np.int32)], 255, cv2.LINE_AA, _FRACTION_BITS)
    return field


def _background(eye: Eye, view: View) -> np.ndarray:
    """Return the bloodless fundus (S, S, 3) float32: pigment, choroid, macula, nerve fibres and disc."""
    retina, places = eye.retina, view.retina(_COARSER)
    colour = np.float32(1 - retina.pigment) * _FAIR + np.float32(retina.pigment) * _DARK
    rng = eye.generator("choroid")
    size = places.shape[1]
    mottled = 0.05 * _clouds(rng, size, 8) + 0.03 * _clouds(rng, size, 36) + 0.02 * _clouds(rng, size, 90)
    choroid = np.exp(-np.square(_clouds(rng, size, 18) / 0.6)) * np.float32(0.12 * (1 - retina.pigment) ** 2)
    fundus = np.exp(mottled + choroid)[..., None] * colour
    fundus *= _macula(eye, places)
    fundus *= _around_disc(eye, *_from_disc(eye, places))
    fundus = np.asarray(cv2.resize(fundus, (view.size_px, view.size_px), interpolation=cv2.INTER_LINEAR))
    _add_disc(eye, view, fundus)
    return fundus


def _macula(eye: Eye, places: np.ndarray) -> np.ndarray:
    """Return what the macula leaves of each colour: yellow pigment takes blue and green; reflexes add a little."""
    far = np.square(places).sum(axis=0)
    wide, deep = np.exp(-far / 0.17**2)[..., None], np.exp(-far / 0.055**2)[..., None]
    taken = wide * np.array([0.28, 0.5, 0.5], np.float32) + deep * np.array([0.12, 0.4, 0.35], np.float32)
    ring = 0.035 * np.exp(-np.square((np.sqrt(far) - 0.21) / 0.025)) + 0.25 * np.exp(-far / 0.014**2)
    return np.asarray(np.exp(np.float32(-eye.retina.macula) * taken) + np.float32(eye.retina.youth) * ring[..., None])


def _from_disc(eye: Eye, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x and y from the disc's centre, and the distance as 1 on the disc's border."""
    x, y = (places[axis] - np.float32(eye.retina.disc[axis]) for axis in (0, 1))
    return x, y, np.hypot(x, y / np.float32(eye.retina.disc_oval)) / np.float32(eye.retina.disc_radius)


def _around_disc(eye: Eye, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Return how much brighter nerve fibres, a pale ring and a temporal crescent make the disc's surroundings."""
    retina = eye.retina
    fibres = _fibres(eye, x, y) * np.exp(-np.square((out - 1) / 3.2)) * np.float32(0.06 + 0.14 * retina.youth)
    temporal = np.clip(-x / np.hypot(x, y + 1e-4), 0, 1) * np.exp(-np.square((out - 1.13) / 0.08))
    lighter = np.float32((-0.5 if retina.pigment > 0.45 else 0.35) * retina.crescent)
    ring = 1 + lighter * temporal + 0.12 * np.exp(-np.square((out - 1) / 0.3))
    return np.asarray((1 + fibres[..., None] * np.array([0.5, 1.0, 1.0], np.float32)) * ring[..., None])


def _add_disc(eye: Eye, view: View, fundus: np.ndarray) -> None:
    """Blend the disc and its cup over the fundus."""
    retina, reach = eye.retina, 1.4 * eye.retina.disc_radius * eye.retina.disc_oval * view.scale
    x, y = view(retina.disc)
    top, bottom, left, right = (
        int(np.clip(at, 0, view.size_px)) for at in (y - reach, y + reach, x - reach, x + reach)
    )
    if bottom > top and right > left:
        part = fundus[top:bottom, left:right]
        *_, out = _from_disc(eye, view.retina(1, (top, bottom, left, right)))
        cup = _soft((retina.cup_share - out) / 0.16)[..., None]
        pale = np.float32(1.05 - 0.15 * retina.pigment)
        part += _soft((1 - out) / 0.045)[..., None] * (pale * ((1 - cup) * _RIM + cup * _CUP) - part)


def _fibres(eye: Eye, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the sheen of the nerve fibres above and below the disc, streaked along their course."""
    angle = np.arctan2(y, x)
    streaks = eye.generator("fibres").normal(size=160)
    at = (angle + np.pi) * np.float32(159 / (2 * np.pi))
    return np.asarray(np.square(np.sin(angle)) * (1 + 0.35 * np.interp(at, np.arange(160), streaks)))


def _through_blood(eye: Eye, view: View, trees: dict[str, np.ndarray], bleeding: np.ndarray) -> np.ndarray:
    """Return the share of each colour that passes the vessels and bleedings, (S, S, 3) float32."""
    blur = max(0.4, eye.photograph.blur * view.scale)
    vein, artery = (cv2.GaussianBlur(trees[kind], (0, 0), blur).astype(np.float32) / 255 for kind in ("vein", "artery"))
    reflex = cv2.GaussianBlur(_reflexes(eye, view), (0, 0), blur).astype(np.float32) / 255
    shares = [
        cv2.exp(-(vein * v + artery * a + bleeding * v * 1.25) + reflex * 0.34 * a)
        for v, a in zip(_VEIN, _ARTERY, strict=True)
    ]
    return np.asarray(cv2.merge(shares))


def _reflexes(eye: Eye, view: View) -> np.ndarray:
    """Return the bright lines along large vessels, (S, S) uint8, fainter on veins."""
    lines = np.zeros((view.size_px, view.size_px), np.uint8)
    for vessel in eye.vessels:
        wide = np.flatnonzero(vessel.radii > 0.0055)
        if len(wide) > 2:
            points = np.round(view(vessel.points[wide]) * 16).astype(np.int32)
            thick = max(1, round(0.55 * float(vessel.radii[0]) * view.scale))
            cv2.polylines(
                lines, [points], False, 255 if vessel.kind == "artery" else 110, thick, cv2.LINE_AA, _FRACTION_BITS
            )
    return lines


def _disc_masks(eye: Eye, view: View) -> dict[str, np.ndarray]:
    retina = eye.retina
    angles = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    circle = np.stack([np.cos(angles), retina.disc_oval * np.sin(angles)], axis=1) * retina.disc_radius
    masks = {}
    for name, share in (("optic disc", 1.0), ("optic cup", retina.cup_share)):
        mask = np.zeros((view.size_px, view.size_px), np.uint8)
        _fill(mask, view(np.array(retina.disc) + share * circle), 1)
        masks[name] = mask > 0
    return masks


def _exposed(eye: Eye, light: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Apply the camera: fall-off, haze, tint, unsharpness, grain, and black outside the field."""
    photograph, size = eye.photograph, light.shape[0]
    across = np.linspace(-1, 1, 64, dtype=np.float32)
    x, y = np.meshgrid(across, across)
    slow = 1 - photograph.vignette * (x**2 + y**2) ** 1.3 + photograph.tilt[0] * x + photograph.tilt[1] * y
    slow = cv2.resize(
        np.maximum(slow, 0.05) * np.float32(photograph.exposure), (size, size), interpolation=cv2.INTER_LINEAR
    )
    hazy = cv2.resize(np.asarray(np.float32(photograph.haze) * np.exp((x**2 + y**2 - 1) * 2.5)), (size, size))
    grain = _grain(eye.generator("grain", size), size) * np.float32(photograph.noise)
    planes = []
    for plane, factor in zip(cv2.split(light), photograph.tint, strict=True):
        lit = cv2.scaleAdd(plane * slow, factor, hazy)
        lit = np.maximum(lit + grain * cv2.sqrt(lit), 0)
        levels = cv2.LUT(cv2.convertScaleAbs(lit, alpha=255 / _BRIGHTEST), _SHOULDER)
        planes.append(cv2.multiply(levels, field, scale=1 / 255))
    return np.asarray(cv2.merge(planes))


def _shoulder() -> np.ndarray:
    """Return levels for light 0 to `_BRIGHTEST`: what is brighter than 0.7 is compressed, as films and cameras do."""
    light = np.linspace(0, _BRIGHTEST, 256)
    over = np.maximum(light - 0.7, 0)
    return np.asarray(np.rint(255 * (np.minimum(light, 0.7) + 0.3 * (1 - np.exp(-over / 0.3)))), np.uint8)


_SHOULDER = _shoulder()


def _grain(rng: np.random.Generator, size: int) -> np.ndarray:
    raw = rng.bit_generator.random_raw(size * size // 4)
    planes = np.asarray(raw).view(np.uint8).reshape(2, size, size)
    return (cv2.add(planes[0], planes[1], dtype=cv2.CV_32F) - np.float32(255)) * np.float32(1 / 104.5)


def _landmarks(eye: Eye, view: View) -> dict[str, tuple[float, float]]:
    above, below, *_ = (vessel for vessel in eye.vessels if vessel.kind == "vein")
    places = {
        "fovea": np.zeros(2),
        "optic disc": np.array(eye.retina.disc),
        "superior arcade": _apex(above, -1),
        "inferior arcade": _apex(below, 1),
    }
    return {name: (float(view(place)[0]), float(view(place)[1])) for name, place in places.items()}


def _apex(vessel: Vessel, sign: int) -> np.ndarray:
    near = vessel.points[vessel.points[:, 0] > -0.6]
    return np.asarray(near[np.argmax(sign * near[:, 1])])


def _clouds(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return smooth noise (size, size) float32 of mean 0 and s.d. about 1, with so many grains across."""
    coarse = rng.standard_normal((cells, cells), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)) * np.float32(1.3)


def _soft(edge: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(edge * 2.2, -30, 30))), np.float32)
