"""Checkpoints with exactly the keys that published code writes, around a small network of known weights."""

import argparse
import functools
import re
import sys
import types
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import zeros

from eden_bench.encoders import build_encoder

RESNET, VIT, SWIN = "resnet18-w16", "vit_mini_patch8_64", "swin_mini_patch4_window4_64"
LITE, DENSENET, CIFAR = "tf_efficientnet_lite0", "densenet121", "resnet20_cifar"


@dataclass
class Written:
    """A checkpoint, and what is to be found in it."""

    content: dict
    prefix: str
    others: tuple = ()
    arch: str = RESNET
    dialect: str = ""
    how: dict = field(default_factory=dict)


@functools.cache
def source(arch=RESNET, seed=5):
    """An encoder with weights, norms and running statistics of its own."""
    encoder, draw = build_encoder(arch, seed), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if value.ndim == 1 and "token" not in name:
                value += 0.1 * torch.rand(value.shape, generator=draw)
    for name, value in encoder.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value += 0.1 * torch.rand(value.shape, generator=draw)
    return encoder.eval()


def weights(arch=RESNET, seed=5):
    return {name: value.clone() for name, value in source(arch, seed).state_dict().items()}


def under(prefix, state):
    return {prefix + name: value for name, value in state.items()}


MLP = {f"{layer}.{part}": zeros(4, 4) for layer in ("0", "2") for part in ("weight", "bias")}
OPTIMIZER = {"state": {0: {"momentum_buffer": zeros(3)}}, "param_groups": [{"lr": 0.03}]}
NAMESPACE = argparse.Namespace(lr=0.1, blr=None)


def settings(module, name, base=dict):
    """An object of a class that is importable while the file is written, and not when it is read."""
    kind = type(name, (base,), {"__module__": module})
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:end]), types.ModuleType(".".join(parts[:end])))
    setattr(sys.modules[module], name, kind)
    made = kind()
    made["lr"] = 0.1
    made.frozen = True
    return made


def moco(**more):
    state = {
        **under("module.encoder_q.", weights()), **under("module.encoder_q.fc.", MLP),
        **under("module.encoder_k.", weights(seed=6)), **under("module.encoder_k.fc.", MLP),
        "module.queue": zeros(4, 8), "module.queue_ptr": zeros(1, dtype=torch.long),
    }  # fmt: skip
    content = {"epoch": 200, "arch": "resnet50", "state_dict": state, "optimizer": OPTIMIZER, **more}
    return Written(content, "state_dict/module.encoder_q.", ("state_dict/module.encoder_k.",), dialect="MoCo")


def adam_best():
    return Written({**weights(), **under("fc.", MLP)}, "", dialect="bare")


def densecl_training():
    own, neck = weights(), {**under("mlp.", MLP), **under("mlp2.", MLP)}
    state = {
        **under("backbone.", own), **under("encoder_q.0.", own), **under("encoder_q.1.", neck),
        **under("encoder_k.0.", weights(seed=6)), **under("encoder_k.1.", neck),
        "queue": zeros(4, 8), "queue_ptr": zeros(1), "queue2": zeros(4, 8), "queue2_ptr": zeros(1),
    }  # fmt: skip
    content = {"meta": {"epoch": 1, "time": "now"}, "state_dict": state, "optimizer": OPTIMIZER}
    return Written(content, "state_dict/backbone.", ("state_dict/encoder_k.0.",), dialect="backbone")


def vicregl_full():
    parts = ("projector.", "maps_projector.", "classifier.")
    heads = {key: value for part in parts for key, value in under("module." + part, MLP).items()}
    model = {**under("module.backbone.", weights()), **heads}
    return Written({"epoch": 300, "model": model, "optimizer": OPTIMIZER}, "model/module.backbone.", dialect="backbone")


UNET = {f"decoder.blocks.{n}.conv{c}.0.weight": zeros(4, 4, 3, 3) for n in range(5) for c in (1, 2)} | {
    "segmentation_head.0.weight": zeros(1, 16, 3, 3),
    "segmentation_head.0.bias": zeros(1),
}


def dira_unet():
    return Written({**under("encoder.", weights()), **UNET}, "encoder.", dialect="smp U-Net")


