"""Transformer encoders under timm's key names: ViT and Swin, at any input size.

An arch says all that its weights' shapes follow from: ``vit_base_patch16_224`` (Dosovitskiy et al., ICLR 2021,
arXiv:2010.11929) and ``swin_base_patch4_window6_192`` (Liu et al., ICCV 2021, arXiv:2103.14030); the last number is the
input's side in pixels. ``for_size`` gives the same encoder for another side: a ViT's position embeddings interpolated
bicubically; a Swin with the windows it was trained with, which are part of the network and no matter of its input.
Where a stage had a narrower one, its map being smaller, all four are in the name (``swin_…_window4-4-4-2_96``).
The networks are timm's, without dropout, stochastic depth and classifier; nothing of timm's is downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import torch
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.encoders import windows
from eden_bench.encoders.base import TRANSFORMERS, Encoder, seeded
from eden_bench.errors import UsageError, unknown

_VITS = {
    "mini": (128, 4, 4),
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
}
"""Width, blocks, heads; "mini" is ours, for the quick protocol."""
_SWINS = {
    "mini": (32, (1, 1, 2, 1), (1, 2, 4, 8)),
    "tiny": (96, (2, 2, 6, 2), (3, 6, 12, 24)),
    "small": (96, (2, 2, 18, 2), (3, 6, 12, 24)),
    "base": (128, (2, 2, 18, 2), (4, 8, 16, 32)),
    "large": (192, (2, 2, 18, 2), (6, 12, 24, 48)),
}
"""Width of the first stage, blocks a stage, heads a stage; "mini" is ours, for the quick protocol."""
LAYER_NORM_EPS = 1e-6
"""Of a ViT's layer norms."""
_NAME = re.compile(
    r"(?P<family>vit|swin)_(?P<width>[a-z]+)_patch(?P<patch>[1-9]\d*)(?:_window(?P<window>[1-9]\d*(?:(?:-[1-9]\d*){3})?))?"
    r"_(?P<size>[1-9]\d*)"
)


