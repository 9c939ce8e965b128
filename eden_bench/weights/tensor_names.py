"""Rename tensors that other code names differently: under wrappers, as children of a Sequential, torchvision's ViT."""

from __future__ import annotations

import re

import torch

from eden_bench.weights.architectures import Tensors

_WRAPPERS = re.compile(
    r"(?:_orig_mod|_checkpoint_wrapped_module|_fsdp_wrapped_module)\."
    r"|(?:(?<=\d\.)|(?<=blocks\.)|(?<=layers\.)|(?<=features\.)|(?<=downsample\.)|(?<=attn\.)|(?<=mlp\.)|(?<=norm\.)"
    r"|(?<=proj\.)|(?<=conv\.)|(?<=patch_embed\.))module\."
)
"""What torch.compile, checkpointing, FSDP and DataParallel put into names, the last one only inside a network's own."""
_ROOT = r"(?P<prefix>(?:.*[/.])?)"
_CHILDREN = (
    (
        "ResNet",
        re.compile(_ROOT + r"5\.0\.conv1\.weight"),
        {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4", "9": "fc"},
    ),
    (
        "DenseNet",
        re.compile(_ROOT + r"0\.denseblock2\.denselayer1\.norm\.?1\.weight"),
        {"0": "features", "1": "classifier"},
    ),
    (
        "DenseNet's features",
        re.compile(_ROOT + r"6\.denselayer1\.norm\.?1\.weight"),
        {"0": "features.conv0", "1": "features.norm0", "11": "features.norm5"}
        | {str(2 + 2 * number): f"features.denseblock{number}" for number in range(1, 5)}
        | {str(3 + 2 * number): f"features.transition{number}" for number in range(1, 4)},
    ),
    (
        "DenseNet's features by name",
        re.compile(_ROOT + r"(?<!features\.)denseblock2\.denselayer1\.norm\.?1\.weight"),
        {name: f"features.{name}" for name in ("conv0", "norm0", "norm5")}
        | {f"{part}{n}": f"features.{part}{n}" for part in ("denseblock", "transition") for n in range(1, 5)},
    ),
)  # fmt: skip
"""Networks that were taken apart: which, a name that shows it, and what each child is in the whole one."""
_VIT_SIGN = re.compile(_ROOT + r"encoder\.layers\.encoder_layer_0\.self_attention\.in_proj_weight")
_VIT_NAMES = (
    (r"^class_token$", "cls_token"),
    (r"^conv_proj\.", "patch_embed.proj."),
    (r"^encoder\.pos_embedding$", "pos_embed"),
    (r"^encoder\.ln\.", "norm."),
    (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
    (r"^(blocks\.\d+\.)ln_([12])\.", r"\1norm\2."),
    (r"^(blocks\.\d+\.)self_attention\.in_proj_", r"\1attn.qkv."),
    (r"^(blocks\.\d+\.)self_attention\.out_proj\.", r"\1attn.proj."),
    (r"^(blocks\.\d+\.)mlp\.(?:0|linear_1)\.", r"\1mlp.fc1."),
    (r"^(blocks\.\d+\.)mlp\.(?:3|linear_2)\.", r"\1mlp.fc2."),
)


def translated(tensors: Tensors) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Rename a checkpoint's tensors to torchvision's and timm's names.

    Returns:
        The tensors, and for each prefix under which a network was renamed, how.
    """
    tensors, told = _unwrapped(tensors), dict[str, str]()
    for what, sign, children in _CHILDREN:
        for prefix in _prefixes(tensors, sign):
            tensors = {_child(name, prefix, children): value for name, value in tensors.items()}
            told[prefix.removesuffix("features.")] = f"names: those of a {what}, taken apart into its children"
    for prefix in _prefixes(tensors, _VIT_SIGN):
        tensors = {_vit_name(name, prefix): value for name, value in tensors.items()}
        told[prefix] = "names: torchvision's of a ViT"
    return tensors, told


def _unwrapped(tensors: Tensors) -> dict[str, torch.Tensor]:
    """Remove wrappers' names; if two names would then be one, it is no wrapper."""
    plain = {_WRAPPERS.sub("", name): value for name, value in tensors.items()}
    return plain if len(plain) == len(tensors) else dict(tensors)


def _prefixes(tensors: Tensors, sign: re.Pattern[str]) -> list[str]:
    return sorted({match["prefix"] for name in tensors if (match := sign.fullmatch(name))})


def _child(name: str, prefix: str, children: dict[str, str]) -> str:
    first, dot, rest = name.removeprefix(prefix).partition(".")
    if not name.startswith(prefix) or first not in children:
        return name
    before = prefix.removesuffix("features.") if children[first].startswith("features.") else prefix
    return f"{before}{children[first]}{dot}{rest}"


def _vit_name(name: str, prefix: str) -> str:
    if not name.startswith(prefix):
        return name
    own = name[len(prefix) :]
    for pattern, ours in _VIT_NAMES:
        own = re.sub(pattern, ours, own)
    return prefix + own


STRANGERS = (
    ("torchvision's own Swin", r"features\.\d\.\d+\.attn\.(qkv\.weight|relative_position_bias_table)"),
    ("torchvision's own EfficientNet or MobileNet", r"features\.\d\.\d+\.block\.\d\.\d\.weight"),
    ("torchvision's own ConvNeXt", r"features\.\d\.\d+\.block\.0\.weight"),
    ("a ViT under Hugging Face's names", r"encoder\.layer\.\d+\.attention\.attention\.query\.weight"),
    ("a Swin under Hugging Face's names", r"encoder\.layers\.\d\.blocks\.\d+\.attention\.self\.query\.weight"),
    ("OpenAI CLIP's or OpenCLIP's own ViT", r"transformer\.resblocks\.\d+\.attn\.in_proj_weight"),
    ("detectron2's ResNet, with its stride in the 1×1 convolution where it came from Caffe", r"res2\.0\.conv1\.weight"),
    ("a VGG or an AlexNet", r"features\.\d+\.weight"),
    ("an Inception", r"Mixed_5b\.branch1x1\.conv\.weight"),
)
"""Networks or names that are not read, and a name that shows each."""


def stranger(tensors: Tensors) -> str:
    """Return the name of a network that is recognised but not supported, "" otherwise."""
    found = (what for what, sign in STRANGERS if any(re.search(rf"(^|[/.])({sign})", name) for name in tensors))
    return next(found, "")
