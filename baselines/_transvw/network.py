"""The network that learns TransVW's words (Haghighi et al., TMI 2021, arXiv:2102.10680)."""

from __future__ import annotations

from torch import Tensor, nn

from eden_bench.encoders import build_encoder
from eden_bench.encoders.unet import UNetDecoder


class WordNetwork(nn.Module):
    """U-Net that restores patches, with a classifier of words on its bottleneck."""

    def __init__(self, arch: str, words: int, decoder_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder = build_encoder(arch)
        width = self.encoder.out_channels
        self.decoder = UNetDecoder(self.encoder, 3, decoder_channels)
        self.before_pooling = nn.Sequential(
            nn.Conv2d(width, width // 2, 3, padding=1, bias=False), nn.BatchNorm2d(width // 2), nn.ReLU(inplace=True)
        )
        self.classifier = nn.Linear(width // 2, words)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, C) of the words, and restored patches (B, 3, H, W) in (0, 1)."""
        maps = self.encoder.maps(images)
        logits = self.classifier(self.before_pooling(maps[-1]).mean(dim=(2, 3)))
        return logits.float(), self.decoder(images, maps).float().sigmoid()
