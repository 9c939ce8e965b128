"""Protocol of cross-scale consistency at the places of a grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

from eden_bench.contracts import at_least, in_range
from tasks.probes.protocol import LandmarkProtocol, quick


@dataclass(frozen=True, kw_only=True)
class PlacesProtocol(LandmarkProtocol):
    """A grid of places instead of landmarks. Not as in the paper, which marks four landmarks by hand."""

    places: int = 3
    """Places a side, evenly spaced, the outermost so far in that a patch of twice the size ends at the film's edge."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("places", self.places, 2)
        in_range("patch_share", self.patch_share, 0.01, 0.4)


PLACES = PlacesProtocol()
QUICK_PLACES = replace(quick(PLACES), grid=16, searched_films=10)
