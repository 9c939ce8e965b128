"""Files of published models, written by an inverse of each layout around timm's own network with drawn weights.

Nothing here reads the families' files: names are written out, network by network, as the models' own code has them.
"""

import functools
import re
from dataclasses import dataclass, field, replace

import timm
import torch
from timm.layers import SwiGLUPacked
from torch import zeros

SWIGLU = {"mlp_ratio": 5.34375, "mlp_layer": SwiGLUPacked, "act_layer": "silu"}
SWIGLU_ARCH = "+mlp_ratio=5.34375+mlp_layer=SwiGLUPacked+act_layer=silu"
CHUNKS = 2


@dataclass(frozen=True)
class Case:
    """A published model's layout: timm's network, small and whole, and how its file is written."""

    network: str
    """timm's name."""
    whole: dict
    """Arguments at full size, beside the defaults."""
    whole_arch: str
    small: dict
    """Further arguments that make it small."""
    small_arch: str
    size_px: int
    """Of the small one."""
    write: object
    """From timm's state dictionary to the file's names."""
    prefix: str = ""
    beside: dict = field(default_factory=dict)
    """What else the file holds, by its path."""


def build(case, *, small=True):
    """timm's network with drawn weights: norms and scales away from their initial values."""
    torch.manual_seed(3)
    network = timm.create_model(case.network, num_classes=0, **{**case.whole, **(case.small if small else {})}).eval()
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in network.parameters():
            value += 0.1 * torch.randn(value.shape, generator=draw)
    return network


def renamed(state, *rules):
    result = {}
    for name, value in state.items():
        for pattern, new in rules:
            name = re.sub(pattern, new, name)
        result[name] = value
    return result


def with_a_class_position(state):
    """DINOv2 adds a position to its class token; timm's networks with registers have it added for good."""
    if "reg_token" in state:
        place = torch.linspace(-1, 1, state["cls_token"].shape[-1]).expand_as(state["cls_token"])  # no norm removes it
        positions = torch.cat([place, state["pos_embed"]], 1)
        return {**state, "cls_token": state["cls_token"] - place, "pos_embed": positions}
    return state


def dinov2(state, chunks=0, blocks=4):
    mask = {"mask_token": zeros(1, state["cls_token"].shape[-1])}
    own = renamed(with_a_class_position(state), (r"^reg_token$", "register_tokens"))
    if state["blocks.0.mlp.fc1.weight"].shape[0] != state["blocks.0.mlp.fc2.weight"].shape[1]:
        own = renamed(own, (r"mlp\.fc1\.", "mlp.w12."), (r"mlp\.fc2\.", "mlp.w3."))
    if chunks:
        own = {
            re.sub(r"^blocks\.(\d+)\.", lambda m: f"blocks.{int(m[1]) * chunks // blocks}.{m[1]}.", name): value
            for name, value in own.items()
        }
    return own | mask


