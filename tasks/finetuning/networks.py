"""The networks that are fine-tuned: a U-Net and a linear classifier, each on any ``Encoder``.

The U-Net is segmentation-models-pytorch's decoder and head on our encoder's maps; with a ResNet-50 and its
weights copied it computes what ``smp.Unet("resnet50")`` computes.
"""

from __future__ import annotations

import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.encoders import Encoder, seeded

_STRIDES = (2, 4, 8, 16, 32)
"""Input pixels per pixel of the maps that a U-Net's decoder joins."""


class UNet(nn.Module):
    """An encoder with a U-Net decoder (Ronneberger et al., MICCAI 2015, arXiv:1505.04597)."""

    def __init__(self, encoder: Encoder, structures: int, decoder_channels: tuple[int, ...], seed: int) -> None:
        super().__init__()
        depth = len(encoder.strides)
        self.encoder = encoder
        self.strides = _STRIDES[-depth:]
        with seeded(seed, "head"):
            self.decoder = UnetDecoder((3, *encoder.channels), decoder_channels[-depth:], n_blocks=depth)
            self.head = SegmentationHead(decoder_channels[-1], structures, kernel_size=3)
            initialize_decoder(self.decoder)
            initialize_head(self.head)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, structures, H, W) of images (B, 3, H, W)."""
        maps = self.encoder.maps(images)
        if self.encoder.strides != self.strides:
            maps = resized(maps, self.strides, images)
        logits: Tensor = self.head(self.decoder([images, *maps]))
        return logits


class Classifier(nn.Module):
    """Globally pooled features and one linear layer, weights N(0, 0.01²), bias 0."""

    def __init__(self, encoder: Encoder, labels: int, seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        with seeded(seed, "head"):
            self.head = nn.Linear(encoder.out_channels, labels)
            nn.init.normal_(self.head.weight, std=0.01)
            nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, labels) of images (B, 3, H, W)."""
        logits: Tensor = self.head(self.encoder.embed(images))
        return logits


def resized(maps: tuple[Tensor, ...], strides: tuple[int, ...], images: Tensor) -> tuple[Tensor, ...]:
    """Bring an encoder's maps to the decoder's strides (a ViT's all have the stride of its patches)."""
    height, width = images.shape[-2:]
    return tuple(
        functional.interpolate(one, (height // stride, width // stride), mode="bilinear", align_corners=False)
        for one, stride in zip(maps, strides, strict=True)
    )


def soft_dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Soft Dice over the flattened batch, all structures together: 1 - (2Σyp + 1) / (Σy + Σp + 1), in [0, 1).

    Args:
        logits: (B, S, H, W).
        masks: (B, S, H, W) in {0, 1}.
    """
    return soft_dice_of(soft_dice_sums(logits, masks))


def soft_dice_sums(logits: Tensor, masks: Tensor) -> Tensor:
    """Return (Σyp, Σy + Σp), (2,): what batches add up to before the loss of all of them is taken."""
    probabilities = logits.float().sigmoid()
    return torch.stack(((probabilities * masks).sum(), probabilities.sum() + masks.sum()))


def soft_dice_of(sums: Tensor) -> Tensor:
    """Soft Dice loss from the sums of ``soft_dice_sums``."""
    return 1 - (2 * sums[0] + 1) / (sums[1] + 1)
