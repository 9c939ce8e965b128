"""Any of timm's backbones as an encoder: ``NAME@SIDE+option=value``, such as ``vit_base_patch14_dinov2@518``.

The arch is timm's name, the input's side in pixels (``any`` for networks without a fixed one) and what differs from
timm's own arguments; everything that a network computes follows from it. Maps come from timm's
``forward_intermediates``: of a network whose layers all have one stride those after each quarter of its blocks, of
others each stage's; the last has passed the final norm. ``embed`` is timm's own pooling (``global_pool``). Drop-out and
stochastic depth are off; nothing is downloaded. Weights have timm's names, after ``body.``.
"""

from __future__ import annotations

import ast
import re
from typing import Any, cast

import timm
import torch
from timm.layers.drop import DropPath
from timm.layers.mlp import SwiGLUPacked
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor, nn

from eden_bench.encoders.base import Encoder, seeded
from eden_bench.errors import UsageError, unknown

_ARCH = re.compile(r"(?P<name>[a-z][a-z0-9_]*)@(?P<size>[1-9]\d{0,4}|any)(?P<options>(?:\+[a-z_]+=[\w.,()-]+)*)")
_OPTIONS = (
    "act_layer", "depth", "depths", "dims", "embed_dim", "global_pool", "init_values", "mlp_layer", "mlp_ratio",
    "no_embed_class", "num_heads", "num_reg_tokens", "patch_size", "pretrained_window_sizes", "qkv_bias", "qkv_fused",
    "ref_feat_shape", "reg_tokens", "scale_mlp", "window_size",
)  # fmt: skip
"""Arguments of timm's networks that an arch may set: none that reads a file or the network."""
_LAYERS = {"SwiGLUPacked": SwiGLUPacked}
"""Layers that timm takes as classes, by the names an arch has for them."""
_QUARTERS = 4


