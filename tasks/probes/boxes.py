"""Cut boxes out of films, whose border is replicated, stretch each to the encoder's square, and encode them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import Features
from eden_bench.encoders import Encoder, features


def cut(film: np.ndarray, box: np.ndarray, size_px: int) -> Tensor:
    """Cut a box out of a film and stretch it to a square: by area along an axis that shrinks, else bilinearly.

    Args:
        film: (H, W) uint8.
        box: (4,) int, left, top, right, bottom in pixels; pixels outside the film repeat its border.
        size_px: side of the square.

    Returns:
        (1, size_px, size_px) in [0, 1].
    """
    left, top, right, bottom = box
    rows = np.clip(np.arange(top, bottom), 0, film.shape[0] - 1)
    columns = np.clip(np.arange(left, right), 0, film.shape[1] - 1)
    patch = torch.from_numpy(film[rows[:, None], columns])[None, None].float() / 255
    down = (min(patch.shape[2], size_px), min(patch.shape[3], size_px))
    if down != tuple(patch.shape[2:]):
        patch = functional.interpolate(patch, down, mode="area")
    if down != (size_px, size_px):
        patch = functional.interpolate(patch, (size_px, size_px), mode="bilinear", align_corners=False)
    return patch[0]


def encoded(encoder: Encoder, film: np.ndarray, boxes: np.ndarray, wanted: Features) -> np.ndarray:
    """Return the features of the boxes of a film, (..., D) float32.

    Args:
        encoder: see ``encoders.features``.
        film: (H, W) uint8.
        boxes: (..., 4) int.
        wanted: which features, at which size.
    """
    patches = torch.stack([cut(film, box, wanted.size_px) for box in boxes.reshape(-1, 4)])
    made = features(encoder, patches, wanted)
    return made.reshape(*boxes.shape[:-1], -1)
