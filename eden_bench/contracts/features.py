"""Features: the layer, pooling and normalisation that a probe reads of an encoder, declared in the record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from eden_bench.contracts.checks import at_least, one_of
from eden_bench.contracts.views import NORMALISATIONS


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features that a probe asks an encoder for; as a field of its protocol it is part of every cell's identity.

    ``eden_bench.encoders.features`` computes them.
    """

    layer: int = -1
    """Which of the encoder's maps, finest first; -1 is the coarsest, the one that fine-tuning builds on."""
    pooling: Literal["mean", "class", "embed", "map"] = "mean"
    """"mean": of the map's positions, (D,). "class": a ViT's class token. "embed": whatever the encoder's own ``embed``
    pools, which a linear head stands on. "map": every position, (D, H, W)."""
    norm: Literal["after", "before"] = "after"
    """A transformer's last layer after its final norm, or before it. Encoders without one know only "after"."""
    normalisation: Literal["imagenet", "chest-x-ray", "none"] = "imagenet"
    """Mean and s.d. of the input; one of ``contracts.NORMALISATIONS``."""
    precision: Literal["float32", "fast"] = "float32"
    """"fast": bfloat16 on a device that multiplies it faster, whose features differ by about 1 in 1,000."""
    size_px: int = 224
    """Side that each square input is resized to, by area where it shrinks and bilinearly where it grows."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        at_least("size_px", self.size_px, 8)
        for name, known in (
            ("pooling", ("mean", "class", "embed", "map")),
            ("norm", ("after", "before")),
            ("precision", ("float32", "fast")),
            ("normalisation", tuple(NORMALISATIONS)),
        ):
            one_of(name, getattr(self, name), known)
        if self.norm == "before" and self.layer != -1:
            raise ValueError(f"norm 'before' is about the last layer, -1, not {self.layer}")