def transformers_dinov2(state):
    own = {"embeddings.mask_token": zeros(1, state["cls_token"].shape[-1])}
    for name, value in with_a_class_position(state).items():
        number, _, rest = name.removeprefix("blocks.").partition(".")
        kind = rest.rpartition(".")[2]
        layer = f"encoder.layer.{number}."
        if rest.startswith("attn.qkv."):
            for part, piece in zip(("query", "key", "value"), value.split(len(value) // 3), strict=True):
                own[f"{layer}attention.attention.{part}.{kind}"] = piece
        elif rest.startswith("attn.proj."):
            own[f"{layer}attention.output.dense.{kind}"] = value
        elif rest.startswith("ls"):
            own[f"{layer}layer_scale{rest[2]}.lambda1"] = value
        elif name.startswith("blocks."):
            own[layer + rest] = value
        else:
            whole = {"pos_embed": "position_embeddings", "reg_token": "register_tokens", "cls_token": "cls_token"}
            last = name.replace("norm.", "layernorm.").replace(
                "patch_embed.proj.", "embeddings.patch_embeddings.projection."
            )
            own[f"embeddings.{whole[name]}" if name in whole else last] = value
    return own


def dinov3(state):
    width = state["cls_token"].shape[-1]
    own = {"mask_token": zeros(1, width), "rope_embed.periods": periods(width // HEADS[width])}
    for name, value in state.items():
        block = name.rpartition(".attn.")[0]
        if name.endswith("attn.q_bias"):
            value = torch.cat([value, torch.zeros(width), state[f"{block}.attn.v_bias"]])
            own[f"{block}.attn.qkv.bias"] = value
            own[f"{block}.attn.qkv.bias_mask"] = torch.cat([torch.ones(width), zeros(width), torch.ones(width)])
        elif not name.endswith("attn.v_bias"):
            own[re.sub(r"gamma_([12])$", r"ls\1.gamma", name).replace("reg_token", "storage_tokens")] = value
    return renamed(own, (r"mlp\.fc1_g\.", "mlp.w1."), (r"mlp\.fc1_x\.", "mlp.w2.")) if swish(state) else own


HEADS = {64: 2, 384: 6, 768: 12, 1024: 16}


def periods(head):
    """DINOv3's rotary periods, stored in bfloat16: 100 to the power of 2 i / (head / 2), i = 0 … head / 4 - 1."""
    return torch.tensor([100 ** (4 * i / head) for i in range(head // 4)]).bfloat16()


def swish(state):
    return "blocks.0.mlp.fc1_g.weight" in state


def transformers_dinov3(state):
    own = {"embeddings.mask_token": zeros(1, 1, state["cls_token"].shape[-1])}
    for name, value in state.items():
        if name.endswith("attn.qkv.weight"):
            for part, piece in zip("qkv", value.split(len(value) // 3), strict=True):
                own[name.replace("attn.qkv", f"attention.{part}_proj")] = piece
        else:
            own[name] = value
    return renamed(
        own, (r"^blocks\.", "layer."), (r"attn\.([qv])_bias", r"attention.\1_proj.bias"),
        (r"attn\.proj", "attention.o_proj"), (r"gamma_([12])", r"layer_scale\1.lambda1"),
        (r"mlp\.fc1", "mlp.up_proj"), (r"mlp\.fc2", "mlp.down_proj"), (r"^cls_token", "embeddings.cls_token"),
        (r"^patch_embed\.proj", "embeddings.patch_embeddings"), (r"^reg_token", "embeddings.register_tokens"),
    )  # fmt: skip


def convnext(state, twice=False):
    own = renamed(
        state, (r"^stem\.", "downsample_layers.0."), (r"^stages\.(\d)\.downsample\.", r"downsample_layers.\1."),
        (r"\.blocks\.", "."), (r"conv_dw", "dwconv"), (r"mlp\.fc([12])", r"pwconv\1"), (r"^head\.norm", "norm"),
    )  # fmt: skip
    return own | ({f"norms.3.{part}": own[f"norm.{part}"] for part in ("weight", "bias")} if twice else {})


def eva(state, split=False):
    own = {"mask_token": zeros(1, 1, 64), "lm_head.weight": zeros(9, 64), "lm_head.bias": zeros(9)}
    own |= {f"rope.freqs_{one}": zeros(16, 32) for one in ("cos", "sin")}
    own |= renamed(state, (r"^fc_norm\.", "norm."))
    if "blocks.0.attn.q_proj.bias" in own:  # with a norm inside, its linear layers and q, k, v are apart
        return renamed(
            own, (r"attn\.([qv])_proj\.bias", r"attn.\1_bias"), (r"mlp\.norm\.", "mlp.ffn_ln."),
            (r"fc1_g", "w1"), (r"fc1_x", "w2"), (r"mlp\.fc2", "mlp.w3"),
        )  # fmt: skip
    own = renamed(own, (r"mlp\.fc1\.", "mlp.w12."), (r"mlp\.fc2\.", "mlp.w3."))
    return taken_apart(own) if split else own


def taken_apart(own):
    """Query, key and value, and both halves of the gated layer, each on its own."""
    result = {}
    for name, value in own.items():
        if name.endswith("attn.qkv.weight"):
            for part, piece in zip("qkv", value.chunk(3), strict=True):
                result[name.replace("qkv", f"{part}_proj")] = piece
        elif ".mlp.w12." in name:
            for part, piece in zip(("w1", "w2"), value.chunk(2), strict=True):
                result[name.replace("w12", part)] = piece
        else:
            result[re.sub(r"attn\.([qv])_bias", r"attn.\1_proj.bias", name)] = value
    return result


def swin_v2(state, windows=(8, 8, 8, 4)):
    """Each merging one stage earlier, and the tables that Swin's code stores."""
    own = {
        re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name): value
        for name, value in state.items()
    }
    for name in [name for name in state if name.endswith("attn.logit_scale")]:
        block, stage = name.removesuffix("logit_scale"), int(name[7])
        own[f"{block}relative_coords_table"] = coordinates(windows[stage])
        own[f"{block}relative_position_index"] = places(windows[stage])
    own["layers.0.blocks.1.attn_mask"] = zeros(4, windows[0] ** 2, windows[0] ** 2)
    return own


@functools.cache
def coordinates(window):
    """Of Swin of version 2: sign(d) log2(1 + |8 d / (window - 1)|) / 3 of each shift d."""
    table = zeros(1, 2 * window - 1, 2 * window - 1, 2)
    for row in range(2 * window - 1):
        for column in range(2 * window - 1):
            for axis, shift in enumerate((row - window + 1, column - window + 1)):
                scaled = torch.tensor(8 * shift / (window - 1))
                table[0, row, column, axis] = scaled.sign() * torch.log2(scaled.abs() + 1) / 3
    return table


@functools.cache
def places(window):
    """Which row of the table each pair of patches reads."""
    spots = [(row, column) for row in range(window) for column in range(window)]
    return torch.tensor(
        [[(a - c + window - 1) * (2 * window - 1) + b - d + window - 1 for c, d in spots] for a, b in spots]
    )


def same(state):
    return dict(state)


TINY = {"depth": 4, "embed_dim": 64, "num_heads": 2}
TINY_ARCH = "+depth=4+embed_dim=64+num_heads=2"
SMALL_CONV = {"depths": (1, 1, 2, 1), "dims": (16, 32, 48, 64)}
CONV_ARCH = "+depths=(1,1,2,1)+dims=(16,32,48,64)"
SMALL_SWIN = {
    "img_size": 128, "window_size": 8, "embed_dim": 16, "depths": (2, 1, 1, 1), "num_heads": (1, 2, 4, 8),
    "pretrained_window_sizes": (8, 8, 8, 4),
}  # fmt: skip
SWIN_ARCH = "@128+window_size=8+embed_dim=16+depths=(2,1,1,1)+num_heads=(1,2,4,8)+pretrained_window_sizes=(8,8,8,4)"
HEAD = {"dino_head.mlp.0.weight": zeros(4, 4), "ibot_head.mlp.0.weight": zeros(4, 4)}


def dinov2_case(size, write, px=518, patch=14, swiglu=False, prefix="", beside=None, registers=False):
    name = f"vit_{size}_patch14_{'reg4_' if registers else ''}dinov2"
    whole = {"img_size": px, **({"patch_size": patch} if patch != 14 else {}), **(SWIGLU if swiglu else {})}
    more = (f"+patch_size={patch}" if patch != 14 else "") + (SWIGLU_ARCH if swiglu else "")
    small = {**TINY, "img_size": 4 * patch}
    small_arch = f"{name}@{4 * patch}{more}{TINY_ARCH}"
    return Case(name, whole, f"{name}@{px}{more}", small, small_arch, 4 * patch, write, prefix, beside or {})


def dinov3_case(network, write):
    """A width of 64 keeps what a head is wide: 32 here, 64 in all of DINOv3."""
    more = "+global_pool=token"
    whole = {"img_size": 224, "global_pool": "token"}
    small = {**TINY, "img_size": 64}
    return Case(network, whole, f"{network}@224{more}", small, f"{network}@64{more}{TINY_ARCH}", 64, write)


def eva_case(size, write, prefix=""):
    name, grid = f"eva02_{size}_patch14_224", "+patch_size=16+ref_feat_shape=(14,14)"
    whole = {"img_size": 224, "patch_size": 16, "ref_feat_shape": (14, 14)}
    small = {**TINY, "img_size": 64}
    return Case(name, whole, f"{name}@224{grid}", small, f"{name}@64{grid}{TINY_ARCH}", 64, write, prefix)


def convnext_case(size, write, prefix="", beside=None):
    name = f"convnext_{size}"
    return Case(name, {}, f"{name}@any", SMALL_CONV, f"{name}@any{CONV_ARCH}", 64, write, prefix, beside or {})


def popar():
    name = "swinv2_base_window16_256"
    whole = {"img_size": 512, "pretrained_window_sizes": (16,) * 4}
    arch = f"{name}@512+pretrained_window_sizes=(16,16,16,16)"
    beside = {"model": {"module.head.weight": zeros(8, 8), "module.bias": zeros(8), "module.decoder.0.bias": zeros(8)}}
    return Case(name, whole, arch, SMALL_SWIN, name + SWIN_ARCH, 128, swin_v2, "model/module.swin_model.", beside)


def cases():
    chunked = functools.partial(dinov2, chunks=CHUNKS)
    vision = {"language_model.model.embed_tokens.weight": zeros(8, 8), "multi_modal_projector.0.bias": zeros(8)}
    return {
        "rad-dino": dinov2_case("base", transformers_dinov2),
        "rad-dino, DINOv2's names": dinov2_case("base", dinov2),
        "rad-dino, timm's names": dinov2_case("base", same),
        "maira-2": dinov2_case("base", transformers_dinov2, prefix="vision_tower.", beside=vision),
        "retfound-dinov2": dinov2_case("large", dinov2, 224, prefix="teacher/backbone.", beside={"teacher": HEAD}),
        "dinov2-registers": dinov2_case("large", dinov2, registers=True),
        "dinov2-registers, SwiGLU": dinov2_case("large", dinov2, swiglu=True, registers=True),
        "dinov2-registers, transformers' names": dinov2_case("base", transformers_dinov2, registers=True),
        "dinov2-registers, timm's names": dinov2_case("small", same, registers=True),
        "chexfound": dinov2_case(
            "large", chunked, 512, 16, swiglu=True, prefix="teacher/backbone.", beside={"teacher": HEAD}, registers=True
        ),
        "dinov3-vit": dinov3_case("vit_base_patch16_dinov3_qkvb", dinov3),
        "dinov3-vit, SwiGLU": dinov3_case("vit_small_plus_patch16_dinov3_qkvb", dinov3),
        "dinov3-vit, timm's names": dinov3_case("vit_large_patch16_dinov3", same),
        "dinov3-vit, transformers' names": dinov3_case("vit_small_patch16_dinov3_qkvb", transformers_dinov3),
        "dinov3-convnext": convnext_case("large", functools.partial(convnext, twice=True)),
        "dinov3-convnext, timm's names": convnext_case("tiny", same),
        "adam-v2": convnext_case(
            "base", convnext, "teacher/backbone.", {"teacher": {"head.mlp.0.weight": zeros(4, 4)}, "student": {}}
        ),
        "eva-x, tiny": eva_case("tiny", eva, "module/"),
        "eva-x, small": eva_case("small", functools.partial(eva, split=True), "model_ema/"),
        "eva-x, base": eva_case("base", eva, "visual.trunk."),
        "eva-x, timm's names": eva_case("base", same),
        "popar": popar(),
        "popar, timm's names": replace(popar(), prefix="", beside={}, write=with_tables),
    }


def with_tables(state):
    """timm's names, and the table without which the window is not known."""
    tables = {n: v for n, v in swin_v2(state).items() if n.endswith("relative_coords_table")}
    return {**state, **tables}


def content(case, state):
    """The file that holds a network of such a state, under its prefix."""
    *folders, prefix = case.prefix.split("/")
    inner = {prefix + name: value for name, value in case.write(state).items()}
    if not folders:
        return inner | case.beside
    (folder,) = folders
    return case.beside | {folder: {**inner, **case.beside.get(folder, {})}}
