"""Medical-MAE: restore radiographs from a tenth of their patches (Xiao et al., WACV 2023, arXiv:2210.12843).

A masked autoencoder (He et al., CVPR 2022, arXiv:2111.06377): the ViT encodes the visible patches only, a small
decoder gets them with a mask token at every hidden place, and its squared error counts on hidden patches only.
Not as in the paper: anchors are resized bilinearly, not bicubically.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from eden_bench.contracts import MethodCard, PretrainConfig, Schedule, Stage, ViewRecipe, Views, at_least, in_range
from eden_bench.contracts.pretrain_method import PretrainMethod
from eden_bench.encoders import build_encoder
from eden_bench.encoders.transformers import ViTEncoder
from eden_bench.errors import UsageError
from eden_bench.registry import register_method
from pretrain.engine.optimisation import adamw
from pretrain.parts.masking import masking_recipe, patchify, shuffled_places
from pretrain.published import adams_figure
from pretrain.views.recipes import ANCHORS
from pretrain.views.uploading import uploaded


@dataclass(frozen=True, kw_only=True)
class MedicalMAEConfig(PretrainConfig):
    """Medical-MAE's settings: ViT-B/16, rates at a batch of 256 (1.5e-4 · batch / 256)."""

    arch: str = "vit_base_patch16_224"
    epochs: int = 800
    lr: float = 1.5e-4
    """At a batch of 256. It does not follow ``batch_size``: by the linear rule it is 1.5e-4 · batch_size / 256."""
    momentum: float = 0.9
    """β1 of AdamW."""
    beta2: float = 0.95
    weight_decay: float = 0.05
    warmup_epochs: int = 40
    mask_ratio: float = 0.9
    """Share of the patches that are hidden; MAE's own is 0.75."""
    norm_pix_loss: bool = False
    """Whether each patch's pixels are standardised before they are compared, as MAE does and Medical-MAE does not."""
    decoder_dim: int = 512
    decoder_blocks: int = 8
    decoder_heads: int = 16
    crop_scale: tuple[float, float] = (0.5, 1.0)

    quick: ClassVar[Mapping[str, Any]] = {
        "arch": "vit_mini_patch8_64",
        "lr": 1e-3,
        "warmup_epochs": 2,
        "decoder_dim": 64,
        "decoder_blocks": 2,
        "decoder_heads": 4,
    }
    """The smallest ViT, since no ResNet will do; a higher learning rate for the few steps."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        in_range("mask_ratio", self.mask_ratio, 0.01, 0.99)
        in_range("beta2", self.beta2, 0, 1)
        at_least("decoder_blocks", self.decoder_blocks, 1)
        if self.decoder_heads < 1 or self.decoder_dim % (4 * self.decoder_heads):
            raise ValueError(f"decoder_dim must be a multiple of 4 * decoder_heads, not {self.decoder_dim}")


class Decoder(nn.Module):
    """Transformer decoder from the visible tokens to the pixels of every patch."""

    positions: Tensor

    def __init__(self, encoder: ViTEncoder, config: MedicalMAEConfig) -> None:
        super().__init__()
        dim, side = config.decoder_dim, config.size_px // encoder.patch_px
        self.embed = nn.Linear(encoder.out_channels, dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, dim))
        self.register_buffer("positions", sin_cos_positions(dim, side), persistent=False)
        blocks = (
            Block(dim, config.decoder_heads, qkv_bias=True, norm_layer=LayerNorm) for _ in range(config.decoder_blocks)
        )
        self.blocks = nn.Sequential(*blocks)
        self.norm = LayerNorm(dim)
        self.pixels = nn.Linear(dim, encoder.patch_px**2 * 3)

    def forward(self, tokens: Tensor, visible: Tensor) -> Tensor:
        """Return the pixels of all N patches, (B, N, patch_px² · 3).

        Args:
            tokens: (B, 1 + V, C), the encoder's output, class token first.
            visible: (B, V) int64, which patches the others are.
        """
        first, known = self.embed(tokens).split([1, visible.shape[1]], dim=1)
        batch, dim, places = len(tokens), known.shape[2], self.positions.shape[1] - 1
        hidden = self.mask_token.to(known.dtype).expand(batch, places, dim)
        everywhere = hidden.scatter(1, visible[:, :, None].expand(-1, -1, dim), known)
        decoded = self.norm(self.blocks(torch.cat([first, everywhere], dim=1) + self.positions))
        pixels: Tensor = self.pixels(decoded[:, 1:])
        return pixels


@register_method("medical-mae")
class MedicalMAE(PretrainMethod):
    """Masked autoencoder: a ViT on the visible tenth of the patches, and a decoder that is discarded."""

    Config = MedicalMAEConfig
    config: MedicalMAEConfig
    card = MethodCard(
        title="Medical-MAE",
        paper="Xiao et al., WACV 2023, arXiv:2210.12843; MAE: He et al., CVPR 2022, arXiv:2111.06377",
        licence="Apache-2.0 (Medical-MAE's code), CC BY-NC 4.0 (MAE's code and weights)",
        backbone="ViT-B/16; other ViTs by config (the paper's ViT-S has decoder_blocks=2)",
        data="ChestX-ray14, CheXpert and MIMIC-CXR; in the Adam paper ChestX-ray14 train",
        differences=(
            "batch 256 at 1.5e-4; the paper's batch is 2048 at 1.2e-3; which ViT the Adam paper used is not stated",
            "crops are resized bilinearly, not bicubically",
            "fine-tuned with a linear head on the mean patch token, standardised over its channels (fc_norm, whose "
            "scale and shift the head takes over); the U-Net takes the tokens after each quarter of the blocks, "
            "resized to strides 4 to 32",
            "fine-tuning normalises with ImageNet's mean and s.d., as for every method; pretraining with "
            "ChestX-ray14's",
            "the checkpoint of the lowest validation loss is handed on unless select = 'last', which is the paper's",
            ANCHORS,
        ),
        reference=adams_figure("medical-mae"),
    )

    def __init__(self, config: MedicalMAEConfig) -> None:
        super().__init__()
        self.config = config
        encoder = build_encoder(config.arch).for_size(config.size_px)
        if not isinstance(encoder, ViTEncoder):
            raise UsageError(f"medical-mae: arch is {config.arch!r}, expected a ViT such as 'vit_base_patch16_224'")
        self.encoder = encoder
        self.decoder = Decoder(encoder, config)
        _initialise(self)

    def recipes(self, stage: Stage) -> tuple[ViewRecipe, ...]:
        """Return one view: cropped, flipped, and normalised by ChestX-ray14's statistics."""
        return (masking_recipe(self.config.size_px, self.config.crop_scale).normalised("chest-x-ray"),)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return AdamW; no weight decay on vectors and biases."""
        return {"main": adamw(self, self.config, betas=(self.config.momentum, self.config.beta2))}

    def schedule(self, turn: str) -> Schedule:
        """Return a linear warm-up and half a cosine to 0, step by step."""
        return Schedule(per="step", warmup_epochs=self.config.warmup_epochs)

    def losses(self, views: Views, turn: str = "main") -> dict[str, Tensor]:
        """Compute the squared error of the hidden patches."""
        (images,) = views.images[:1]
        places = self.encoder.pos_embed.shape[1] - 1
        order = uploaded(shuffled_places(len(images), places, views.generator), images.device)
        visible = order[:, : visible_patches(places, self.config.mask_ratio)]
        predicted = self.decoder(self.encoder.norm(self.encoder.encode(images, visible)), visible)
        hidden = torch.ones_like(order).scatter(1, visible, 0)
        target = patchify(images, self.encoder.patch_px)
        return {"mse": masked_error(predicted, target, hidden, standardise=self.config.norm_pix_loss)}


def visible_patches(patches: int, mask_ratio: float) -> int:
    """Return the number of patches that the encoder sees: int(N (1 − ratio)), 19 of 196 at 0.9; at least one."""
    return max(1, int(patches * (1 - mask_ratio)))


def masked_error(predicted: Tensor, target: Tensor, hidden: Tensor, *, standardise: bool = False) -> Tensor:
    """Compute the mean over the hidden patches of each patch's mean squared error.

    Args:
        predicted: (B, N, P).
        target: (B, N, P), the patches' pixels.
        hidden: (B, N), 1 where a patch is hidden, 0 where the encoder saw it.
        standardise: compare with (x − mean) / sqrt(variance + 1e-6) of each patch, variance unbiased.
    """
    target = target.float()
    if standardise:
        variance, mean = torch.var_mean(target, dim=2, keepdim=True)
        target = (target - mean) / (variance + 1e-6).sqrt()
    errors = (predicted.float() - target).square().mean(dim=2)
    return (errors * hidden).sum() / hidden.sum()


def sin_cos_positions(dim: int, side: int) -> Tensor:
    """Return MAE's fixed positions of a side × side grid, (1, 1 + side², dim); the class token's is 0.

    The first half of the channels tells the column, the second the row; each is sin, then cos, of the coordinate times
    10000^(−i / (dim / 4)).
    """
    frequencies = 10_000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    one = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = one.expand(side, -1, -1), one[:, None].expand(-1, side, -1)
    grid = torch.cat([columns, rows], dim=2).flatten(0, 1)
    return torch.cat([torch.zeros(1, dim), grid.float()])[None]


def _initialise(method: MedicalMAE) -> None:
    """Initialise: Xavier-uniform linear layers, tokens N(0, 0.02²), fixed positions (MAE, appendix A.1)."""
    encoder = method.encoder
    for module in method.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.xavier_uniform_(encoder.patch_embed.proj.weight.flatten(1))
    for token in (encoder.cls_token, method.decoder.mask_token):
        nn.init.normal_(token, std=0.02)
    positions = sin_cos_positions(encoder.out_channels, method.config.size_px // encoder.patch_px)
    encoder.pos_embed.requires_grad_(False).copy_(positions)