def dira_full():
    networks = {"q": weights(), "k": weights(seed=6)}
    state = {}
    for letter, own in networks.items():
        state |= under(f"module.encoder_{letter}.backbone.", {**under("encoder.", own), **UNET})
        state |= under(f"module.encoder_{letter}.fc.", MLP)
    content = {"epoch": 800, "state_dict": {**state, "module.queue": zeros(4, 8)}, "optimizer": OPTIMIZER}
    found = "state_dict/module.encoder_{}.backbone.encoder."
    return Written(content, found.format("q"), (found.format("k"),), dialect="MoCo")


def pcrl():
    content = {
        "opt": NAMESPACE, "state_dict": weights(), "decoder_state_dict": UNET, "contrast": {"memory": zeros(4, 8)},
        "optimizer": OPTIMIZER, "epoch": 240, "model_ema": weights(seed=6),
    }  # fmt: skip
    return Written(content, "state_dict/", ("model_ema/",), dialect="training checkpoint")


def mae():
    own = weights(VIT)
    decoder = {f"decoder_blocks.0.{k.removeprefix('blocks.0.')}": v for k, v in own.items() if k.startswith("blocks.0")}
    further = ("mask_token", "decoder_pos_embed", "decoder_embed.weight", "decoder_norm.weight", "decoder_pred.weight")
    content = {
        "model": {**own, **decoder, **{name: zeros(1, 1, 8) for name in further}}, "optimizer": OPTIMIZER, "epoch": 799,
        "scaler": {"scale": 65536.0}, "args": NAMESPACE,
    }  # fmt: skip
    return Written(content, "model/", arch=VIT, dialect="model of a training checkpoint (MAE, timm)")


def original_swin():
    """Merging of patches at the end of its stage, with the tables that timm computes."""
    moved = {}
    for name, value in weights(SWIN).items():
        stage = re.match(r"layers\.(\d)\.downsample", name)
        moved[name.replace(f"layers.{stage[1]}", f"layers.{int(stage[1]) - 1}", 1) if stage else name] = value
    block = "layers.0.blocks.0."
    tables = {"attn.relative_position_index": zeros(16, 16, dtype=torch.long), "attn_mask": zeros(4, 16, 16)}
    return {**moved, **under(block, tables)}


def simmim():
    model = {**under("encoder.", original_swin()), "encoder.mask_token": zeros(1, 1, 32), "decoder.0.weight": zeros(4)}
    content = {
        "model": model, "optimizer": OPTIMIZER, "lr_scheduler": {"last_epoch": 3}, "max_accuracy": 0.0, "epoch": 799,
        "config": settings("yacs.config", "CfgNode"),
    }  # fmt: skip
    return Written(content, "model/encoder.", arch=SWIN, dialect="smp U-Net or SimMIM")


def lightning():
    content = {
        "epoch": 9, "global_step": 900, "pytorch-lightning_version": "2.1.0", "optimizer_states": [OPTIMIZER],
        "state_dict": {**under("model.backbone.", weights()), **under("model.head.", MLP), "loss.weight": zeros(2)},
        "hyper_parameters": settings("pytorch_lightning.utilities.parsing", "AttributeDict"), "lr_schedulers": [],
        "callbacks": {"ModelCheckpoint": {"best_model_score": torch.tensor(0.5)}}, "loops": {"fit_loop": {"n": 1}},
    }  # fmt: skip
    return Written(content, "state_dict/model.backbone.", dialect="backbone")


def dino(arch=VIT, module="module."):
    heads = {**under("head.mlp.", MLP), "head.last_layer.weight_g": zeros(4, 1)}
    content = {
        "student": under(module, {**under("backbone.", weights(arch, 6)), **heads}),
        "teacher": {**under("backbone.", weights(arch)), **heads},
        "optimizer": OPTIMIZER, "epoch": 99, "args": NAMESPACE, "dino_loss": {"center": zeros(1, 8)},
    }  # fmt: skip
    return Written(content, "teacher/backbone.", (f"student/{module}backbone.",), arch, "DINO teacher")


def byol():
    content = {**under("online_network.encoder.", weights()), **under("target_network.encoder.", weights(seed=6))}
    return Written(content, "online_network.encoder.", ("target_network.encoder.",), dialect="BYOL online")


