"""Protocols of the probes that need no truth but geometry: how many films, how many wholes or lines, which features."""

from __future__ import annotations

from dataclasses import dataclass, field

from eden_bench.contracts import Features, at_least, in_range


@dataclass(frozen=True, kw_only=True)
class FilmProtocol:
    """How many films are looked at, how large, and which features of their patches are read."""

    features: Features = field(default_factory=Features)
    source_px: int = 1024
    """Side that films are kept at; patches are cut from it."""
    test_films: int = 500
    """Patients scored, a film each; all where there are fewer."""
    train_films: int = 300
    """Patients that features are centred and maps are fitted on, a film each."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bound and the value."""
        for name, least in (("source_px", 64), ("test_films", 2), ("train_films", 2)):
            at_least(name, getattr(self, name), least)


@dataclass(frozen=True, kw_only=True)
class WholesProtocol(FilmProtocol):
    """Of compositionality and decomposability."""

    places: int = 3
    """Pairs of wholes a film, a size band each."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bound and the value."""
        super().__post_init__()
        at_least("places", self.places, 1)


@dataclass(frozen=True, kw_only=True)
class LinesProtocol(FilmProtocol):
    """Of inter- and extrapolation."""

    lines: int = 8
    """Lines of each kind a film."""
    side_share: float = 1 / 12
    """Side of the squares as a share of the film's. Nine that share no pixel fit between A and B up to 1/9."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("lines", self.lines, 1)
        in_range("side_share", self.side_share, 0.02, 0.11)

    @property
    def side_px(self) -> int:
        """Side of the squares in pixels of the film."""
        return max(4, int(self.side_share * self.source_px))


_QUICK = {"features": Features(size_px=64), "source_px": 256, "test_films": 40, "train_films": 40}
WHOLES = {"paper": WholesProtocol(), "quick": WholesProtocol(**_QUICK)}  # type: ignore[arg-type]
LINES = {"paper": LinesProtocol(), "quick": LinesProtocol(**_QUICK)}  # type: ignore[arg-type]
