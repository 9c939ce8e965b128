"""How probabilities agree with what happens: Brier score, calibration error with stated bins, reliability curve.

Nothing is fitted: a network is judged by the probabilities it gave, without a temperature. Bins are half-open, (low,
high], the first with its low end; of equal width their ends are 0, 1/B … 1, of equal mass the quantiles of the
probabilities, between two cases in proportion, so that equal probabilities share a bin. Empty bins count for nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

BINS = 15
"""Guo et al., ICML 2017."""
Kind = Literal["width", "mass"]


class Reliability(NamedTuple):
    """The bins of a reliability curve that hold a case, from low to high."""

    low: tuple[float, ...]
    high: tuple[float, ...]
    cases: tuple[int, ...]
    predicted: tuple[float, ...]
    """Mean probability of each bin's cases."""
    observed: tuple[float, ...]
    """Share of them that are positive."""


def brier(probability: np.ndarray, target: np.ndarray) -> float:
    """Compute the mean squared difference of probability (N,) and target (N,) 0 or 1, in [0, 1]; lower is better.

    >>> brier(np.array([0.5, 1.0]), np.array([1, 1]))
    0.125
    """
    return float(np.mean((np.asarray(probability, dtype=float) - target) ** 2))


def reliability(probability: np.ndarray, target: np.ndarray, kind: Kind = "width", bins: int = BINS) -> Reliability:
    """Compare mean probability and share of positives in bins of equal width or of equal mass.

    Args:
        probability: (N,) in [0, 1].
        target: (N,) 0 or 1.
        kind: what is equal among the bins.
        bins: how many.
    """
    p = np.asarray(probability, dtype=float)
    ends = np.linspace(0, 1, bins + 1) if kind == "width" else _quantiles(p, bins)
    of = np.searchsorted(ends[1:-1], p, side="left")
    count, sums, hits = (np.bincount(of, weights, bins) for weights in (None, p, np.asarray(target, dtype=float)))
    there = count > 0
    told = ends[:-1], ends[1:], count, sums / np.maximum(count, 1), hits / np.maximum(count, 1)
    return Reliability(*(tuple(values[there].tolist()) for values in told))


def _quantiles(values: np.ndarray, parts: int) -> np.ndarray:
    """Return the ends of parts of equal mass; a place that is a case's is met exactly, which no share of 1 / 3 is."""
    ordered = np.sort(values)
    place = (len(ordered) - 1) * np.arange(parts + 1) / parts
    low = place.astype(int)
    above = ordered[np.minimum(low + 1, len(ordered) - 1)]
    ends: np.ndarray = ordered[low] + (place - low) * (above - ordered[low])
    return ends


def calibration_error(curve: Reliability) -> float:
    """Compute the mean gap of probability and share of positives over a curve's cases: expected calibration error.

    >>> calibration_error(reliability(np.array([0.1, 0.1, 0.9, 0.9]), np.array([0, 0, 1, 0])))
    0.25
    """
    gaps = np.abs(np.subtract(curve.predicted, curve.observed))
    return float(np.average(gaps, weights=curve.cases))
