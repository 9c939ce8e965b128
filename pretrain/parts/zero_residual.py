"""Initialise residual blocks to the identity (Goyal et al., arXiv:1706.02677, section 5.1)."""

from __future__ import annotations

from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck


def zero_init_residual(encoder: nn.Module) -> None:
    """Initialise every residual block of a ResNet to the identity: its last batch norm scales by 0."""
    for block in encoder.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            nn.init.zeros_((block.bn3 if isinstance(block, Bottleneck) else block.bn2).weight)
