"""Constant: the same feature for every image; a probe must score it at chance exactly."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.digests import digest
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method


class ConstantEncoder(Encoder):
    """One map of one position and eight channels, all 1, whatever the image."""

    arch, channels, strides = "constant", (8,), (64,)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (B, 8, 1, 1) ones."""
        return (images.new_ones(len(images), 8, 1, 1),)


@dataclass(frozen=True, kw_only=True)
class ConstantConfig(MethodConfig):
    """No settings."""


@register_method("constant")
class Constant(EncoderSource):
    """Constant encoder, in the group ``@controls``."""

    Config = ConstantConfig
    groups = ("controls",)
    card = MethodCard(
        title="Constant encoder",
        paper="none: a control of probes",
        licence="none",
        backbone="none",
        data="none",
        differences=("it has no weights, so it can be probed and not fine-tuned",),
    )

    def __init__(self, config: ConstantConfig) -> None:
        self.config = config

    def weights_digest(self) -> str:
        """Return a digest of what it computes, which no seed changes."""
        return digest("control constant, version 1")

    def told(self) -> dict[str, str]:
        """Return the provenance of the encoder for a record."""
        return {"from": "nothing: a control"}

    def load_encoder(self, seed: int) -> Encoder:
        """Return the control, whatever the seed."""
        return ConstantEncoder()
