"""The protocol of novelty."""

from __future__ import annotations

from dataclasses import dataclass

from eden_bench.contracts import at_least
from tasks.probes.protocol import ProbeProtocol


@dataclass(frozen=True, kw_only=True)
class NoveltyProtocol(ProbeProtocol):
    """Whole films and their nearest in a bank. ``train_films`` are the bank, which holds films without a finding only.

    The paper of Adam-v2 names no protocol.
    """

    neighbours: int = 5
    """Films of the bank that a film's distance is the mean to."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("neighbours", self.neighbours, 1)