def timm_training():
    content = {"arch": "resnet18", "args": NAMESPACE, "state_dict": weights(), "state_dict_ema": weights(seed=6)}
    return Written(content, "state_dict/", ("state_dict_ema/",), dialect="training checkpoint")


def old_densenet():
    dotted = re.compile(r"(denselayer\d+\.(?:norm|conv))([12])\.")
    own = {dotted.sub(r"\1.\2.", name): value for name, value in weights(DENSENET).items()}
    return Written({**own, "classifier.weight": zeros(1000, 4)}, "", arch=DENSENET, dialect="bare")


def flat_efficientnet():
    """The names of the PyTorch ports: a flat list of blocks."""
    counts, first = (1, 2, 2, 3, 3, 4, 1), {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv"}
    first["bn2"] = "_bn2"
    later = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv", "bn2": "_bn1"}
    later |= {"conv_pwl": "_project_conv", "bn3": "_bn2"}
    ends = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1"}
    own = {"_fc.weight": zeros(10, 4)}
    for name, value in weights(LITE).items():
        part, *rest = name.split(".")
        if part == "blocks":
            stage, block, layer, tail = int(rest[0]), int(rest[1]), rest[2], rest[3]
            own[f"_blocks.{sum(counts[:stage]) + block}.{(later if stage else first)[layer]}.{tail}"] = value
        else:
            own[f"{ends[part]}.{rest[0]}"] = value
    return Written(own, "", arch=LITE, dialect="bare")


def bare(arch=RESNET, **heads):
    return Written({**weights(arch), **heads}, "", arch=arch, dialect="bare")


def nested(prefix, *path, arch=RESNET, dialect="", **more):
    content = under(prefix, weights(arch))
    for name in reversed(path):
        content = {name: content}
    return Written(content | more, "/".join([*path, prefix]), arch=arch, dialect=dialect)


def without_counters():
    kept = {name: value for name, value in weights().items() if not name.endswith("num_batches_tracked")}
    return Written(kept, "", dialect="bare", how={"_use_new_zipfile_serialization": False})


FC = {"fc.weight": zeros(1000, 4), "fc.bias": zeros(1000)}
HEAD = {"head.weight": zeros(1000, 4), "head.bias": zeros(1000)}
DIALECTS = {
    "moco": moco,
    "adam best_checkpoint": adam_best,
    "adam checkpoint": lambda: moco(best_loss=np.float64(1.5)),
    "densecl published": lambda: nested("", "state_dict", dialect="training", author="OpenSelfSup"),
    "densecl training": densecl_training,
    "mmselfsup": lambda: nested("backbone.", "state_dict", dialect="backbone", meta={"mmcls_version": "1"}),
    "vicregl": bare,
    "vicregl full": vicregl_full,
    "dira unet": dira_unet,
    "dira full": dira_full,
    "pcrl": pcrl,
    "mae": mae,
    "mae encoder": lambda: nested("", "model", arch=VIT, dialect="model of a training"),
    "medical-mae densenet": lambda: nested("encoder.", "model", arch=DENSENET, dialect="smp", lossMIN=np.float64(1)),
    "simmim swin": simmim,
    "timm vit": lambda: bare(VIT, **HEAD),
    "timm swin": lambda: bare(SWIN, **{"head.fc.weight": zeros(1000, 4)}),
    "timm efficientnet-lite": lambda: bare(LITE, **{"classifier.weight": zeros(1000, 4)}),
    "timm training": timm_training,
    "efficientnet-lite port": flat_efficientnet,
    "torchvision resnet": lambda: bare(**FC),
    "torchvision densenet": old_densenet,
    "torchvision of 2017": without_counters,
    "smp unet": dira_unet,
    "cifar resnet": lambda: nested("module.", "state_dict", arch=CIFAR, dialect="data-parallel", best_prec1=91.2),
    "lightning": lightning,
    "dino": dino,
    "adam-v2": lambda: dino(RESNET, ""),
    "byol": byol,
    "infomin": lambda: nested("module.encoder.", "model", dialect="smp"),
    "swav": lambda: nested("module.", dialect="data-parallel"),
    "chestxray14": lambda: nested("", "state_dict", dialect="training checkpoint", lossMIN=0.1),
    "chexpert": lambda: nested("module.", "state_dict", dialect="data-parallel"),
    "safetensors": lambda: bare(VIT, **HEAD),
}
