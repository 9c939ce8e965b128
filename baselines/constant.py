"""Constant: the same feature for every image; a probe must score it at chance exactly."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from baselines._control import Control, control_card
from eden_bench.contracts import MethodConfig
from eden_bench.encoders import Encoder
from eden_bench.registry import register_method


class ConstantEncoder(Encoder):
    """One map of one position and eight channels, all 1, whatever the image."""

    arch, channels, strides = "constant", (8,), (64,)

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return (B, 8, 1, 1) ones."""
        return (images.new_ones(len(images), 8, 1, 1),)


@dataclass(frozen=True, kw_only=True)
class ConstantConfig(MethodConfig):
    """No settings."""


@register_method("constant")
class Constant(Control):
    """Constant encoder, in the group ``@controls``."""

    Config = ConstantConfig
    makes = ConstantEncoder
    card = control_card("Constant encoder", "it has no weights, so it can be probed and not fine-tuned")
