"""Position: where a patch lies and nothing of what it shows; beats what only tells places apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from baselines._control import Control, control_card
from eden_bench.contracts import MethodConfig
from eden_bench.encoders import Encoder
from eden_bench.errors import UsageError
from eden_bench.registry import register_method

_OCTAVES = 3


class PositionEncoder(Encoder):
    """Sines and cosines of a box's centre and size, π, 2π and 4π times shares of the film; no pixel is looked at."""

    arch, channels, strides = "position", (24,), (64,)
    reads_boxes = True

    def embed_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Return the features of boxes.

        Args:
            boxes: (M, 4) left, top, right and bottom in shares of the film's side.

        Returns:
            (M, 24) float64 in [-1, 1].
        """
        left, top, right, bottom = np.moveaxis(boxes, -1, 0)
        places = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], axis=-1)
        angles = (np.pi * 2.0 ** np.arange(_OCTAVES) * places[..., None]).reshape(len(boxes), -1)
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Raise an error, since an image does not contain the position it was cut from.

        Raises:
            UsageError: always.
        """
        raise UsageError("position: this control reads where patches lie, so only a probe of patches can score it")


@dataclass(frozen=True, kw_only=True)
class PositionConfig(MethodConfig):
    """No settings."""


@register_method("position")
class Position(Control):
    """Position alone, in the group ``@controls``."""

    Config = PositionConfig
    makes = PositionEncoder
    card = control_card(
        "Position alone", "it reads the boxes of patches instead of their pixels, so it can be probed and nothing else"
    )
