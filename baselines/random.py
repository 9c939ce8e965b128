"""Random: an encoder with PyTorch's default initialisation, drawn from the cell's seed; the floor of every table."""

from __future__ import annotations

from dataclasses import dataclass

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.registry import register_method
from pretrain.published import adams_figure


@dataclass(frozen=True, kw_only=True)
class RandomConfig(MethodConfig):
    """Settings of random initialisation: the network."""

    arch: str = "resnet50"


@register_method("random")
class Random(EncoderSource):
    """Encoder with random weights, without pretraining."""

    Config = RandomConfig
    card = MethodCard(
        title="Random initialisation",
        paper="none",
        licence="none",
        backbone="ResNet-50",
        data="none",
        reference=adams_figure("random"),
    )

    def __init__(self, config: RandomConfig) -> None:
        self.config = config

    def load_encoder(self, seed: int) -> Encoder:
        """Return an untrained encoder, initialised by the seed; the same seed gives the same weights."""
        return build_encoder(self.config.arch, seed)
