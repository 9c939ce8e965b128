"""Patch discriminator and least-squares adversarial losses, for methods that restore images.

Isola et al., CVPR 2017, arXiv:1611.07004 (patches); Mao et al., ICCV 2017, arXiv:1611.04076 (least squares).
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

_WIDTHS = (1, 2, 4, 8)
_STRIDES = (2, 2, 2, 1)


class PatchDiscriminator(nn.Sequential):
    """Images (B, 1, H, W) to a map (B, 1, H / 8, W / 8): near 1 where a patch looks real. Weights N(0, 0.02²).

    Four 3×3 convolutions with leaky ReLU (0.2), instance norm after all but the first, and a fifth to one channel.
    Convolutions before instance norm have no bias, which it would take away.
    """

    def __init__(self, width: int = 64) -> None:
        """Build convolutions of width, 2, 4 and 8 times width channels."""
        channels = (1, *(scale * width for scale in _WIDTHS))
        layers: list[nn.Module] = []
        for block, ((before, after), stride) in enumerate(zip(itertools.pairwise(channels), _STRIDES, strict=True)):
            layers.append(nn.Conv2d(before, after, 3, stride, 1, bias=block == 0))
            layers += [nn.InstanceNorm2d(after)] if block else []
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        super().__init__(*layers, nn.Conv2d(channels[-1], 1, 3, 1, 1))
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)


def generator_loss(fake: Tensor) -> Tensor:
    """Compute the mean of (D(fake) − 1)², from a discriminator's map of any shape."""
    return (fake.float() - 1).square().mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Compute ½ [mean (D(real) − 1)² + mean D(fake)²], from maps of any shape."""
    return 0.5 * ((real.float() - 1).square().mean() + fake.float().square().mean())
