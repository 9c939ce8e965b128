"""Power: the difference that so many seeds, pretrainings and patients can find, and how many would settle one.

The variance of the difference of two rows' means is a sum over the levels at which scores vary,

    V = pretraining/P + seed/(P·S) + residual/(P·S·I)   +   patient/I
        └── runs: other pretrainings and fine-tuning seeds ──┘   └── other patients

with P pretrainings a method, S fine-tuning seeds a pretraining and I patients scored by every run. A difference δ is
found with power P(|t| > t₉₇.₅) where t is noncentral with δ/√V and df degrees of freedom; df is n - 1 (paired) or
2(n - 1) of the runs' highest level, joined with the patients' I - 1 by Satterthwaite's rule (1946).
With seeds alone it is the textbook power of the t-test (Cohen, 1988).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from eden_bench.statistics.t_tests import LEVEL, t_quantile

POWER = 0.8
"""Share of studies that shall find the difference."""
ENDLESS = 10**9
"""A number that stands for all: what it does not settle, no number does."""


@dataclass(frozen=True, kw_only=True)
class Components:
    """Variances that the levels give to the difference of two rows' means, in squared units of the score.

    Each is of the *difference*: for rows that vary independently the sum of both rows' variances, for rows paired at
    that level the variance of their differences. What both share cancels and is no part of it.
    """

    pretraining: float = 0.0
    """Between pretrainings of one method; 0 where the checkpoints are what is compared."""
    seed: float = 0.0
    """Between fine-tuning seeds of one checkpoint."""
    patient: float = 0.0
    """Between patients, of their mean difference over all runs; 0 where patients' scores are not kept."""
    residual: float = 0.0
    """Of one run's score of one patient."""

    def __post_init__(self) -> None:
        for name, found in vars(self).items():
            if not 0 <= found < math.inf:
                raise ValueError(f"the variance component {name} must be a number of at least 0, not {found}")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Size of a study."""

    pretrainings: int = 1
    """Of a method."""
    seeds: int
    """Fine-tuning seeds of a pretraining."""
    patients: int = ENDLESS

    def __post_init__(self) -> None:
        for name, found in vars(self).items():
            if found < 1:
                raise ValueError(f"{name} must be at least 1, not {found}")


@dataclass(frozen=True, kw_only=True)
class Design:
    """What a study compares and how: checkpoints or methods, at shared seeds or not."""

    scope: Literal["checkpoints", "methods"] = "checkpoints"
    paired: bool = False
    level: float = LEVEL
    """Significance level of one test; a family of m by Holm begins at 0.05 / m."""


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Numbers of which any alone, the others as they are, finds a difference; None where no number does."""

    seeds: int | None
    pretrainings: int | None
    patients: int | None


def t_power(difference: float, standard_error: float, df: float, *, level: float = LEVEL) -> float:
    """Return the power of a two-sided t-test: P(|t'| > t at 1 - level/2), t' noncentral by difference/error.

    |t'| beyond the critical value is t'² beyond its square, a noncentral F: one tail where t' has two.

    >>> round(t_power(1.0, (2 / 17) ** 0.5, 32), 3)  # d = 1 with 17 seeds each
    0.807
    """
    from scipy.special import ncfdtr

    critical = t_quantile(1 - level / 2, df)
    return float(1 - ncfdtr(1, df, (difference / standard_error) ** 2, critical**2))


def detectable_effect(n: int, *, paired: bool = False, level: float = LEVEL, power: float = POWER) -> float | None:
    """Return the standardised difference that a t-test at n seeds each finds; None below 2 seeds.

    Args:
        n: seeds of each row.
        paired: in units of the differences' s.d., and of the common s.d. otherwise.
        level: significance level.
        power: share of studies that find it.

    >>> round(detectable_effect(10), 2), round(detectable_effect(10, paired=True), 2)
    (1.32, 1.0)
    """
    components = Components(seed=1.0 if paired else 2.0)
    return detectable(components, Counts(seeds=n), Design(paired=paired, level=level), power=power)


def detectable(components: Components, counts: Counts, design: Design, *, power: float = POWER) -> float | None:
    """Return the difference that a study of this size finds; None where it has no test (df below 1) or nothing varies.

    >>> study = Counts(seeds=10, patients=50)
    >>> round(detectable(Components(seed=2e-6, patient=4e-4), study, Design()), 4)  # patients are nearly all of it
    0.0082
    """
    from scipy.optimize import brentq

    error, df = _error(components, counts, design)
    if df is None:
        return None
    highest = 1.0
    while t_power(highest, 1.0, df, level=design.level) < power:
        highest *= 2
    found = brentq(lambda delta: t_power(delta, 1.0, df, level=design.level) - power, 0.0, highest, xtol=1e-10)
    return float(found) * error


def needed(
    difference: float, components: Components, counts: Counts, design: Design, *, power: float = POWER
) -> Needed:
    """Return how many seeds, pretrainings or patients, each alone, would find a difference of this size.

    The difference observed is itself uncertain, and so are these numbers: an order of magnitude to plan with.

    >>> study = Counts(seeds=10, patients=50)
    >>> needed(0.005, Components(seed=2e-6, patient=4e-4), study, Design())
    Needed(seeds=None, pretrainings=None, patients=136)
    """

    def least(vary: Callable[[int], Counts]) -> int | None:
        return _least(lambda n: _finds(difference, components, vary(n), design, power))

    return Needed(
        seeds=least(lambda n: replace(counts, seeds=n)),
        pretrainings=least(lambda n: replace(counts, pretrainings=n)) if design.scope == "methods" else None,
        patients=least(lambda n: replace(counts, patients=n)),
    )


def _finds(difference: float, components: Components, counts: Counts, design: Design, power: float) -> bool:
    error, df = _error(components, counts, design)
    return df is not None and t_power(difference, error, df, level=design.level) >= power


def _least(enough: Callable[[int], bool]) -> int | None:
    """Return the least number that is enough, by bisection; None where an endless number is not."""
    if not enough(ENDLESS):
        return None
    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _error(components: Components, counts: Counts, design: Design) -> tuple[float, float | None]:
    """Return the standard error of the difference and its degrees of freedom; None where there are none."""
    run = components.seed + components.residual / counts.patients
    runs = (components.pretraining + run / counts.seeds) / counts.pretrainings
    patients = components.patient / counts.patients
    free = counts.pretrainings - 1 if design.scope == "methods" else counts.pretrainings * (counts.seeds - 1)
    shares = [(runs, free * (1 if design.paired else 2)), (patients, counts.patients - 1)]
    if any(variance > 0 and df < 1 for variance, df in shares):
        return math.inf, None
    total = runs + patients
    weights = sum((variance / total) ** 2 / df for variance, df in shares if variance > 0)
    return math.sqrt(total), 1 / weights if weights else None
