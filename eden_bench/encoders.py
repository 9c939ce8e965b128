"""Encoders: the networks that are transferred, under torchvision's or timm's key names.

``build_encoder("resnet50")`` is torchvision's ResNet-50 without ``fc`` (23,508,032 parameters, 318 state
entries); ``resnet18-w16`` is the same code at a quarter of the width, for the ``quick`` protocol. ViT and Swin are in
``transformers``, which is imported when one is asked for. An encoder returns its maps at every stride, so that a
U-Net, a classifier and a probe all stand on the same call.
"""

from __future__ import annotations

import contextlib
import re

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from eden_bench import seeds
from eden_bench.errors import UsageError, unknown

_RESNETS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
_FULL_WIDTH = 64
TRANSFORMERS = (
    "vit_mini_patch8_64",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "swin_mini_patch4_window4_64",
    "swin_base_patch4_window6_192",
    "swin_base_patch4_window7_224",
)
"""Names of the transformers that methods here use; ``transformers`` builds others of the same pattern."""
_FURTHER = ("tf_efficientnet_lite", "densenet")
"""Networks of ``convnets``, which only weights that are brought along use."""
_LEAST_WIDTH = 8
"""Below it oneDNN's backward pass of a strided 1×1 convolution, channels last, writes past its memory (torch 2.15)."""


class Encoder(nn.Module):
    """A backbone that returns feature maps of falling resolution.

    Attributes:
        arch: the name it was built from.
        channels: channels of each map in ``maps``, finest first.
        strides: input pixels per map pixel, finest first.
        out_channels: length of the pooled embedding.
    """

    arch: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def out_channels(self) -> int:
        """Length D of the pooled embedding."""
        return self.channels[-1]

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, finest first, each (B, C_i, H / stride_i, W / stride_i)."""
        raise NotImplementedError

    def for_size(self, size_px: int) -> Encoder:
        """Return this encoder for square inputs of a side; itself, where it takes any (a transformer does not)."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the coarsest map, (B, D, H', W')."""
        return self.maps(images)[-1]

    def embed(self, images: Tensor) -> Tensor:
        """Return globally average-pooled features, (B, D)."""
        return self(images).mean(dim=(2, 3))


class _ScaledResNet(ResNet):
    """torchvision's ResNet with every width scaled, the stem's included."""

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: tuple[int, int, int, int], width: int) -> None:
        self._width = width
        super().__init__(block, list(layers))
        del self.fc, self.avgpool
        if width != _FULL_WIDTH:
            self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.bn1 = nn.BatchNorm2d(width)

    def _make_layer(
        self, block: type[BasicBlock | Bottleneck], planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        if planes == _FULL_WIDTH:  # layer1 is the first to be made, on top of the stem
            self.inplanes = self._width
        return super()._make_layer(block, planes * self._width // _FULL_WIDTH, blocks, stride, dilate)


class ResNetEncoder(Encoder, _ScaledResNet):
    """A torchvision ResNet without its classifier (He et al., CVPR 2016, arXiv:1512.03385)."""

    conv1: nn.Conv2d
    bn1: nn.BatchNorm2d
    relu: nn.Module
    maxpool: nn.Module
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self, arch: str, width: int = _FULL_WIDTH) -> None:
        block, layers = _RESNETS[arch]
        _ScaledResNet.__init__(self, block, layers, width)
        self.arch = arch if width == _FULL_WIDTH else f"{arch}-w{width}"
        self.channels = (width, *(width * scale * block.expansion for scale in (1, 2, 4, 8)))
        self.strides = (2, 4, 8, 16, 32)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps after the stem's ReLU and after each of the four layers."""
        stem = self.relu(self.bn1(self.conv1(images)))
        maps = [stem]
        x = self.maxpool(stem)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, images: Tensor) -> Tensor:
        """Return layer4's map, (B, D, H / 32, W / 32)."""
        return self.maps(images)[-1]


def known_archs() -> list[str]:
    """Names ``build_encoder`` takes; each ResNet also takes a width, as in ``resnet18-w16``."""
    return [*sorted(_RESNETS), *TRANSFORMERS]


def build_encoder(arch: str, seed: int | None = None) -> Encoder:
    """Build an encoder with torchvision's or timm's default initialisation.

    Args:
        arch: a name from ``known_archs``, or one with a width.
        seed: draws the weights from this seed alone; None draws them from the surrounding ``seeded`` block, as a
            method's constructor wants (the engine builds every method inside one).

    Raises:
        UsageError: arch is not known, or narrower than 8; names the nearest one that is.
    """
    with seeded(seed, "encoder") if seed is not None else contextlib.nullcontext():
        if arch.startswith(("vit_", "swin_")):
            return _build_transformer(arch)
        return _build_convnet(arch) if arch.startswith(_FURTHER) or arch.endswith("_cifar") else _build_resnet(arch)


def _build_transformer(arch: str) -> Encoder:
    from eden_bench import transformers  # imports timm, which takes a second

    return transformers.build(arch)


def _build_convnet(arch: str) -> Encoder:
    from eden_bench import convnets  # likewise

    return convnets.build(arch)


def _build_resnet(arch: str) -> Encoder:
    match = re.fullmatch(r"([a-z0-9_]+?)(?:-w(\d+))?", arch)
    if not match or match[1] not in _RESNETS:
        raise unknown("arch", arch, [*known_archs(), "resnet18-w16"])
    if int(match[2] or _FULL_WIDTH) < _LEAST_WIDTH:
        raise UsageError(f"arch {arch!r} is narrower than {_LEAST_WIDTH}: write {match[1]}-w{_LEAST_WIDTH} or wider")
    return ResNetEncoder(match[1], int(match[2] or _FULL_WIDTH))


class seeded:  # noqa: N801 - reads as a phrase: with seeded(seed, "head")
    """Run module constructors, which only know the global generator, from one address; restore it after."""

    def __init__(self, seed: int, *address: seeds.Address) -> None:
        self._value = seeds.key(seed, *address) % (1 << 63)

    def __enter__(self) -> None:
        """Keep the global state and seed it."""
        self._kept = torch.random.get_rng_state()
        torch.default_generator.manual_seed(self._value)

    def __exit__(self, *_: object) -> None:
        """Put the global state back."""
        torch.random.set_rng_state(self._kept)


def parameter_count(module: nn.Module) -> int:
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters())
