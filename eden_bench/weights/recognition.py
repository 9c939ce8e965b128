"""Finding the encoder in a checkpoint: which part of it, which architecture, and under which of its names.

A checkpoint's dialect is its nesting (``state_dict/``, ``model/``, ``teacher/``) and its prefixes (``module.``,
``encoder_q.``, ``backbone.``). Both are found by looking for the names that every network of a family has, so a
dialect nobody has listed is read too; where two networks are found, a rule says which is meant, and where no rule
does, nobody guesses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch

from eden_bench.errors import WeightsRefused

Tensors = Mapping[str, torch.Tensor]


class Family(NamedTuple):
    """A kind of network: the names it has, and how its weights tell which one it is."""

    name: str
    own: re.Pattern[str]
    """A name of the network itself, after any prefix."""
    sign: str
    """A name without which the others mean another family."""
    arch: Callable[[Tensors], str]
    """Architecture from the network's weights under their own names; ValueError says what is not known."""


@dataclass(frozen=True)
class Found:
    """One network in a checkpoint."""

    family: Family
    prefix: str
    """Path and prefix before its names, for example "state_dict/module.encoder_q."."""
    weights: dict[str, torch.Tensor]
    """By its own names."""


DIALECTS = (
    ("MoCo (also Adam's and DiRA's) query", r"encoder_q\."),
    ("OpenSelfSup (DenseCL) query", r"encoder_q\.0\."),
    ("momentum key", r"encoder_k\."),
    ("DINO teacher", r"teacher[/.]"),
    ("DINO student", r"student[/.]"),
    ("averaged copy", r"(ema|momentum|target)[^/]*[/.]"),
    ("BYOL online", r"online[^/]*\."),
    ("smp U-Net or SimMIM encoder", r"^(state_dict/|model/)?(module\.)?encoder\.$"),
    ("backbone of a larger model (VICRegL, mmselfsup, Lightning)", r"(backbone|model|net)\.$"),
    ("model of a training checkpoint (MAE, timm)", r"^(model|model_state|network)/$"),
    ("data-parallel", r"module\.$"),
    ("training checkpoint", r"^state_dict/$"),
    ("bare state dictionary (torchvision, timm)", r"^$"),
)
"""What people call a prefix; the first that fits names it."""

_AVERAGED = re.compile(r"(encoder_k|momentum|(?<![a-z])ema|model_ema|target)")
_TEACHER, _STUDENT = re.compile(r"(^|[/.])teacher[/._]"), re.compile(r"(^|[/.])student[/._]")


def dialect(prefix: str) -> str:
    """Name the dialect of a prefix."""
    return next((name for name, pattern in DIALECTS if re.search(pattern, prefix)), f"prefix {prefix!r}")


def find(tensors: Tensors, prefix: str | None = None) -> tuple[Found, list[str]]:
    """Find the encoder.

    Args:
        tensors: by path and name.
        prefix: of the encoder, where the user says so.

    Returns:
        The encoder, and the prefixes of other networks of the same file that were passed over.

    Raises:
        WeightsRefused: there is none, or several and no rule which is meant; names them.
    """
    candidates = _candidates(tensors)
    if prefix is not None:
        named = [one for one in candidates if one.prefix == prefix or one.prefix.rpartition("/")[2] == prefix]
        if len(named) != 1:
            raise WeightsRefused(
                f"prefix {prefix!r} is of {len(named)} networks, expected one of: {_listed(candidates)}"
            )
        return named[0], [one.prefix for one in candidates if one is not named[0]]
    if not candidates:
        shown = ", ".join(list(tensors)[:4])
        raise WeightsRefused(
            f"no encoder that is known here is in these {len(tensors)} tensors ({shown}, …): expected a ResNet, ViT, "
            "Swin, EfficientNet-Lite or DenseNet under its torchvision or timm names, after any prefix"
        )
    chosen = _meant(candidates)
    return chosen, [one.prefix for one in candidates if one is not chosen]


