"""Simulated matrices of scores, methods × tasks × pretrainings × seeds × patients, in which the truth is known.

Sizes are those of the benchmark's tasks. A score is the sum of what a patient is worth to every method, to one method,
and to one of its pretrainings; of a pretraining's and a seed's effect, the seed's half shared by all pretrainings of a
method (its few-shot subset) and half not; and of the residual. Effects of patients are skewed (an exponential's left
tail: few patients go very wrong), the others normal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class World:
    """A task's sizes, as standard deviations of scores between 0 and 1."""

    name: str
    patients: int
    interaction: float
    """Patient × method."""
    seed: float
    pretraining: float
    patient: float = 0.1
    """Shared by all methods."""


WORLDS = (
    World("DRIVE-like", 20, 0.01, 0.002, 0.004),
    World("rib-like", 49, 0.02, 0.003, 0.006),
    World("SCR-like", 123, 0.02, 0.003, 0.006),
    World("SCR-like, few shots", 123, 0.03, 0.015, 0.010),
    World("Shenzhen-like", 132, 0.05, 0.003, 0.006),
    World("Shenzhen-like, few shots", 132, 0.05, 0.015, 0.010),
    World("stable", 49, 0.005, 0.003, 0.0),
    World("large", 300, 0.1, 0.003, 0.006),
    World("seeds alone", 100, 0.001, 0.010, 0.010),
)


@dataclass(frozen=True, kw_only=True)
class Design:
    """What is run in every task."""

    methods: int = 12
    pretrainings: int = 1
    seeds: int = 10
    equal_checkpoints: bool = False
    """Pretrainings have no effect: all checkpoints are equal in truth, not only all methods."""


def draw(world: World, design: Design, matrices: int, generator: np.random.Generator) -> np.ndarray:
    """Draw scores under the null, (matrices, methods, pretrainings, seeds, patients) float32: all methods are equal."""
    shape = (matrices, design.methods, design.pretrainings, design.seeds, world.patients)

    def effect(sd: float, axes: str, skewed: bool = False) -> np.ndarray:
        size = [length if letter in axes else 1 for letter, length in zip("bmpsi", shape, strict=True)]
        if skewed:
            return (1 - generator.standard_exponential(size, np.float32)) * np.float32(sd)
        return generator.standard_normal(size, np.float32) * np.float32(sd)

    pretraining = 0.0 if design.equal_checkpoints else world.pretraining
    return (
        effect(world.interaction / 2, "bmpsi")
        + (effect(world.patient, "bi", True) + effect(world.interaction, "bmi", True))
        + effect(world.interaction / 2, "bmpi", True)
        + effect(pretraining, "bmp")
        + (effect(world.seed / 2**0.5, "bms") + effect(world.seed / 2**0.5, "bmps"))
    )


def drawn_in_parts(world: World, design: Design, matrices: int, seed: int) -> Iterator[np.ndarray]:
    """Yield ``draw`` in parts of matrices, each of a size that fits in memory; a function of the seed."""
    generator = np.random.default_rng([seed, *world.name.encode()])
    each = design.methods * design.pretrainings * design.seeds * world.patients
    step = max(1, _AT_ONCE // each)
    for start in range(0, matrices, step):
        yield draw(world, design, min(step, matrices - start), generator)
