"""Six corruptions of an image at five severities, as a film may come from another machine, archive or hand.

Exposure (a gamma), noise, blur, low resolution, JPEG and rotation. What is random (the direction of exposure and
rotation, the noise) follows from the image's id, so that every network sees the same pixels. Not as in MedMNIST-C (Di
Salvo et al., 2024, arXiv:2406.17536), whose idea it is: its chest corruptions are others, and it names no rotation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from eden_bench import seeds

SEVERITIES = 5
_GAMMA = (1.3, 1.6, 2.0, 2.5, 3.2)
_NOISE = (0.03, 0.06, 0.09, 0.13, 0.18)
"""S.d. as a share of the grey scale."""
_BLUR = (0.004, 0.008, 0.012, 0.018, 0.026)
"""S.d. as a share of the side."""
_LOW = (2.0, 3.0, 4.0, 6.0, 9.0)
"""Factor by which the side shrinks and grows again."""
_QUALITY = (35, 20, 12, 7, 4)
_DEGREES = (4.0, 8.0, 13.0, 19.0, 26.0)


def exposure(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Raise grey values to a power, brighter or darker by the image's id."""
    gamma = _GAMMA[severity - 1]
    power = gamma if _heads(name, "exposure") else 1 / gamma
    table = np.round(255 * (np.arange(256) / 255) ** power).astype(np.uint8)
    return np.asarray(table[image])


def noise(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Add Gaussian noise, the same pattern at every severity."""
    drawn = np.random.default_rng(seeds.key(0, "corruption", "noise", name)).standard_normal(image.shape)
    return _clipped(image + 255 * _NOISE[severity - 1] * drawn)


def blur(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Convolve with a Gaussian."""
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), _BLUR[severity - 1] * image.shape[0], borderType=cv2.BORDER_REFLECT)
    )


def low_resolution(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Shrink by area and enlarge bilinearly."""
    side = image.shape[0]
    small = max(1, round(side / _LOW[severity - 1]))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(shrunk, (side, side), interpolation=cv2.INTER_LINEAR))


def jpeg(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Compress as JPEG."""
    turned = image if image.ndim == 2 else image[:, :, ::-1]  # OpenCV's colours are blue, green, red
    _, content = cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY[severity - 1]])
    found = np.asarray(cv2.imdecode(content, cv2.IMREAD_UNCHANGED))
    return found if image.ndim == 2 else np.ascontiguousarray(found[:, :, ::-1])


def rotation(image: np.ndarray, severity: int, name: str) -> np.ndarray:
    """Turn about the centre, left or right by the image's id; the border is repeated."""
    side = image.shape[0]
    degrees = _DEGREES[severity - 1] * (1 if _heads(name, "rotation") else -1)
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), degrees, 1.0)
    turned = cv2.warpAffine(image, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned)


CORRUPTIONS: Mapping[str, Callable[[np.ndarray, int, str], np.ndarray]] = {
    "exposure": exposure,
    "noise": noise,
    "blur": blur,
    "low-resolution": low_resolution,
    "jpeg": jpeg,
    "rotation": rotation,
}
"""Name to a function of an image (H, W) or (H, W, 3) uint8, H = W, a severity of 1 to 5, and the image's id."""


def _heads(name: str, what: str) -> bool:
    return seeds.key(0, "corruption", what, name) % 2 == 0


def _clipped(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.clip(np.round(values), 0, 255).astype(np.uint8))
