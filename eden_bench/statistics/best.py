"""Comparison with the best: each row against the best of all others, whichever that is (Hsu, 1984; Hsu, 1996, ch. 4).

The best row is chosen on the scores that are then tested, so testing it against the others as if it had been named
before finds too much. Hsu's intervals of θᵢ - max θⱼ, j ≠ i, hold for all rows at once: with dⁱ the 95 % point of
max over j of |one-sided| errors ((θ̂ⱼ - θ̂ᵢ) - (θⱼ - θᵢ))/sᵢⱼ,

    highᵢ = max(0, minⱼ (θ̂ᵢ - θ̂ⱼ + dⁱ·sᵢⱼ))              G = rows with high > 0: any may be the best
    lowᵢ  = min(0, min over j in G of (θ̂ᵢ - θ̂ⱼ - dʲ·sᵢⱼ))     0 where i alone is in G

All of them hold wherever the errors of the one truly best row's differences stay below its d, one event of 95 %: no
sharing of the 5 % among rows, and no need for equal variances or independent rows. sᵢⱼ² = Cᵢᵢ + Cⱼⱼ - 2Cᵢⱼ.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eden_bench.seeds import generator
from eden_bench.statistics.samples import sample
from eden_bench.statistics.t_tests import CONFIDENCE

DRAWS = 50_000
"""Of the joint errors, for the critical values: their level is 95 % with a standard error of 0.1 %."""
SAME = 1e-12
"""Squared standard error of a difference, relative to the rows' variances, below which two rows never differ."""


class WithTheBest(NamedTuple):
    """A row against the best of all others."""

    low: float | None
    """Simultaneous 95 % interval of this row's mean minus the best other's; None where undefined."""
    high: float | None
    verdict: Literal["best", "not the best", "may be the best", "no claim"]
    note: str = ""


def with_the_best(
    estimates: ArrayLike,
    covariance: ArrayLike,
    df: float,
    *,
    higher_is_better: bool = True,
    tables: int = 1,
    seed: int = 0,
) -> list[WithTheBest]:
    """Compare each row with the best of all others by Hsu's constrained simultaneous intervals.

    Rows that are the same numbers (equal means whose difference has no variance) are compared with the others and not
    with each other.

    Args:
        estimates: (rows,) means; at least two rows.
        covariance: (rows, rows) of the means' errors, so variances are squared standard errors.
        df: degrees of freedom of the covariance, above 0; the smallest where rows have several. May be infinite.
        higher_is_better: which end of the score is the best.
        tables: how many such comparisons shall hold together, at 95 % for all (Bonferroni).
        seed: of the draws that give the critical values.

    Raises:
        ValueError: shapes do not fit, a number is not finite, or the covariance is none.

    >>> found = with_the_best([0.9, 0.8, 0.79], np.eye(3) * 1e-4, df=27)
    >>> [row.verdict for row in found], round(found[0].high, 2), found[0].low
    (['best', 'not the best', 'not the best'], 0.13, 0.0)
    """
    means, covariances = _checked(estimates, covariance, df)
    gaps, errors, same = _differences(means if higher_is_better else -means, covariances)
    if np.any((errors == 0) & ~same):
        return [WithTheBest(None, None, "no claim", "undefined: rows differ and their difference does not vary")] * len(
            means
        )
    margins = _critical(covariances, errors, df, 1 - (1 - CONFIDENCE) / tables, seed)[:, None] * errors
    high = np.where(same, math.inf, gaps + margins).min(axis=1).clip(0)
    low = np.where(same | (high == 0), math.inf, gaps - margins.T).min(axis=1)
    low = np.where(np.isinf(low), 0.0, low.clip(max=0))
    return [_row(*ends, higher_is_better) for ends in zip(low.tolist(), high.tolist(), strict=True)]


def _row(low: float, high: float, higher_is_better: bool) -> WithTheBest:
    if math.isinf(high):
        return WithTheBest(None, None, "no claim", "undefined: all rows are the same numbers")
    verdict: Literal["best", "not the best", "may be the best"]
    verdict = "not the best" if high == 0 else "best" if low == 0 else "may be the best"
    return WithTheBest(low, high, verdict) if higher_is_better else WithTheBest(-high, -low, verdict)


def _differences(means: np.ndarray, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means' gaps i - j, their standard errors, and which rows are the same numbers: (rows, rows) each."""
    variances = covariances.diagonal()
    sums = variances[:, None] + variances
    squares = sums - 2 * covariances
    errors = np.sqrt(np.where(squares > SAME * sums, squares, 0))
    gaps = means[:, None] - means
    return gaps, errors, (errors == 0) & (np.abs(gaps) <= SAME * np.abs(means).max())


def _critical(covariances: np.ndarray, errors: np.ndarray, df: float, level: float, seed: int) -> np.ndarray:
    """Draw joint errors; return for each row i the quantile of the largest (errorⱼ - errorᵢ)/sᵢⱼ, (rows,)."""
    values, vectors = np.linalg.eigh(covariances)
    random = generator(seed, "with-the-best", len(covariances))
    drawn = random.standard_normal((DRAWS, len(values))) @ (vectors * np.sqrt(values.clip(0))).T
    if math.isfinite(df):
        drawn /= np.sqrt(random.chisquare(df, (DRAWS, 1)) / df)
    of_row = np.ascontiguousarray(drawn.T)  # where the largest of a few is found several times as fast
    found = np.zeros(len(values))
    for i, scale in enumerate(errors):
        others = scale > 0
        if others.any():
            largest = ((of_row[others] - of_row[i]) / scale[others, None]).max(axis=0)
            found[i] = np.quantile(largest, level)
    return found


def _checked(estimates: ArrayLike, covariance: ArrayLike, df: float) -> tuple[np.ndarray, np.ndarray]:
    means, covariances = sample(estimates), np.asarray(covariance, dtype=np.float64)
    if len(means) < 2 or covariances.shape != (len(means), len(means)):
        found = f"{len(means)} rows and a covariance of {covariances.shape}"
        raise ValueError(f"a comparison with the best needs at least 2 rows and a covariance (rows, rows), not {found}")
    scale = np.abs(covariances).max()
    if not np.isfinite(scale) or np.abs(covariances - covariances.T).max() > SAME * scale:
        raise ValueError("a covariance must be symmetric and finite, and this one is not")
    if np.linalg.eigvalsh(covariances).min() < -1e-9 * scale:
        raise ValueError("a covariance must have no negative variance in any direction, and this one has")
    if not df > 0:
        raise ValueError(f"degrees of freedom must be above 0, not {df}")
    return means, covariances
