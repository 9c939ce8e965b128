"""Aggregates of a method over several tasks with bootstrap intervals (Agarwal et al., NeurIPS 2021, arXiv:2108.13264).

Scores are (R, T): R runs of T tasks, normalised so that 1 is the best. Mean and median are those of the T task means;
the interquartile mean (IQM) is of all R·T scores, a quarter trimmed off either end; the optimality gap is how much the
scores fall short of a target on average, what lies above it not being counted.

**What is resampled.** Seeds of one checkpoint are runs of their own in every task, so runs are drawn within tasks
(stratified). A pretraining is fine-tuned on all tasks: a good one is good on many, so pretrainings are drawn for all
tasks together. Each resample draws one run fewer than there are: R draws of R vary by (R - 1)/R too little (Rao and
Wu, JASA 1988), which with three runs is an interval a fifth too narrow. ``fewer=0`` gives the draws of the paper.

**Ends.** Percentiles of the resamples where many runs are drawn. Percentiles of few are too narrow: of three
pretrainings they are about the lowest and the highest, which hold the truth in 75 of 100 studies. Below 30 degrees of
freedom (runs less one, times tasks where runs are drawn within them) the ends are the value ± Student's t times the
resamples' s.d. Draws are a function of the numbers of runs and tasks (and of a pretraining's address), so a report
stays a function of its records.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from eden_bench.seeds import Address, generator
from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import CONFIDENCE, t_quantile

RESAMPLES = 5000
PAIR_RESAMPLES = 2000
"""Of each two methods."""
TARGET = 0.9
"""Of the optimality gap. At 1, of scores that end at 1, the gap would be 1 minus their mean and say nothing new."""
_TRIMMED = 0.25
_CHUNK = 90_000
"""Numbers held at once, few enough for a processor's cache."""
_MANY = 30
"""Degrees of freedom from which ends are percentiles."""
_DIGITS = 12
"""Below them shows the order in which numbers were added."""


@dataclass(frozen=True)
class Runs:
    """The scores of one method."""

    scores: np.ndarray
    """(R, T), normalised: 1 is the best."""
    together: bool = False
    """A row is one pretraining on every task, and is drawn as a whole."""
    address: tuple[Address, ...] = ()
    """Distinguishes the draws from those of other methods; empty where methods share runs (seeds), and so draws."""

    @property
    def freedom(self) -> int:
        """Degrees of freedom of what is resampled."""
        rows, tasks = self.scores.shape
        return (rows - 1) * (1 if self.together else tasks)


class Aggregated(NamedTuple):
    """The four aggregates of one method."""

    mean: Estimate
    median: Estimate
    iqm: Estimate
    optimality_gap: Estimate


class Profile(NamedTuple):
    """Share of runs above each threshold, mean over tasks, with the ends of the pointwise 95 % band."""

    shares: np.ndarray
    low: np.ndarray | None
    """None where nothing can be resampled."""
    high: np.ndarray | None


def iqm(scores: np.ndarray) -> np.ndarray:
    """Compute the interquartile mean over the last axis: the lowest and highest quarter, rounded down, left out.

    >>> iqm(np.array([0.0, 1, 2, 3, 4, 5, 6, 100])).item()
    3.5
    """
    ordered = np.sort(scores, axis=-1)
    cut = int(_TRIMMED * ordered.shape[-1])
    return ordered[..., cut : ordered.shape[-1] - cut].mean(axis=-1)


def four(scores: np.ndarray, target: float = TARGET) -> np.ndarray:
    """Compute mean, median, IQM and optimality gap.

    Args:
        scores: (B, R, T), B resamples.
        target: of the optimality gap.

    Returns:
        (B, 4).
    """
    tasks, flat = scores.mean(axis=1), scores.reshape(len(scores), -1)
    gap = target - np.minimum(flat, target).mean(axis=1)
    return np.stack([tasks.mean(axis=1), np.median(tasks, axis=1), iqm(flat), gap], axis=1)


def aggregates(runs: Runs, *, target: float = TARGET, resamples: int = RESAMPLES, fewer: int = 1) -> Aggregated:
    """Estimate the four aggregates of a method with their 95 % intervals."""
    values = four(runs.scores[None], target)[0]
    if reason := fixed(runs):
        return Aggregated(*(Estimate(float(value), note=reason) for value in values))
    drawn = np.concatenate([four(part, target) for part in resampled(runs, resamples, fewer)])
    return Aggregated(*(_estimate(*each) for each in zip(values, *ends(runs, values, drawn), strict=True)))


