"""Networks that are fine-tuned: a U-Net and a linear classifier, each on any ``Encoder``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eden_bench.encoders import Encoder, seeded
from eden_bench.encoders.unet import UNetDecoder
from tasks.finetuning.protocol import FinetuneProtocol


class UNet(nn.Module):
    """An encoder with a U-Net decoder (Ronneberger et al., MICCAI 2015, arXiv:1505.04597)."""

    def __init__(self, encoder: Encoder, structures: int, decoder_channels: tuple[int, ...], seed: int) -> None:
        super().__init__()
        self.encoder = encoder
        with seeded(seed, "head"):
            self.decoder = UNetDecoder(encoder, structures, decoder_channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, structures, H, W) of images (B, 3, H, W)."""
        logits: Tensor = self.decoder(images, self.encoder.maps(images))
        return logits


class Classifier(nn.Module):
    """Globally pooled features and one linear layer, weights N(0, 0.01²), bias 0."""

    protocol: FinetuneProtocol
    """How its inputs are made, for a task that looks at the fine-tuned network."""
    label_names: tuple[str, ...] = ()
    """What its outputs are, likewise."""

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


def soft_dice_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Compute soft Dice over the flattened batch, structures together: 1 - (2Σyp + 1) / (Σy + Σp + 1), in [0, 1).

    Args:
        logits: (B, S, H, W).
        masks: (B, S, H, W) in {0, 1}.
    """
    return soft_dice_of(soft_dice_sums(logits, masks))


def soft_dice_sums(logits: Tensor, masks: Tensor) -> Tensor:
    """Return (Σyp, Σy + Σp), (2,), which are summed over batches before the loss is computed."""
    probabilities = logits.float().sigmoid()
    return torch.stack(((probabilities * masks).sum(), probabilities.sum() + masks.sum()))


def soft_dice_of(sums: Tensor) -> Tensor:
    """Compute the soft Dice loss from the sums of ``soft_dice_sums``."""
    return 1 - (2 * sums[0] + 1) / (sums[1] + 1)
