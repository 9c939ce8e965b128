"""Encoders: the networks that are transferred, under torchvision's or timm's key names."""

from __future__ import annotations

from eden_bench.encoders.base import TRANSFORMERS, Encoder, parameter_count, seeded, tensors_digest
from eden_bench.encoders.building import build_encoder, known_archs
from eden_bench.encoders.features import features
from eden_bench.encoders.resnet import ResNetEncoder
from eden_bench.encoders.unfilled import unfilled_encoder

__all__ = [
    "TRANSFORMERS",
    "Encoder",
    "ResNetEncoder",
    "build_encoder",
    "features",
    "known_archs",
    "parameter_count",
    "seeded",
    "tensors_digest",
    "unfilled_encoder",
]
