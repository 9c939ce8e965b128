"""The protocol of matching."""

from __future__ import annotations

from dataclasses import dataclass

from eden_bench.contracts import at_least, in_range
from tasks.probes.protocol import LandmarkProtocol

LIMITS = {"pck_2": 2.0, "pck_5": 5.0}
"""Score to how near, in % of the film's side, a place must be to count as found."""


@dataclass(frozen=True, kw_only=True)
class MatchingProtocol(LandmarkProtocol):
    """A grid on every searched film, and how far the augmented views of it go. ``test_films`` plays no part.

    Not as in Adam's figure, which names a rotation of 10 degrees and no more.
    """

    rotation_degrees: float = 10.0
    """Of a view; to which side is drawn for each film."""
    scale_change: float = 0.1
    """A view's scale is drawn from 1 less this to 1 more this."""
    gamma: float = 1.25
    """A view's gamma is drawn, uniform in its logarithm, from 1 / this to this."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("searched_films", self.searched_films, 2)
        in_range("rotation_degrees", self.rotation_degrees, 0, 180)
        in_range("scale_change", self.scale_change, 0, 0.9)
        at_least("gamma", self.gamma, 1)
