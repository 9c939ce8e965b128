"""Protocols of the probes that need no truth but geometry: how many wholes or lines are drawn on a film."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eden_bench.contracts import at_least, in_range
from tasks.probes.protocol import ProbeProtocol, quick


@dataclass(frozen=True, kw_only=True)
class WholesProtocol(ProbeProtocol):
    """Of compositionality and decomposability."""

    places: int = 3
    """Pairs of wholes a film, a size band each."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bound and the value."""
        super().__post_init__()
        at_least("places", self.places, 1)


@dataclass(frozen=True, kw_only=True)
class LinesProtocol(ProbeProtocol):
    """Of inter- and extrapolation."""

    lines: int = 8
    """Lines of each kind a film."""
    side_share: float = 1 / 12
    """Side of the squares as a share of the film's. Nine that share no pixel fit between A and B up to 1/9."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("lines", self.lines, 1)
        in_range("side_share", self.side_share, 0.02, 1 / 9)

    @property
    def side_px(self) -> int:
        """Side of the squares in pixels of the film."""
        return max(1, int(self.side_share * self.film_px))


WHOLES = WholesProtocol()
QUICK_WHOLES = quick(WHOLES)
LINES = LinesProtocol()
QUICK_LINES = replace(quick(LINES), lines=4)