class TransformerEncoder(Encoder):
    """Base of ViT and Swin: exposes the patch embeddings, so that masked-image methods can replace some."""

    size_px: int
    patch_px: int

    def patches(self, images: Tensor) -> Tensor:
        """Return the patch embeddings before positions are added, (B, H / patch, W / patch, C)."""
        raise NotImplementedError

    def maps_of(self, patches: Tensor, *, final_norm: bool = True) -> tuple[Tensor, ...]:
        """Return the feature maps of patch embeddings; ``maps`` of images."""
        raise NotImplementedError

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, finest first, each (B, C_i, H / stride_i, W / stride_i)."""
        return self.maps_of(self.patches(images))

    def maps_before_norm(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps as ``maps`` does, the last one before the final norm."""
        return self.maps_of(self.patches(images), final_norm=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the last map, normalised, (B, D, H', W')."""
        return self.maps(images)[-1]

    def resized_name(self, size_px: int) -> str:
        """Return the arch of this encoder for another side."""
        return f"{self.arch.rpartition('_')[0]}_{size_px}"

    def for_size(self, size_px: int) -> Encoder:
        """Return this encoder resized to square inputs of another side; itself if the side is its own."""
        if size_px == self.size_px:
            return self
        with seeded(0, "encoder"):
            other = build_transformer(self.resized_name(size_px))
        other.load_state_dict(fitted(self.state_dict(), other.state_dict()))
        return other.train(self.training)


class ViTEncoder(TransformerEncoder, VisionTransformer):  # type: ignore[misc]  # timm's forward takes a mask
    """A ViT whose maps are the patch tokens after each quarter of its blocks, all with the stride of a patch.

    The last map has passed the final norm; a U-Net resizes the four to strides 4, 8, 16 and 32. ``embed`` is MAE's
    global pool: the mean of the patch tokens, without the class token and before ``norm``, then a layer norm whose
    scale and shift are left to the linear head that follows (``fc_norm`` of the published code starts at 1 and 0).
    """

    pos_embed: nn.Parameter
    cls_token: nn.Parameter

    def __init__(self, arch: str, size_px: int, patch_px: int, width: int, blocks: int, heads: int) -> None:
        VisionTransformer.__init__(
            self,
            img_size=size_px,
            patch_size=patch_px,
            embed_dim=width,
            depth=blocks,
            num_heads=heads,
            num_classes=0,
            global_pool="",
        )
        self.arch, self.size_px, self.patch_px = arch, size_px, patch_px
        self.channels, self.strides = (width,) * 4, (patch_px,) * 4
        self._ends = tuple(blocks * quarter // 4 for quarter in (1, 2, 3, 4))

    @property
    def reads(self) -> str:
        """How ``embed`` reads the network."""
        return "mean of the patch tokens, before the last norm, standardised over the channels instead"

    def patches(self, images: Tensor) -> Tensor:
        """Return the patch embeddings, (B, H / patch, W / patch, C)."""
        tokens: Tensor = self.patch_embed(images)
        return tokens.reshape(len(tokens), *self.patch_embed.grid_size, -1)

    def maps_of(self, patches: Tensor, *, final_norm: bool = True) -> tuple[Tensor, ...]:
        """Return the patch tokens after each quarter of the blocks, as maps (B, C, H / patch, W / patch)."""
        grid, kept = patches.shape[1:3], []
        tokens = self.positioned(patches.flatten(1, 2))
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            kept += [tokens] * self._ends.count(number)
        if final_norm:
            kept[-1] = self.norm(kept[-1])
        return tuple(one[:, 1:].transpose(1, 2).unflatten(2, grid) for one in kept)

    def positioned(self, tokens: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Add position embeddings, keep the chosen patches (all if None) and prepend the class token.

        Args:
            tokens: (B, N, C), one a patch.
            chosen: (B, V) int64, the patches to go on with; None for all.

        Returns:
            (B, 1 + V, C).
        """
        tokens = tokens + self.pos_embed[:, 1:]
        if chosen is not None:
            tokens = tokens.gather(1, chosen[:, :, None].expand(-1, -1, tokens.shape[2]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        return torch.cat([first, tokens], dim=1)

    def encode(self, images: Tensor, chosen: Tensor | None = None) -> Tensor:
        """Return the tokens after the last block, before ``norm``: class token first, then the chosen patches."""
        tokens: Tensor = self.blocks(self.positioned(self.patches(images).flatten(1, 2), chosen))
        return tokens

    def class_token(self, images: Tensor, *, before_norm: bool = False) -> Tensor:
        """Return the class token after the last block and the final norm, or before the norm, (B, D)."""
        tokens = self.encode(images)
        kept: Tensor = tokens if before_norm else self.norm(tokens)
        return kept[:, 0]

    def embed(self, images: Tensor) -> Tensor:
        """Return the mean patch token, standardised over its channels, (B, D)."""
        pooled = self.encode(images)[:, 1:].mean(dim=1)
        return functional.layer_norm(pooled, pooled.shape[1:], eps=LAYER_NORM_EPS)


class SwinEncoder(TransformerEncoder, SwinTransformer):
    """A Swin whose maps are its four stages', strides 4 to 32; the last has passed the final norm.

    Attributes:
        windows: side of each stage's windows, in patches of the stage.
    """

    def __init__(
        self,
        arch: str,
        size_px: int,
        patch_px: int,
        sides: tuple[int, ...],
        width: int,
        blocks: tuple[int, ...],
        heads: tuple[int, ...],
    ) -> None:
        SwinTransformer.__init__(
            self,
            img_size=size_px,
            patch_size=patch_px,
            embed_dim=width,
            depths=blocks,
            num_heads=heads,
            window_size=cast(Any, sides),  # one a stage
            drop_path_rate=0.0,
            num_classes=0,
        )
        self.arch, self.size_px, self.patch_px, self.windows = arch, size_px, patch_px, sides
        self.channels = tuple(width * 2**stage for stage in range(len(blocks)))
        self.strides = tuple(patch_px * 2**stage for stage in range(len(blocks)))

    def resized_name(self, size_px: int) -> str:
        """Return the arch of this encoder for another side: the same windows, none wider than its stage's map."""
        kept = windows.within(self.windows, size_px, self.patch_px)
        return f"{self.arch.partition('_window')[0]}_window{windows.written(kept, size_px, self.patch_px)}_{size_px}"

    def patches(self, images: Tensor) -> Tensor:
        """Return the patch embeddings, (B, H / patch, W / patch, C)."""
        return cast(Tensor, self.patch_embed(images))

    def maps_of(self, patches: Tensor, *, final_norm: bool = True) -> tuple[Tensor, ...]:
        """Return the four stages' maps, finest first."""
        maps = []
        for stage in self.layers:
            patches = stage(patches)
            maps.append(patches)
        if final_norm:
            maps[-1] = self.norm(maps[-1])
        return tuple(one.permute(0, 3, 1, 2) for one in maps)


def build_transformer(arch: str) -> TransformerEncoder:
    """Build a ViT or Swin from its name, with timm's initialisation, drawn from the surrounding ``seeded`` block.

    Raises:
        UsageError: the name is not understood, or its numbers do not fit each other.
    """
    name = _NAME.fullmatch(arch)
    is_swin = bool(name and name["family"] == "swin")
    if not name or is_swin != bool(name["window"]) or name["width"] not in (_SWINS if is_swin else _VITS):
        raise unknown("arch", arch, TRANSFORMERS)
    size_px, patch_px = int(name["size"]), int(name["patch"])
    multiple = patch_px * 8 if is_swin else patch_px
    if size_px % multiple:
        raise UsageError(f"arch {arch!r}: its side must be a multiple of {multiple} pixels, not {size_px}")
    if is_swin:
        sides = windows.read(name["window"], size_px, patch_px)
        return SwinEncoder(arch, size_px, patch_px, sides, *_SWINS[name["width"]])
    return ViTEncoder(arch, size_px, patch_px, *_VITS[name["width"]])


def fitted(weights: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Resample position embeddings and crop relative-position tables to the shapes of another input size.

    Position embeddings are interpolated, bicubic with ``align_corners=False``, as MAE transfers its weights; the class
    token's is kept. A table holds a bias for each shift between two patches: a narrower window has fewer shifts, and
    each keeps its bias.

    Args:
        weights: a state dictionary.
        like: the other's, whose shapes are wanted.
    """
    result = dict(weights)
    for name, value in weights.items():
        if value.shape != like[name].shape:
            result[name] = (_resampled if name == "pos_embed" else _cropped)(value, like[name].shape)
    return result


def _resampled(positions: Tensor, shape: torch.Size) -> Tensor:
    """Interpolate positions (1, 1 + h², C) of a class token and a square grid to (1, 1 + H², C)."""
    old, new = (round((count - 1) ** 0.5) for count in (positions.shape[1], shape[1]))
    grid = positions[0, 1:].T.reshape(1, -1, old, old).float()
    grid = functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


def _cropped(table: Tensor, shape: torch.Size) -> Tensor:
    """Cut the middle out of a table (h², heads) of a square of shifts, (H², heads)."""
    old, new = round(len(table) ** 0.5), round(shape[0] ** 0.5)
    edge = (old - new) // 2
    return table.reshape(old, old, -1)[edge : edge + new, edge : edge + new].reshape(shape)
