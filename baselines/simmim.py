"""SimMIM: predict the pixels of hidden squares with one linear layer (Xie et al., CVPR 2022, arXiv:2111.09886).

Squares of 32 pixels are hidden, whatever the model's own patch: their patch embeddings become a mask token, the
encoder sees all of them beside the visible ones, and its last map is turned into pixels by a 1×1 convolution and a
pixel shuffle. L1 on the hidden pixels only.
Not as in the paper: the warm-up starts from 0; anchors are resized bilinearly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from eden_bench.contracts import MethodCard, PretrainConfig, Schedule, Stage, ViewRecipe, Views, in_range
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import build_encoder
from eden_bench.encoders.transformers import TransformerEncoder
from eden_bench.errors import UsageError
from eden_bench.registry import register_method
from pretrain.engine.optimisation import adamw
from pretrain.parts.masking import draw_mask, enlarged, masking_recipe
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS
from pretrain.views.uploading import uploaded


@dataclass(frozen=True, kw_only=True)
class SimMIMConfig(PretrainConfig):
    """SimMIM's settings: Swin-B, the 100-epoch recipe, rates at a batch of 256 (base · 256 / 512)."""

    arch: str = "swin_base_patch4_window6_192"
    size_px: int = 192
    epochs: int = 100
    lr: float = 1e-4
    """Base 2e-4 · 256 / 512. It does not follow ``batch_size``: by the linear rule it is 2e-4 · batch_size / 512."""
    momentum: float = 0.9
    """β1 of AdamW."""
    beta2: float = 0.999
    weight_decay: float = 0.05
    warmup_epochs: int = 10
    final_lr_share: float = 0.05
    """Share of ``lr`` that the cosine ends at: 1e-5 of 2e-4, both scaled with the batch."""
    clip_norm: float = 5.0
    mask_unit_px: int = 32
    """Side of the squares that are hidden."""
    mask_ratio: float = 0.6
    crop_scale: tuple[float, float] = (0.67, 1.0)

    quick: ClassVar[Mapping[str, Any]] = {
        "arch": "swin_mini_patch4_window4_64",
        "mask_unit_px": 16,
        "lr": 1e-3,
        "warmup_epochs": 2,
    }
    """The smallest Swin, since no ResNet will do; a higher learning rate for the few steps."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        in_range("mask_ratio", self.mask_ratio, 0.01, 1)
        in_range("beta2", self.beta2, 0, 1)
        in_range("final_lr_share", self.final_lr_share, 0, 1)
        if self.mask_unit_px < 1 or self.size_px % self.mask_unit_px:
            raise ValueError(f"mask_unit_px must divide size_px = {self.size_px}, not {self.mask_unit_px}")

    @property
    def units(self) -> int:
        """Number of mask units along one side of a view."""
        return self.size_px // self.mask_unit_px

    @property
    def masked_units(self) -> int:
        """Number of mask units hidden in each view: the ratio of all, rounded up."""
        return math.ceil(self.mask_ratio * self.units**2)


@register_method("simmim")
class SimMIM(PretrainMethod):
    """An encoder, a mask token and a linear decoder."""

    Config = SimMIMConfig
    config: SimMIMConfig
    card = MethodCard(
        title="SimMIM",
        paper="Xie et al., CVPR 2022, arXiv:2111.09886",
        licence="MIT (original code)",
        backbone="Swin-B, 192 px, window 6; other Swins and ViTs by config",
        data="ImageNet; in the Adam paper ChestX-ray14 train",
        differences=(
            "batch 256 and base rate 2e-4 · 256 / 512, the 100-epoch recipe; the paper's batch is 2048",
            "the warm-up starts at 0, where the released one starts at 5e-7 of 2e-4",
            "a ViT has timm's absolute positions instead of the paper's shared relative-position bias, and neither its "
            "LayerScale (0.1) nor its drop path (0.1)",
            "fine-tuned at another size, a Swin keeps its windows of 6 (the paper's grow to 7 at 224 px, their tables "
            "interpolated); the U-Net takes a Swin's four stages at strides 4 to 32",
            "the checkpoint of the lowest validation loss is handed on unless select = 'last'",
            ANCHORS,
        ),
        reference=adams_figure("simmim"),
    )

    def __init__(self, config: SimMIMConfig) -> None:
        super().__init__()
        self.config = config
        encoder = build_encoder(config.arch).for_size(config.size_px)
        if not isinstance(encoder, TransformerEncoder):
            raise UsageError(f"simmim: arch is {config.arch!r}, expected a Swin or a ViT such as {SimMIMConfig.arch!r}")
        if config.mask_unit_px % encoder.patch_px:
            raise UsageError(
                f"simmim: mask_unit_px is {config.mask_unit_px}, expected a multiple of the encoder's patch, "
                f"{encoder.patch_px} px"
            )
        self.encoder = encoder
        stride = encoder.strides[-1]
        self.mask_token = nn.Parameter(torch.empty(encoder.channels[0]))
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        self.decoder = nn.Sequential(nn.Conv2d(encoder.out_channels, stride**2 * 3, 1), nn.PixelShuffle(stride))

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one view, cropped and flipped."""
        return (masking_recipe(self.config.size_px, self.config.crop_scale),)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return AdamW; no weight decay on vectors, biases, mask and class tokens, and a ViT's positions.

        A Swin's relative positions decay, as in the released code, whose rule against it matches no parameter's name.
        """
        betas = (self.config.momentum, self.config.beta2)
        return {"main": adamw(self, self.config, betas=betas, undecayed=("pos_embed", "cls_token"))}

    def schedule(self, turn: str) -> Schedule:
        """Return a linear warm-up, then what remains of a cosine to a floor, step by step."""
        config = self.config
        return Schedule(per="step", warmup_epochs=config.warmup_epochs, warmup_counts=True, floor=config.final_lr_share)

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute L1 between the hidden pixels and their predictions."""
        (images,) = views.images[:1]
        masked = draw_mask(len(images), self.config.units, self.config.masked_units, views.generator)
        units = uploaded(masked, images.device)
        predicted = self.decoder(self.encode(images, units))
        return {"l1": masked_l1(predicted, images, enlarged(units, self.config.mask_unit_px))}

    def encode(self, images: Tensor, units: Tensor) -> Tensor:
        """Encode images with mask tokens in place of hidden units (B, u, u); return the last map."""
        patches = self.encoder.patches(images)
        hidden = enlarged(units, patches.shape[1] // units.shape[1])[..., None]
        return self.encoder.maps_of(torch.where(hidden, self.mask_token.to(patches.dtype), patches))[-1]


def masked_l1(predicted: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """Compute the mean absolute error over hidden pixels and channels: Σ|x − x̂| M / (ΣM + 1e-5) / 3.

    Args:
        predicted: (B, 3, H, W).
        images: (B, 3, H, W), normalised.
        hidden: (B, H, W) bool.
    """
    mask = hidden[:, None].float()
    difference = (images.float() - predicted.float()).abs() * mask
    return difference.sum() / (mask.sum() + 1e-5) / images.shape[1]
