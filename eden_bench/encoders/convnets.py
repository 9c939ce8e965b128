"""Further convolutional encoders, for imported weights: EfficientNet-Lite, DenseNet, CIFAR ResNets.

Key names are timm's (EfficientNet) and torchvision's (DenseNet); the CIFAR ResNets are those of He et al., CVPR 2016,
section 4.2, with the parameter-free shortcut (option A), under the key names that their released weights use.
"""

from __future__ import annotations

import re
from typing import Any, cast

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import densenet

from eden_bench.encoders.base import Encoder
from eden_bench.errors import unknown

EFFICIENTNETS = tuple(f"tf_efficientnet_lite{size}" for size in range(5))
DENSENETS = ("densenet121", "densenet169")
CIFAR_RESNETS = ("resnet20_cifar", "resnet32_cifar", "resnet44_cifar", "resnet56_cifar", "resnet110_cifar")


def build_convnet(arch: str) -> Encoder:
    """Build an encoder by name, weights drawn from the surrounding ``seeded`` block.

    Raises:
        UsageError: no such name.
    """
    if arch in EFFICIENTNETS:
        return EfficientNetEncoder(arch)
    if arch in DENSENETS:
        return DenseNetEncoder(arch)
    if arch in CIFAR_RESNETS:
        return CifarResNetEncoder(arch)
    raise unknown("arch", arch, (*EFFICIENTNETS, *DENSENETS, *CIFAR_RESNETS))


class EfficientNetEncoder(Encoder):
    """timm's EfficientNet with TensorFlow's padding (Tan and Le, ICML 2019, arXiv:1905.11946).

    The last map is the 1×1 head's, of 1,280 channels, as its classifier sees it.
    """

    _ENDS = (0, 1, 2, 4, 6)
    """Stages after which the stride has just doubled for the next one: strides 2, 4, 8, 16, 32."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        made: Any = timm.create_model(arch, pretrained=False, num_classes=0)
        self.conv_stem, self.bn1, self.blocks = made.conv_stem, made.bn1, made.blocks
        self.conv_head, self.bn2 = made.conv_head, made.bn2
        widths = [stage[-1].conv_pwl.out_channels for stage in list(made.blocks)[1:]]
        first = made.blocks[0][-1].conv_pw.out_channels
        channels = [first, *widths]
        self.arch, self.strides = arch, (2, 4, 8, 16, 32)
        self.channels = (*(channels[end] for end in self._ENDS[:-1]), made.conv_head.out_channels)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps at strides 2 to 32."""
        x = self.bn1(self.conv_stem(images))
        maps = []
        for number, stage in enumerate(cast(nn.Sequential, self.blocks)):
            x = stage(x)
            maps += [x] * (number in self._ENDS)
        maps[-1] = self.bn2(self.conv_head(maps[-1]))
        return tuple(maps)


class DenseNetEncoder(Encoder):
    """torchvision's DenseNet without its classifier (Huang et al., CVPR 2017, arXiv:1608.06993)."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        made = getattr(densenet, arch)(weights=None)
        self.features = made.features
        blocks = [getattr(self.features, f"denseblock{number}") for number in (1, 2, 3)]
        transitions = [getattr(self.features, f"transition{number}") for number in (1, 2, 3)]
        self._stages = len(blocks)
        self.arch, self.strides = arch, (2, 4, 8, 16, 32)
        wide = [transition.norm.num_features for transition in transitions]
        self.channels = (made.features.conv0.out_channels, *wide, made.classifier.in_features)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the stem's map, each dense block's before its transition, and the normalised last one."""
        f = cast(Any, self.features)
        stem = f.relu0(f.norm0(f.conv0(images)))
        maps, x = [stem], f.pool0(stem)
        for number in range(1, self._stages + 1):
            x = getattr(f, f"denseblock{number}")(x)
            maps.append(x)
            x = getattr(f, f"transition{number}")(x)
        maps.append(functional.relu(f.norm5(f.denseblock4(x))))
        return tuple(maps)


class _CifarBlock(nn.Module):
    """Two 3×3 convolutions; where the stride is 2 the shortcut skips pixels and pads channels with zeros."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.stride, self.further = stride, outside - inside

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        short = x[:, :, :: self.stride, :: self.stride]
        half = self.further // 2
        return functional.relu(y + functional.pad(short, (0, 0, 0, 0, half, self.further - half)))


class CifarResNetEncoder(Encoder):
    """The thin ResNet for 32-px images: 16, 32 and 64 channels at strides 1, 2 and 4."""

    def __init__(self, arch: str) -> None:
        super().__init__()
        blocks = (int(cast("re.Match[str]", re.search(r"\d+", arch))[0]) - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1, self.layer2, self.layer3 = (
            nn.Sequential(*(_CifarBlock(inside if first else outside, outside, stride if first else 1)
                            for first in [True] + [False] * (blocks - 1)))
            for inside, outside, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
        )  # fmt: skip
        self.arch, self.channels, self.strides = arch, (16, 32, 64), (1, 2, 4)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the three stages' maps."""
        first = self.layer1(torch.relu(self.bn1(self.conv1(images))))
        second = self.layer2(first)
        return first, second, self.layer3(second)
