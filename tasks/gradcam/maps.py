"""Class activation maps by gradients (Grad-CAM; Selvaraju et al., ICCV 2017, arXiv:1610.02391, section 3).

α_k = mean over positions of ∂ logit / ∂ A_k; map = ReLU(Σ_k α_k A_k), less its minimum, over its maximum + 1e-7.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from eden_bench.encoders import Encoder, ResNetEncoder
from eden_bench.encoders.convnets import DenseNetEncoder
from eden_bench.encoders.transformers import ViTEncoder
from eden_bench.errors import EdenError

Form = Literal["last", "evax"]
"""What is explained. "last": what the encoder pools, after the last ReLU (of a ViT the patch tokens after the last
block). "evax": EVA-X's layers: the last norm before the residual sum (ResNet), the first of the last layer (DenseNet)
or block (ViT)."""
_EPS = 1e-7


class Layer(NamedTuple):
    """A module whose output is explained."""

    module: nn.Module
    tokens: bool = False
    """Its output is (B, 1 + N, C), a class token before those of a square of patches."""

    def as_map(self, output: Tensor) -> Tensor:
        """Return its output as (B, C, h, w), the class token left out."""
        if not self.tokens:
            return output
        side = round((output.shape[1] - 1) ** 0.5)
        return output[:, 1:].transpose(1, 2).reshape(len(output), -1, side, side)


def layer_of(encoder: Encoder, form: Form) -> Layer | None:
    """Return the layer that a form explains; None where EVA-X's form knows no such network."""
    if form == "last":
        return Layer(cast(Any, encoder).blocks[-1], tokens=True) if isinstance(encoder, ViTEncoder) else Layer(encoder)
    if isinstance(encoder, ResNetEncoder):
        block: Any = cast(Any, encoder.layer4)[-1]
        return Layer(block.bn3 if hasattr(block, "bn3") else block.bn2)
    if isinstance(encoder, DenseNetEncoder):
        last: Any = list(cast(Any, encoder.features).denseblock4.children())[-1]
        return Layer(last.norm1)
    return Layer(cast(Any, encoder).blocks[-1].norm1, tokens=True) if isinstance(encoder, ViTEncoder) else None


def grad_cam(network: nn.Module, layers: list[Layer], images: Tensor, columns: Tensor) -> list[Tensor]:
    """Return the maps of one logit of each image, one (B, h, w) a layer, in [0, 1].

    Args:
        network: in eval mode, its parameters without gradients; returns logits (B, L).
        layers: of the network.
        images: (B, 3, H, W), normalised.
        columns: (B,) int64, the logit explained.

    Raises:
        EdenError: a layer has no part in the logit.
    """
    with _outputs_of(layers) as outputs:
        logits = network(images)
    if len(outputs) != len(layers):
        raise EdenError(f"grad-cam: {len(outputs)} of {len(layers)} layers have a part in the logit, expected all")
    chosen = logits.gather(1, columns[:, None]).sum()
    kept = [outputs[number] for number in range(len(layers))]
    gradients = torch.autograd.grad(chosen, kept)
    return [
        scaled(_weighted(layer.as_map(output.detach()), layer.as_map(gradient)))
        for layer, output, gradient in zip(layers, kept, gradients, strict=True)
    ]


@contextmanager
def _outputs_of(layers: list[Layer]) -> Iterator[dict[int, Tensor]]:
    """Keep what layers return, as tensors that gradients reach and nothing behind them changes in place."""
    kept: dict[int, Tensor] = {}

    def keeping(number: int) -> Any:  # noqa: ANN401 - a hook
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
            kept[number] = output if output.requires_grad else output.detach().requires_grad_()
            return kept[number].clone()

        return hook

    handles = [layer.module.register_forward_hook(keeping(number)) for number, layer in enumerate(layers)]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()


def _weighted(activations: Tensor, gradients: Tensor) -> Tensor:
    """Return ReLU(Σ_k α_k A_k), (B, h, w)."""
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    return (weights * activations).sum(dim=1).relu()


def scaled(maps: Tensor) -> Tensor:
    """Scale each map (B, h, w) to [0, 1]: less its minimum, over its maximum + 1e-7; a constant map becomes 0."""
    lowered = maps - maps.amin(dim=(1, 2), keepdim=True)
    return lowered / (lowered.amax(dim=(1, 2), keepdim=True) + _EPS)


def enlarged(maps: Tensor, size_px: int) -> np.ndarray:
    """Enlarge maps (B, h, w) bilinearly and scale them again: (B, size, size) float32 in [0, 1]."""
    large = functional.interpolate(maps[:, None].float(), (size_px, size_px), mode="bilinear", align_corners=False)
    return scaled(large[:, 0]).cpu().numpy()
