"""Detect networks that were never trained: their normalisations are as initialised, whatever the seed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from eden_bench.encoders import Encoder

_SMALL = 1e-4
"""Biases are drawn at most so large (torchvision's ViT: s.d. 1e-6). Norms that were folded away leave larger ones."""


def is_untrained(encoder: Encoder, weights: Mapping[str, Tensor]) -> bool:
    """Check whether all norms of an encoder are at their initial values, which one step of training moves.

    Batch norms: scale 1 (or 0, as the last of a block is often made), shift 0, mean 0, variance 1, nothing counted.
    Layer norms: scale 1, shift 0, and no bias of the blocks is learnt: norms that were folded into the next layer leave
    such norms, and biases, behind.
    """
    kinds = (nn.BatchNorm2d, nn.LayerNorm)
    norms = [(name, module) for name, module in encoder.named_modules() if isinstance(module, kinds)]
    for name, norm in norms:
        own = {key: weights[f"{name}.{key}"] for key in norm.state_dict()}
        if not (_is_new_batch_norm(own) if isinstance(norm, nn.BatchNorm2d) else _is_new_layer_norm(own)):
            return False
    if any(isinstance(norm, nn.BatchNorm2d) for _, norm in norms):
        return True
    biases = [weights[name] for name in weights if name.endswith(".bias") and "patch_embed.proj" not in name]
    return all(bool(bias.abs().max() < _SMALL) for bias in biases)


def _is_new_batch_norm(own: Mapping[str, Tensor]) -> bool:
    scale = own["weight"]
    return (
        (_all(scale, 1) or _all(scale, 0))
        and _all(own["bias"], 0)
        and _all(own["running_mean"], 0)
        and _all(own["running_var"], 1)
        and _all(own["num_batches_tracked"], 0)
    )


def _is_new_layer_norm(own: Mapping[str, Tensor]) -> bool:
    return _all(own["weight"], 1) and _all(own["bias"], 0)


def _all(values: Tensor, value: float) -> bool:
    return bool(torch.all(values == value))