def profile(runs: Runs, thresholds: np.ndarray, resamples: int = RESAMPLES) -> Profile:
    """Compute the performance profile: the share of runs whose score is above each threshold.

    Args:
        runs: of one method.
        thresholds: (K,) ascending.
        resamples: for the band.

    Returns:
        Each (K,).
    """
    below = np.searchsorted(thresholds, runs.scores)  # how many thresholds lie below each score
    shares = _shares(below[None], len(thresholds))[0]
    if fixed(runs):
        return Profile(shares, None, None)
    counted = Runs(below, runs.together, runs.address)
    drawn = np.concatenate([_shares(part, len(thresholds)) for part in resampled(counted, resamples)])
    low, high = ends(runs, shares, drawn)
    return Profile(shares, np.clip(low, 0, 1), np.clip(high, 0, 1))


def improvement(first: Runs, second: Runs, resamples: int = PAIR_RESAMPLES) -> Estimate:
    """Estimate P(a run of the first scores better than one of the second), ties counting half, mean over tasks.

    Runs of the two are drawn independently, as in the paper.
    """
    values = _improvements(first.scores[None], second.scores[None])
    if reason := fixed(first) or fixed(second):
        return Estimate(float(values[0]), note=reason)
    if values[0] in (0, 1):
        return Estimate(float(values[0]), note="no runs overlap on any task, so resamples do not vary")
    sides = (replace(runs, address=(side, *runs.address)) for side, runs in (("first", first), ("second", second)))
    mine, theirs = (np.concatenate(list(resampled(runs, resamples))) for runs in sides)
    drawn = _improvements(mine, theirs)[:, None]
    low, high = ends(min(first, second, key=lambda runs: runs.freedom), values, drawn)
    return _estimate(values[0], np.clip(low, 0, 1)[0], np.clip(high, 0, 1)[0])


def fixed(runs: Runs) -> str:
    """Return why nothing can be resampled; empty if it can."""
    return "" if len(runs.scores) > 1 else f"resampling needs at least 2 {'pretrainings' if runs.together else 'seeds'}"


def resampled(runs: Runs, resamples: int = RESAMPLES, fewer: int = 1) -> Iterator[np.ndarray]:
    """Draw bootstrap resamples of a method's runs; yield parts (B, R - fewer, T) of all resamples."""
    tasks = runs.scores.shape[1]
    flat = np.ascontiguousarray(runs.scores).ravel()
    for places in _places(runs, resamples, fewer):
        yield flat.take(places * np.intp(tasks) + np.arange(tasks))


def ends(runs: Runs, values: np.ndarray, drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the ends of 95 % intervals from resamples.

    Args:
        runs: what was resampled.
        values: (K,) estimates.
        drawn: (B, K) the same of each resample.

    Returns:
        Lower and upper ends, each (K,).
    """
    if runs.freedom < _MANY:
        half = t_quantile((1 + CONFIDENCE) / 2, runs.freedom) * drawn.std(axis=0)
        return np.round(values - half, _DIGITS), np.round(values + half, _DIGITS)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.round(drawn, _DIGITS), [tail, 1 - tail], axis=0)
    return np.round(low, _DIGITS), np.round(high, _DIGITS)


def _places(runs: Runs, resamples: int, fewer: int) -> Iterator[np.ndarray]:
    """Draw which runs each resample has: parts (B, R - fewer, T), or (B, R - fewer, 1) drawn together."""
    rows, tasks = runs.scores.shape
    kind = "pretrainings" if runs.together else "runs"
    draws = generator(0, "report", "across", kind, rows, tasks, *runs.address)
    step = max(1, _CHUNK // (rows * tasks))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        yield draws.integers(0, rows, (count, rows - fewer, 1 if runs.together else tasks), dtype=np.uint16)


def _shares(below: np.ndarray, thresholds: int) -> np.ndarray:
    """Share of runs above each threshold, (B, K), from how many thresholds lie below each, (B, R, T)."""
    flat = below.reshape(len(below), -1)
    places = flat + (thresholds + 1) * np.arange(len(flat))[:, None]
    counts = np.bincount(places.ravel(), minlength=len(flat) * (thresholds + 1)).reshape(len(flat), -1)
    above = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    return above[:, 1:] / flat.shape[1]


def _improvements(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Share of comparisons that the first wins, (B,), from scores (B, R1, T) and (B, R2, T)."""
    mine, theirs = first[:, :, None], second[:, None]
    return ((mine > theirs).mean(axis=(1, 2, 3)) + (mine >= theirs).mean(axis=(1, 2, 3))) / 2


def _estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(float(value), float(low), float(high))
