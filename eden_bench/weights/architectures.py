"""Detect a network's architecture from the names and shapes of its weights, and rename them to ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from eden_bench.encoders import windows

Tensors = Mapping[str, torch.Tensor]


class Family(NamedTuple):
    """A family of architectures: the pattern of its tensor names, and how weights are mapped to one architecture."""

    name: str
    own: re.Pattern[str]
    """A name of the network itself, after any prefix."""
    sign: str
    """A pattern of names without which the others mean another family."""
    inside: str
    """How names inside the encoder start: a parameter there that ours has not is no head, it changes what it does."""
    arch: Callable[[Tensors], str]
    """Architecture from the network's weights under their own names; ValueError says what is not known."""
    look_alikes: str
    """Networks of the same names and shapes that compute something else."""


def _count(weights: Tensors, pattern: str) -> int:
    """Return one more than the largest number that a pattern's group takes, 0 where nothing fits."""
    numbers = [int(match[1]) for name in weights if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def _shape(weights: Tensors, name: str, axes: int) -> tuple[int, ...]:
    """Return the shape of the first entry that a pattern fits.

    Raises:
        ValueError: there is none, or it has another number of axes.
    """
    found = next((one for one in sorted(weights) if re.fullmatch(name, one)), None)
    if found is None or weights[found].ndim != axes:
        what = "is not in it" if found is None else f"has {weights[found].ndim} axes"
        raise ValueError(f"no whole network: {found or name.replace(chr(92), '')} {what}")
    return tuple(weights[found].shape)


def _resnet(weights: Tensors) -> str:
    width = _shape(weights, r"bn1\.(weight|bias|running_mean|running_var)", 1)[0]
    blocks = tuple(_count(weights, rf"layer{stage}\.(\d{{1,3}})\.") for stage in range(1, 5))
    bottleneck = any(".conv3." in name for name in weights)
    if not (blocks[3] or bottleneck) and width == 16 and blocks[0] == blocks[1] == blocks[2]:
        return f"resnet{6 * blocks[0] + 2}_cifar"
    names = {(2, 2, 2, 2): "resnet18", (3, 4, 23, 3): "resnet101"}
    names[3, 4, 6, 3] = "resnet50" if bottleneck else "resnet34"
    if blocks not in names or width > _WIDEST:
        raise ValueError(f"a ResNet of {blocks} blocks and width {width}")
    return names[blocks] if width == 64 else f"{names[blocks]}-w{width}"


_WIDEST = 256


def _vit(weights: Tensors) -> str:
    width, _, patch, _ = _shape(weights, r"patch_embed\.proj\.weight", 4)
    blocks = _count(weights, r"blocks\.(\d{1,3})\.")
    kinds = {(128, 4): "mini", (192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}
    if (width, blocks) not in kinds:
        raise ValueError(f"a ViT of width {width} and {blocks} blocks")
    if any("relative_position_bias" in name for name in weights):
        raise ValueError("a ViT with relative position bias (SimMIM's and BEiT's), which ours has not")
    _, tokens, channels = _shape(weights, "pos_embed", 3)
    side = round(max(tokens - 1, 1) ** 0.5)
    if tokens != 1 + side**2 or channels != width:
        raise ValueError(f"a ViT of {tokens} positions, not those of a class token and a square of patches")
    return f"vit_{kinds[width, blocks]}_patch{patch}_{side * patch}"


def _swin(weights: Tensors) -> str:
    if any(".cpb_mlp." in name or name.endswith("logit_scale") for name in weights):
        raise ValueError("a Swin of version 2")
    width, _, patch, _ = _shape(weights, r"patch_embed\.proj\.weight", 4)
    blocks = tuple(_count(weights, rf"layers\.{stage}\.blocks\.(\d{{1,3}})\.") for stage in range(4))
    kinds = {(32, 2): "mini", (96, 6): "tiny", (96, 18): "small", (128, 18): "base", (192, 18): "large"}
    if (width, blocks[2]) not in kinds:
        raise ValueError(f"a Swin of width {width} and {blocks} blocks")
    sides = _windows(weights)
    size_px = patch * 8 * sides[3]
    return f"swin_{kinds[width, blocks[2]]}_patch{patch}_window{windows.written(sides, size_px, patch)}_{size_px}"


def _windows(weights: Tensors) -> list[int]:
    """Return each stage's window: of a table that holds a bias for each of (2 window − 1)² shifts.

    Raises:
        ValueError: no table is there, or it is not of the window that the index beside it is of.
    """
    table = r"layers\.{}\.blocks\.\d+\.attn\.relative_position_{}"
    names = {stage: table.format(stage, "bias_table") for stage in range(4)}
    told = [stage for stage, pattern in names.items() if any(re.fullmatch(pattern, name) for name in weights)]
    sides = []
    for stage in names:
        nearest = min(told, key=lambda one: abs(one - stage), default=stage)
        rows, _ = _shape(weights, names[nearest], 2)
        sides.append((round(rows**0.5) + 1) // 2)
        for name in weights:
            if re.fullmatch(table.format(stage, "index"), name) and len(weights[name]) != sides[-1] ** 2:
                raise ValueError(f"a Swin whose window by its table is {sides[-1]}, and another by {name}")
    return sides


def _efficientnet(weights: Tensors) -> str:
    heads = {(32, 16): 0, (32, 23): 2, (32, 26): 3}
    flat = _count(weights, r"_blocks\.(\d{1,3})\.")
    stem = _shape(weights, r"_bn0\.(weight|bias)" if flat else r"bn1\.(weight|bias)", 1)[0]
    blocks = flat or sum(_count(weights, rf"blocks\.{stage}\.(\d{{1,3}})\.") for stage in range(7))
    excited = any("_se_" in name or ".se." in name for name in weights)
    if excited or (stem, blocks) not in heads:
        raise ValueError(f"an EfficientNet of {blocks} blocks" + (" with squeeze-and-excitation" if excited else ""))
    return f"tf_efficientnet_lite{heads[stem, blocks]}"


def _densenet(weights: Tensors) -> str:
    pattern = r"features\.denseblock{}\.denselayer(\d{{1,3}})\."
    layers = tuple(_count(weights, pattern.format(block)) - 1 for block in (1, 2, 3, 4))
    kinds = {(6, 12, 24, 16): "densenet121", (6, 12, 32, 32): "densenet169"}
    if layers not in kinds:
        raise ValueError(f"a DenseNet of {layers} layers")
    return kinds[layers]


_NORM = r"(?:weight|bias|running_mean|running_var|num_batches_tracked)"
FAMILIES = (
    Family(
        "ResNet",
        re.compile(rf"(?:layer[1-4]\.\d+\.(?:conv\d|bn\d|downsample\.\d)\.{_NORM}|conv1\.weight|bn1\.{_NORM})"),
        r"layer2\.0\.",
        r"layer\d|conv\d|bn\d|stem",
        _resnet,
        "a ResNet that is dilated or, of bottlenecks, has its stride in the 1×1 convolution (Caffe's, Keras's, MSRA's)",
    ),
    Family(
        "Swin",
        re.compile(r"(?:patch_embed\.(?:proj|norm)\.\w+|layers\.\d+\.(?:blocks|downsample)\..+|norm\.(?:weight|bias))"),
        r"layers\.\d\.blocks\.\d+\.attn\.",
        r"layers|patch_embed|absolute_pos_embed|pos_embed",
        _swin,
        "a Swin whose layer norms have another epsilon than 1e-5",
    ),
    Family(
        "ViT",
        re.compile(
            r"(?:cls_token|pos_embed|patch_embed\.proj\.\w+|blocks\.\d+\.(?:attn|mlp|norm\d|ls\d)\..+|norm\.(?:weight|bias))"
        ),
        r"blocks\.\d+\.attn\.",
        r"blocks|patch_embed|cls_token|pos_embed|dist_token|reg(ister)?_token|norm_pre|rel_pos|rope",
        _vit,
        "a ViT with another activation than GELU (OpenAI CLIP's quick GELU) or another epsilon than 1e-6 in its norms",
    ),
    Family(
        "EfficientNet",
        re.compile(
            rf"(?:_?conv_(?:stem|head)\.weight|_?bn[0-2]\.{_NORM}|_blocks\.\d+\._.+|blocks\.\d+\.\d+\.(?:conv|bn|se).+)"
        ),
        r"_blocks\.\d+\._depthwise_conv|blocks\.\d+\.\d+\.conv_dw",
        r"_?blocks|_?conv_|_?bn\d",
        _efficientnet,
        "an EfficientNet that pads evenly (PyTorch's, not TensorFlow's), or whose norms have an epsilon of 1e-5",
    ),
    Family(
        "DenseNet",
        re.compile(rf"features\.\w+(?:\.\w+)*\.{_NORM}"),
        r"features\.denseblock\d\.",
        r"features",
        _densenet,
        "a DenseNet for input on another scale (torchxrayvision's -1024 to 1024)",
    ),
)


_HANDLED = re.compile(r"(relative_position_index|attn_mask)$")
"""Tables that follow from the architecture; timm computes them."""


def under_our_names(family: Family, arch: str, weights: Tensors) -> dict[str, torch.Tensor]:
    """Rename an encoder's weights to the names that ours uses; what is not its own keeps its name."""
    kept = {name: value for name, value in weights.items() if not _HANDLED.search(name)}
    if family.name == "Swin":
        return _swin_names(kept)
    if family.name == "EfficientNet" and any(name.startswith("_blocks.") for name in kept):
        return _efficientnet_names(arch, kept)
    if family.name == "DenseNet":  # torchvision's own files are older than its names
        return {re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name): kept[name] for name in kept}
    return kept


def _swin_names(weights: Tensors) -> dict[str, torch.Tensor]:
    """Move each merging of patches to the stage it leads to, where timm keeps it and the original has it one before."""
    if not any(name.startswith("layers.0.downsample.") for name in weights):
        return dict(weights)
    return {
        re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name): value
        for name, value in weights.items()
    }


_STAGES = {0: (1, 2, 2, 3, 3, 4, 1), 2: (1, 3, 3, 4, 4, 5, 1), 3: (1, 3, 3, 5, 5, 6, 1)}
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_LATER = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}  # fmt: skip
_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


def _efficientnet_names(arch: str, weights: Tensors) -> dict[str, torch.Tensor]:
    """Rename from the flat list of blocks of the PyTorch ports to timm's stages."""
    places = [(stage, block) for stage, count in enumerate(_STAGES[int(arch[-1])]) for block in range(count)]
    renamed = {}
    for name, value in weights.items():
        head, _, rest = name.partition(".")
        if head == "_blocks" and re.fullmatch(r"\d{1,2}\.\w+\..+", rest):
            number, part, tail = rest.split(".", 2)
            stage, block = places[int(number)]
            own = (_FIRST if stage == 0 else _LATER).get(part, part)
            renamed[f"blocks.{stage}.{block}.{own}.{tail}"] = value
        else:
            renamed[f"{_ENDS.get(head, head)}.{rest}"] = value
    return renamed
