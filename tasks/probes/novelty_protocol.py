"""The protocol of novelty."""

from __future__ import annotations

from dataclasses import dataclass

from eden_bench.contracts import at_least, in_range
from tasks.probes.protocol import ProbeProtocol


@dataclass(frozen=True, kw_only=True)
class NoveltyProtocol(ProbeProtocol):
    """Whole films and their nearest in a bank. ``train_films`` are the bank, which holds films without a finding only.

    The paper of Adam-v2 names no protocol.
    """

    neighbours: int = 5
    """Films of the bank that a film's distance is the mean to."""

    patch_grid: int = 8
    """Places a side at which patches are compared with the bank's; 0 leaves patches out."""
    patch_share: float = 0.25
    """Side of a patch as a share of the film's."""
    patch_films: int = 200
    """Films of the bank, and test films, that patches are cut from, the first of each."""
    nuisance_films: int = 200
    """Ordinary test films that are taken otherwise, the first; 0 leaves this out."""
    rotation_degrees: float = 10.0
    """A film taken otherwise is turned by up to this, to either side."""
    scale_change: float = 0.1
    """Its scale is drawn from 1 less this to 1 more this."""
    gamma: float = 1.25
    """Its gamma is drawn, uniform in its logarithm, from 1 / this to this."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("neighbours", self.neighbours, 1)
        at_least("patch_grid", self.patch_grid, 0)
        in_range("patch_share", self.patch_share, 0.01, 1)
        at_least("patch_films", self.patch_films, 2)
        at_least("nuisance_films", self.nuisance_films, 0)
        in_range("rotation_degrees", self.rotation_degrees, 0, 180)
        in_range("scale_change", self.scale_change, 0, 0.9)
        at_least("gamma", self.gamma, 1)
