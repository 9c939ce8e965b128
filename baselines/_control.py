"""What the controls of probes share: no weights, no seed, the group ``@controls``."""

from __future__ import annotations

from typing import ClassVar

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.digests import digest
from eden_bench.encoders import Encoder


class Control(EncoderSource):
    """An encoder without weights that probes are scored beside; a subclass names the encoder."""

    groups = ("controls",)
    probe_only = True
    makes: ClassVar[type[Encoder]]
    """The encoder; its ``arch`` is the control's name."""

    def __init__(self, config: MethodConfig) -> None:
        self.config = config

    def weights_digest(self) -> str:
        """Return a digest of what it computes, which no seed changes."""
        return digest(f"control {self.makes.arch}, version 1")

    def told(self) -> dict[str, str]:
        """Return the provenance of the encoder for a record."""
        return {"from": "nothing: a control"}

    def load_encoder(self, seed: int) -> Encoder:
        """Return the control, whatever the seed."""
        return self.makes()


def control_card(title: str, difference: str) -> MethodCard:
    """Return the card of a control."""
    return MethodCard(
        title=title,
        paper="none: a control of probes",
        licence="none",
        backbone="none",
        data="none",
        differences=(difference,),
    )