class TimmEncoder(Encoder):
    """One of timm's backbones; its positions are interpolated by timm's own rule for inputs of another side.

    Attributes:
        size_px: side of its input; absent where any will do.
        body: timm's network, without a classifier.
    """

    def __init__(self, arch: str, body: nn.Module, size_px: int | None) -> None:
        super().__init__()
        self.arch, self.body = arch, body
        if size_px:
            self.size_px = size_px
        layers = list(cast(Any, body).feature_info)
        steps = range(1, _QUARTERS + 1) if len({one["reduction"] for one in layers}) == 1 else range(len(layers))
        self._ends = [len(layers) * step // _QUARTERS - 1 if 0 not in steps else step for step in steps]
        self.channels = tuple(layers[end]["num_chs"] for end in self._ends)
        self.strides = tuple(layers[end]["reduction"] for end in self._ends)

    @property
    def out_channels(self) -> int:
        """Length D of the pooled embedding."""
        body = cast(Any, self.body)
        return int(getattr(body, "head_hidden_size", body.num_features))

    @property
    def reads(self) -> str:
        """How ``embed`` reads the network: timm's pooling, and where the norm stands."""
        body = cast(Any, self.body)
        head = getattr(body, "head", None)
        kind = getattr(body, "global_pool", None) or "avg"
        kind = kind if isinstance(kind, str) else getattr(kind, "pool_type", "avg")
        of = "patch tokens" if hasattr(body, "num_prefix_tokens") else "last map"
        pooled = {"token": "class token", "avg": f"mean of the {of}"}.get(kind, f"timm's pooling {kind!r} of the {of}")
        if _is_norm(getattr(body, "fc_norm", None)) or _is_norm(getattr(head, "norm", None)):
            return f"{pooled}, after a norm that follows the pooling"
        return f"{pooled}, {'after the last norm' if _is_norm(getattr(body, 'norm', None)) else 'without a last norm'}"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, finest first, the last one after the final norm."""
        last, maps = self._passed(images)
        return (*maps[:-1], self._as_map(last, maps[-1]))

    def maps_before_norm(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps as ``maps`` does, the last one before the final norm."""
        return tuple(self._passed(images)[1])

    def class_token(self, images: Tensor, *, before_norm: bool = False) -> Tensor:
        """Return the class token after the last block and the final norm, or before the norm, (B, D)."""
        body = cast(Any, self.body)
        if getattr(body, "cls_token", None) is None:
            return super().class_token(images)
        if not before_norm:
            return self._passed(images)[0][:, 0]
        ((_, prefix),) = body.forward_intermediates(
            images, indices=1, return_prefix_tokens=True, intermediates_only=True
        )
        return cast(Tensor, prefix[:, 0])

    def embed(self, images: Tensor) -> Tensor:
        """Return timm's pooled features, after the norm that follows the pooling if there is one, (B, D)."""
        body = cast(Any, self.body)
        return cast(Tensor, body.forward_head(body.forward_features(images), pre_logits=True))

    def for_size(self, size_px: int) -> Encoder:
        """Return this encoder for square inputs of another side; itself if the side is its own or any will do."""
        if size_px == getattr(self, "size_px", size_px):
            return self
        with seeded(0, "encoder"):
            other = build_timm(re.sub(r"@\d+", f"@{size_px}", self.arch))
        other.load_state_dict(_fitted(self.state_dict(), other))
        return other.train(self.training)

    def _passed(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        return cast(Any, self.body).forward_intermediates(images, indices=self._ends)

    def _as_map(self, last: Tensor, like: Tensor) -> Tensor:
        """Return timm's final features, tokens or channels last, as a map (B, D, H, W)."""
        if last.ndim == 3:
            patches = last[:, cast(Any, self.body).num_prefix_tokens :]
            return patches.transpose(1, 2).reshape(like.shape)
        return last.permute(0, 3, 1, 2) if getattr(self.body, "output_fmt", "NCHW") == "NHWC" else last


def build_timm(arch: str) -> TimmEncoder:
    """Build an encoder from its name, with timm's initialisation, drawn from the surrounding ``seeded`` block.

    Raises:
        UsageError: the name is not understood, timm has none such, or it does not take that side or option.
    """
    name = _ARCH.fullmatch(arch)
    if not name:
        raise UsageError(f"arch {arch!r}: expected NAME@SIDE or NAME@any of timm's, as in vit_base_patch14_dinov2@518")
    if not timm.is_model(name["name"]):
        raise unknown("arch", name["name"], timm.list_models())
    size_px = None if name["size"] == "any" else int(name["size"])
    options: dict[str, Any] = dict(_option(one, arch) for one in name["options"].split("+")[1:])
    if size_px:
        options["img_size"] = size_px
    try:
        body = timm.create_model(name["name"], pretrained=False, num_classes=0, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise UsageError(f"arch {arch!r} cannot be built by timm {timm.__version__}: {error}") from error
    _refuse_side(arch, body, size_px)
    _without_chance(body)
    return TimmEncoder(arch, body, size_px)


def _is_norm(module: nn.Module | None) -> bool:
    return module is not None and not isinstance(module, nn.Identity)


def _option(text: str, arch: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    if key not in _OPTIONS:
        raise unknown(f"option of arch {arch!r}", key, _OPTIONS)
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, _LAYERS.get(value, value)


def _refuse_side(arch: str, body: nn.Module, size_px: int | None) -> None:
    embedding = getattr(body, "patch_embed", None)
    patch_px = int(embedding.patch_size[0]) if embedding is not None else 1
    if size_px and size_px % patch_px:
        raise UsageError(f"arch {arch!r}: its side must be a multiple of {patch_px} pixels, not {size_px}")
    if embedding is not None and not size_px:
        raise UsageError(f"arch {arch!r}: its patches need a side in pixels, as in {arch.replace('@any', '@224')}")


def _without_chance(body: nn.Module) -> None:
    """Turn off what draws at random in training: the bench fine-tunes every network without."""
    for module in body.modules():
        if isinstance(module, DropPath):
            module.drop_prob = 0.0
        elif isinstance(module, nn.Dropout):
            module.p = 0.0


def _fitted(weights: dict[str, Tensor], other: TimmEncoder) -> dict[str, Tensor]:
    """Interpolate position embeddings to another encoder's grid, as timm does: bicubic, antialiased."""
    like = other.state_dict()
    return {
        name: value if value.shape == like[name].shape else _resampled(value, like[name])
        for name, value in weights.items()
    }


def _resampled(positions: Tensor, like: Tensor) -> Tensor:
    """Interpolate positions (1, P + h², C) to those of another square, (1, P + H², C); P is 0 or 1."""
    side = int(like.shape[1] ** 0.5)
    prefix = like.shape[1] - side**2
    return cast(Tensor, resample_abs_pos_embed(positions, [side, side], num_prefix_tokens=prefix)).to(torch.float32)
