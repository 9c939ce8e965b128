"""Networks that are fine-tuned: a U-Net and a linear classifier, each on any ``Encoder``."""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor, nn

from eden_bench.encoders import Encoder, seeded
from eden_bench.encoders.unet import UNetDecoder
from tasks.finetuning import lora
from tasks.finetuning.protocol import FinetuneProtocol


class OnEncoder(nn.Module):
    """A network on an encoder, all of which is trained, or the head alone, or the head and low-rank updates."""

    encoder: Encoder
    encoder_is: Literal["trained", "frozen", "lora"] = "trained"

    def fix(self, protocol: FinetuneProtocol, seed: int) -> None:
        """Freeze the encoder, or give it low-rank updates drawn from the seed, as a protocol says.

        Raises:
            UsageError: low-rank updates of an encoder without attention.
        """
        self.encoder_is = protocol.encoder
        if protocol.encoder != "trained":
            self.encoder.requires_grad_(False)
        if protocol.encoder == "lora":
            with seeded(seed, "lora"):
                lora.add(self.encoder, protocol.lora_rank, protocol.lora_alpha)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what is trained; an encoder that is not stays in eval mode, its drop-path off."""
        super().train(mode)
        if self.encoder_is != "trained":
            self.encoder.eval()
        return self


class UNet(OnEncoder):
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


class Classifier(OnEncoder):
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
