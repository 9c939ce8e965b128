"""ResNets of torchvision, at any width (He et al., CVPR 2016, arXiv:1512.03385)."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from eden_bench.encoders.base import Encoder

RESNETS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, int, int, int]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
FULL_WIDTH = 64
LEAST_WIDTH = 16
"""Below it oneDNN's backward pass of a strided 1×1 convolution, channels last, writes past its memory (torch 2.15):
under 8 channels with AVX2, at 8 with AVX-512, whose vectors hold 16."""


class _ScaledResNet(ResNet):
    """torchvision's ResNet with every width scaled, the stem's included."""

    def __init__(self, block: type[BasicBlock | Bottleneck], layers: tuple[int, int, int, int], width: int) -> None:
        self._width = width
        super().__init__(block, list(layers))
        del self.fc, self.avgpool
        if width != FULL_WIDTH:
            self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
            nn.init.kaiming_normal_(self.conv1.weight, mode="fan_out", nonlinearity="relu")
            self.bn1 = nn.BatchNorm2d(width)

    def _make_layer(
        self, block: type[BasicBlock | Bottleneck], planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        if planes == FULL_WIDTH:  # layer1 is the first to be made, on top of the stem
            self.inplanes = self._width
        return super()._make_layer(block, planes * self._width // FULL_WIDTH, blocks, stride, dilate)


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

    def __init__(self, arch: str, width: int = FULL_WIDTH) -> None:
        block, layers = RESNETS[arch]
        _ScaledResNet.__init__(self, block, layers, width)
        self.arch = arch if width == FULL_WIDTH else f"{arch}-w{width}"
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
