"""Pixels: the image itself at 16 × 16, as a feature; what no training is needed for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.digests import digest
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
class Pixels(EncoderSource):
    """Raw pixels, in the group ``@controls``."""

    Config = PixelsConfig
    groups = ("controls",)
    card = MethodCard(
        title="Raw pixels",
        paper="none: a control of probes",
        licence="none",
        backbone="none",
        data="none",
        differences=("it has no weights, so it can be probed and not fine-tuned",),
    )

    def __init__(self, config: PixelsConfig) -> None:
        self.config = config

    def weights_digest(self) -> str:
        """Return a digest of what it computes, which no seed changes."""
        return digest("control pixels, version 1")

    def told(self) -> dict[str, str]:
        """Return the provenance of the encoder for a record."""
        return {"from": "nothing: a control"}

    def load_encoder(self, seed: int) -> Encoder:
        """Return the control, whatever the seed."""
        return PixelsEncoder()
