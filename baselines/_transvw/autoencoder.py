"""A plain convolutional auto-encoder of whole images, whose pooled bottleneck says which images look alike."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

_WIDTHS = (1, 2, 4, 8, 16)


class AutoEncoder(nn.Module):
    """Images (B, 3, S, S) in [0, 1] to images in (0, 1), through a bottleneck at a 32nd of the side, without skips."""

    def __init__(self, width: int) -> None:
        """Build it with width to 16 times width channels."""
        super().__init__()
        channels = (3, *(width * scale for scale in _WIDTHS))
        down = [_block(before, after, stride=2) for before, after in itertools.pairwise(channels)]
        up = [_enlarging(after, max(before, width)) for before, after in reversed(list(itertools.pairwise(channels)))]
        self.encoder = nn.Sequential(*down)
        self.decoder = nn.Sequential(*up, nn.Conv2d(width, 3, 3, 1, 1), nn.Sigmoid())

    def forward(self, images: Tensor) -> Tensor:
        """Return the reconstructed images."""
        restored: Tensor = self.decoder(self.encoder(images))
        return restored

    def latents(self, images: Tensor) -> Tensor:
        """Return the pooled bottleneck, (B, 16 · width)."""
        pooled: Tensor = self.encoder(images).mean(dim=(2, 3))
        return pooled


def _block(before: int, after: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True))


def _enlarging(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2), _block(before, after, stride=1))
