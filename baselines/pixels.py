"""Pixels: the image itself at 16 × 16, as a feature; what no training is needed for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from baselines._control import Control, control_card
from eden_bench.contracts import MethodConfig
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method

GRID = 16


class PixelsEncoder(Encoder):
    """The grey image averaged to 16 × 16, its pixels as channels of one position."""

    arch, channels, strides = "pixels", (GRID * GRID,), (64,)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (B, 256, 1, 1): the mean over channels of each of 16 × 16 cells, row by row."""
        cells = functional.adaptive_avg_pool2d(images.mean(dim=1, keepdim=True), GRID)
        return (cells.reshape(len(images), -1, 1, 1),)


@dataclass(frozen=True, kw_only=True)
class PixelsConfig(MethodConfig):
    """No settings."""


@register_method("pixels")
class Pixels(Control):
    """Raw pixels, in the group ``@controls``."""

    Config = PixelsConfig
    makes = PixelsEncoder
    card = control_card("Raw pixels", "it has no weights, so it can be probed and not fine-tuned")
