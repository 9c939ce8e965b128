"""The decoder of a U-Net on any ``Encoder``: segmentation-models-pytorch's decoder and head on our encoder's maps.

Fine-tuning and the methods that restore images stand on it (Ronneberger et al., MICCAI 2015, arXiv:1505.04597). With
a ResNet-50 and its weights copied, encoder and decoder compute what ``smp.Unet("resnet50")`` computes.
Not as in the paper, which does not say how it joins a transformer with a U-Net: a Swin's four maps enter at their own
strides, 4 to 32; a ViT's four, all of the stride of its patches, are resized bilinearly to those. The decoder's block
at stride 2 then has no skip.
"""

from __future__ import annotations

from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.encoders.base import Encoder

DECODER_CHANNELS = (256, 128, 64, 32, 16)
"""Channels of the decoder's blocks, coarsest first: segmentation-models-pytorch's default."""
_STRIDES = (2, 4, 8, 16, 32)
"""Input pixels per pixel of the maps that a decoder joins."""


class UNetDecoder(nn.Module):
    """Decode an encoder's maps to logits at the size of the images; nearest up-sampling, skips, batch norm."""

    def __init__(self, encoder: Encoder, outputs: int, decoder_channels: tuple[int, ...] = DECODER_CHANNELS) -> None:
        """Build the decoder for the encoder's channels and strides; weights from the surrounding ``seeded`` block."""
        super().__init__()
        absent = len(_STRIDES) - len(encoder.strides)
        self.strides = _STRIDES[absent:]
        self.fits = encoder.strides == self.strides
        self.body = UnetDecoder((3, *[0] * absent, *encoder.channels), decoder_channels)
        self.head = SegmentationHead(decoder_channels[-1], outputs, kernel_size=3)
        initialize_decoder(self.body)
        initialize_head(self.head)

    def forward(self, images: Tensor, maps: tuple[Tensor, ...]) -> Tensor:
        """Return logits (B, outputs, H, W) from the maps of images (B, 3, H, W), finest first."""
        joined = maps if self.fits else at_strides(maps, self.strides, images)
        logits: Tensor = self.head(self.body([images, *_empty(images, len(_STRIDES) - len(maps)), *joined]))
        return logits


def at_strides(maps: tuple[Tensor, ...], strides: tuple[int, ...], images: Tensor) -> tuple[Tensor, ...]:
    """Resize an encoder's maps to the decoder's strides (a ViT's all have the stride of its patches)."""
    height, width = images.shape[-2:]
    return tuple(
        functional.interpolate(one, (height // stride, width // stride), mode="bilinear", align_corners=False)
        for one, stride in zip(maps, strides, strict=True)
    )


def _empty(images: Tensor, count: int) -> list[Tensor]:
    """Return maps without channels at the finest strides, where an encoder has none."""
    height, width = images.shape[-2:]
    return [images.new_empty(len(images), 0, height // s, width // s) for s in _STRIDES[:count]]
