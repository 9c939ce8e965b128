"""What every probe's protocol has: the features it reads, the films it cuts patches from, and its own seed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

from eden_bench.contracts import Features, at_least, in_range


@dataclass(frozen=True, kw_only=True)
class ProbeProtocol:
    """Fields that every probe shares. Not as in the papers, which name none of these but the patch's 224 px."""

    features: Features = field(default_factory=Features)
    film_px: int = 1024
    """Side that films are squashed to before patches are cut from them."""
    train_films: int = 200
    """Films of the training list, the first by id, that means and fits are made on."""
    test_films: int = 500
    """Films of the test list, the first by id, that are scored."""
    seed: int = 0
    """Of what the probe draws: places, sizes, folds. It is no seed of the cell: every encoder sees the same patches."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        at_least("film_px", self.film_px, 32)
        at_least("train_films", self.train_films, 2)
        at_least("test_films", self.test_films, 2)
        at_least("seed", self.seed, 0)


@dataclass(frozen=True, kw_only=True)
class LandmarkProtocol(ProbeProtocol):
    """Patches about landmarks, and a grid of places on a film."""

    patch_share: float = 224 / 1024
    """Side of a patch as a share of the film's."""
    grid: int = 32
    """Places a side at which a film is searched for a landmark."""
    searched_films: int = 40
    """Test films that are searched, the first by id."""
    other_shares: tuple[float, float] = (1 / 8, 3 / 8)
    """Sides of a smaller and of a larger patch that landmarks are identified by besides."""
    template_films: tuple[int, ...] = (1, 5)
    """Training films, the first by id, that templates are made from besides those from all."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        in_range("patch_share", self.patch_share, 0.01, 1)
        at_least("grid", self.grid, 2)
        at_least("searched_films", self.searched_films, 1)


@dataclass(frozen=True, kw_only=True)
class DenseProtocol(ProbeProtocol):
    """Whole films, a feature at every position of the encoder's map."""

    features: Features = field(default_factory=lambda: Features(pooling="map", size_px=512))
    film_px: int = 512
    """Side of films and of the masks that are compared."""
    draws: int = 10
    """Draws of labelled films, whose scores are averaged."""
    neighbours: int = 5
    """Labelled positions that vote on a position."""
    patch_grid: int = 16
    """Places a side at which patches are cut for an encoder that has no map: a control."""
    clustered: int = 20_000
    """Positions of training films that clusters are fitted on, drawn where there are more."""

    def __post_init__(self) -> None:
        """Validate field values. Raises ValueError naming the field, its bounds and the value."""
        super().__post_init__()
        at_least("draws", self.draws, 1)
        at_least("neighbours", self.neighbours, 1)
        at_least("patch_grid", self.patch_grid, 2)
        at_least("clustered", self.clustered, 100)


Q = TypeVar("Q", bound=ProbeProtocol)


def quick(protocol: Q) -> Q:
    """Return a protocol at the size that the quick encoders are pretrained at, with few films."""
    return replace(
        protocol, features=replace(protocol.features, size_px=64), film_px=256, train_films=40, test_films=40
    )


FACTORS = {"half": 0.5, "one": 1.0, "double": 2.0}
"""Sides of the squares, in shares of the protocol's patch."""
LANDMARKS = LandmarkProtocol()
QUICK_LANDMARKS = replace(quick(LANDMARKS), grid=16, searched_films=10)
DENSE = DenseProtocol()
QUICK_DENSE = replace(DENSE, film_px=256, train_films=40, test_films=40)
"""Encoded at 512 px as in full: at the 64 px that the quick encoders are pretrained at, a map has 2 × 2 positions."""
