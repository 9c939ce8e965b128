"""Build an encoder by its name: a ResNet of any width, or one of timm's or torchvision's other networks."""

from __future__ import annotations

import contextlib
import re

from eden_bench.encoders.base import TRANSFORMERS, Encoder, seeded
from eden_bench.encoders.resnet import FULL_WIDTH, LEAST_WIDTH, RESNETS, ResNetEncoder
from eden_bench.errors import UsageError, unknown

_FURTHER = ("tf_efficientnet_lite", "densenet")
"""Networks of ``convnets``, which only weights that are brought along use."""


def known_archs() -> list[str]:
    """Return the names that ``build_encoder`` takes; each ResNet also takes a width, as in ``resnet18-w16``."""
    return [*sorted(RESNETS), *TRANSFORMERS]


def build_encoder(arch: str, seed: int | None = None) -> Encoder:
    """Build an encoder by its name, with torchvision's or timm's default initialisation.

    Args:
        arch: a name from ``known_archs``, or one with a width; ``NAME@SIDE`` is timm's network of that name.
        seed: draws the weights from this seed alone; None draws them from the surrounding ``seeded`` block, as a
            method's constructor wants (the engine builds every method inside one).

    Raises:
        UsageError: arch is not known, or narrower than 16; names the nearest one that is.

    >>> build_encoder("resnet18-w16", seed=0).out_channels
    128
    """
    with seeded(seed, "encoder") if seed is not None else contextlib.nullcontext():
        if "@" in arch:
            return _build_timm(arch)
        if arch.startswith(("vit_", "swin_")):
            return _build_transformer(arch)
        return _build_convnet(arch) if arch.startswith(_FURTHER) or arch.endswith("_cifar") else _build_resnet(arch)


def _build_transformer(arch: str) -> Encoder:
    from eden_bench.encoders import transformers  # imports timm, which takes a second

    return transformers.build_transformer(arch)


def _build_timm(arch: str) -> Encoder:
    from eden_bench.encoders import timm_backbones  # likewise

    return timm_backbones.build_timm(arch)


def _build_convnet(arch: str) -> Encoder:
    from eden_bench.encoders import convnets  # likewise

    return convnets.build_convnet(arch)


def _build_resnet(arch: str) -> Encoder:
    match = re.fullmatch(r"([a-z0-9_]+?)(?:-w(\d+))?", arch)
    if not match or match[1] not in RESNETS:
        raise unknown("arch", arch, [*known_archs(), "resnet18-w16"])
    if int(match[2] or FULL_WIDTH) < LEAST_WIDTH:
        raise UsageError(f"arch {arch!r} is narrower than {LEAST_WIDTH}: write {match[1]}-w{LEAST_WIDTH} or wider")
    return ResNetEncoder(match[1], int(match[2] or FULL_WIDTH))