def _candidates(tensors: Tensors) -> list[Found]:
    """Return the networks in a checkpoint, one a family and prefix, without copies under another name."""
    found: list[Found] = []
    for family in FAMILIES:
        votes = Counter(match["prefix"] for name in tensors if (match := _parts(family, name)))
        for prefix, count in votes.items():
            own = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
            if count >= _LEAST_NAMES and any(re.match(family.sign, name) for name in own):
                found.append(Found(family, prefix, own))
    largest = max((len(_own_names(one)) for one in found), default=0)
    whole = [one for one in found if len(_own_names(one)) > largest // 2]
    return [one for place, one in enumerate(whole) if not any(_same(one, other) for other in whole[:place])]


_LEAST_NAMES = 8


def _parts(family: Family, name: str) -> re.Match[str] | None:
    """Split a name into prefix and own name, the prefix as short as can be."""
    return re.fullmatch(rf"(?P<prefix>(?:.*?[/.])??)(?P<name>{family.own.pattern})", name)


def _own_names(found: Found) -> list[str]:
    return [name for name in found.weights if found.family.own.fullmatch(name)]


def _same(one: Found, other: Found) -> bool:
    """Whether two networks share their values: an alias, as DenseCL's ``backbone`` is of ``encoder_q.0``."""
    names = _own_names(one)[:3]
    return one.family is other.family and all(
        name in other.weights
        and one.weights[name].shape == other.weights[name].shape
        and torch.equal(one.weights[name], other.weights[name])
        for name in names
    )


def _meant(candidates: list[Found]) -> Found:
    """Choose among networks: the student of a queue, the teacher of self-distillation, never an averaged copy."""
    left = [one for one in candidates if not _AVERAGED.search(one.prefix)] or candidates
    if any(_STUDENT.search(one.prefix) for one in left):
        left = [one for one in left if _TEACHER.search(one.prefix)] or left
    if len(left) > 1:
        raise WeightsRefused(f"there are {len(left)} networks in it, expected one: name its --prefix: {_listed(left)}")
    return left[0]


def _listed(candidates: Iterable[Found]) -> str:
    return ", ".join(repr(one.prefix) for one in candidates) or "none"


# ── families ─────────────────────────────────────────────────────────────────────────────────────


def _count(weights: Tensors, pattern: str) -> int:
    """Return one more than the largest number that a pattern's group takes, 0 where nothing fits."""
    numbers = [int(match[1]) for name in weights if (match := re.match(pattern, name))]
    return max(numbers, default=-1) + 1


def _resnet(weights: Tensors) -> str:
    stem = weights["conv1.weight"] if "conv1.weight" in weights else weights["bn1.weight"]
    _need_2d(weights)
    stages = _count(weights, r"layer(\d+)\.") - 1
    blocks = tuple(_count(weights, rf"layer{stage}\.(\d+)\.") for stage in range(1, stages + 1))
    width = stem.shape[0]
    bottleneck = any(".conv3." in name for name in weights)
    if stages == 3 and not bottleneck and width == 16 and len(set(blocks)) == 1:
        return f"resnet{6 * blocks[0] + 2}_cifar"
    names = {(2, 2, 2, 2): "resnet18", (3, 4, 23, 3): "resnet101"}
    names[3, 4, 6, 3] = "resnet50" if bottleneck else "resnet34"
    if blocks not in names:
        raise ValueError(f"a ResNet of {blocks} blocks")
    return names[blocks] if width == 64 else f"{names[blocks]}-w{width}"


def _vit(weights: Tensors) -> str:
    _need_2d(weights)
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    blocks = _count(weights, r"blocks\.(\d+)\.")
    kinds = {(128, 4): "mini", (192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}
    if (width, blocks) not in kinds:
        raise ValueError(f"a ViT of width {width} and {blocks} blocks")
    if "pos_embed" not in weights:
        raise ValueError("a ViT without position embeddings (relative position bias, say)")
    side = round((weights["pos_embed"].shape[1] - 1) ** 0.5)
    return f"vit_{kinds[width, blocks]}_patch{patch}_{side * patch}"


def _swin(weights: Tensors) -> str:
    width, _, patch, _ = weights["patch_embed.proj.weight"].shape
    blocks = tuple(_count(weights, rf"layers\.{stage}\.blocks\.(\d+)\.") for stage in range(4))
    kinds = {(32, 1): "mini", (96, 6): "tiny", (96, 18): "small", (128, 18): "base", (192, 18): "large"}
    if (width, blocks[2]) not in kinds:
        raise ValueError(f"a Swin of width {width} and {blocks} blocks")
    table = weights["layers.0.blocks.0.attn.relative_position_bias_table"]
    window = (round(table.shape[0] ** 0.5) + 1) // 2
    size_px = 64 if kinds[width, blocks[2]] == "mini" else window * 32
    return f"swin_{kinds[width, blocks[2]]}_patch{patch}_window{window}_{size_px}"


def _efficientnet(weights: Tensors) -> str:
    heads = {(32, 16): 0, (32, 23): 2, (32, 26): 3}
    stem = next(weights[name] for name in ("_conv_stem.weight", "conv_stem.weight") if name in weights)
    flat = _count(weights, r"_blocks\.(\d+)\.")
    blocks = flat or sum(_count(weights, rf"blocks\.{stage}\.(\d+)\.") for stage in range(7))
    excited = any("_se_" in name or ".se." in name for name in weights)
    if excited or (stem.shape[0], blocks) not in heads:
        raise ValueError(f"an EfficientNet of {blocks} blocks" + (" with squeeze-and-excitation" if excited else ""))
    return f"tf_efficientnet_lite{heads[stem.shape[0], blocks]}"


def _densenet(weights: Tensors) -> str:
    layers = tuple(_count(weights, rf"features\.denseblock{block}\.denselayer(\d+)\.") - 1 for block in (1, 2, 3, 4))
    kinds = {(6, 12, 24, 16): "densenet121", (6, 12, 32, 32): "densenet169"}
    if layers not in kinds:
        raise ValueError(f"a DenseNet of {layers} layers")
    return kinds[layers]


def _need_2d(weights: Tensors) -> None:
    for name, value in weights.items():
        if value.ndim == 5:
            raise ValueError(f"a network for volumes ({name} has {value.ndim - 2} spatial axes)")


_NORM = r"(?:weight|bias|running_mean|running_var|num_batches_tracked)"
FAMILIES = (
    Family(
        "ResNet",
        re.compile(rf"(?:layer[1-4]\.\d+\.(?:conv\d|bn\d|downsample\.\d)\.{_NORM}|conv1\.weight|bn1\.{_NORM})"),
        r"layer2\.0\.conv1\.weight",
        _resnet,
    ),
    Family(
        "Swin",
        re.compile(r"(?:patch_embed\.(?:proj|norm)\.\w+|layers\.\d+\.(?:blocks|downsample)\..+|norm\.(?:weight|bias))"),
        r"layers\.0\.blocks\.0\.attn\.",
        _swin,
    ),
    Family(
        "ViT",
        re.compile(
            r"(?:cls_token|pos_embed|patch_embed\.proj\.\w+|blocks\.\d+\.(?:attn|mlp|norm\d|ls\d)\..+|norm\.(?:weight|bias))"
        ),
        r"blocks\.0\.attn\.qkv\.weight",
        _vit,
    ),
    Family(
        "EfficientNet",
        re.compile(
            rf"(?:_?conv_(?:stem|head)\.weight|_?bn[0-2]\.{_NORM}|_blocks\.\d+\._.+|blocks\.\d+\.\d+\.(?:conv|bn|se).+)"
        ),
        r"_?conv_stem\.weight",
        _efficientnet,
    ),
    Family("DenseNet", re.compile(rf"features\.\w+(?:\.\w+)*\.{_NORM}"), r"features\.denseblock1\.", _densenet),
)


# ── names ────────────────────────────────────────────────────────────────────────────────────────

_HANDLED = re.compile(r"(relative_position_index|attn_mask)$")
"""Tables that follow from the architecture; timm computes them."""


def under_our_names(family: Family, arch: str, weights: Tensors) -> dict[str, torch.Tensor]:
    """Return an encoder's weights under the names that ours uses; what is not its own keeps its name."""
    kept = {name: value for name, value in weights.items() if not _HANDLED.search(name)}
    if family.name == "Swin":
        return _swin_names(kept)
    if family.name == "EfficientNet" and "_conv_stem.weight" in kept:
        return _efficientnet_names(arch, kept)
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
        if head == "_blocks":
            number, part, tail = rest.split(".", 2)
            stage, block = places[int(number)]
            own = (_FIRST if stage == 0 else _LATER).get(part, part)
            renamed[f"blocks.{stage}.{block}.{own}.{tail}"] = value
        else:
            renamed[f"{_ENDS.get(head, head)}.{rest}"] = value
    return renamed
