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


class Bins(NamedTuple):
    """The bins of some probabilities."""

    ends: np.ndarray
    """(B + 1,)."""
    of: np.ndarray
    """(N,) number of each probability's bin."""


def bins_of(probability: np.ndarray, kind: Kind = "width", bins: int = BINS, order: np.ndarray | None = None) -> Bins:
    """Divide probabilities (N,) in [0, 1] into bins of equal width or of equal mass; their order, where it is known."""
    p = np.asarray(probability, dtype=float)
    order = np.argsort(p) if order is None else order
    ranked = p[order]
    ends = np.linspace(0, 1, bins + 1) if kind == "width" else _quantiles(ranked, bins)
    inner = np.searchsorted(ranked, ends[1:-1], side="right")
    of = np.empty(len(p), dtype=int)
    of[order] = np.repeat(np.arange(bins), np.diff(inner, prepend=0, append=len(p)))
    return Bins(ends, of)


def curve(found: Bins, probability: np.ndarray, target: np.ndarray) -> Reliability:
    """Compare mean probability (N,) and share of positives, target (N,) 0 or 1, within each bin."""
    bins = len(found.ends) - 1
    p, hit = np.asarray(probability, dtype=float), np.asarray(target, dtype=float)
    count, sums, hits = (np.bincount(found.of, weights, bins) for weights in (None, p, hit))
    there = count > 0
    told = found.ends[:-1], found.ends[1:], count, sums / np.maximum(count, 1), hits / np.maximum(count, 1)
    return Reliability(*(tuple(values[there].tolist()) for values in told))


def reliability(probability: np.ndarray, target: np.ndarray, kind: Kind = "width", bins: int = BINS) -> Reliability:
    """Compare mean probability and share of positives in bins of equal width or of equal mass.

    Args:
        probability: (N,) in [0, 1].
        target: (N,) 0 or 1.
        kind: what is equal among the bins.
        bins: how many.
    """
    return curve(bins_of(probability, kind, bins), probability, target)


def _quantiles(ordered: np.ndarray, parts: int) -> np.ndarray:
    """Return the ends of parts of equal mass; a place that is a case's is met exactly, which no share of 1 / 3 is."""
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
