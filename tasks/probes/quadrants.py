"""Score how well the features of a whole tell those of its four quadrants, through a map fitted on other patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eden_bench import seeds
from eden_bench.case_statistics import Columns, register_statistic
from tasks.probes.explained import r_squared, squared_lengths
from tasks.probes.ranks import cosine_table, directions, top1
from tasks.probes.ridge import Ridge, fit_over_patients

QUADRANTS = ("upper_left", "upper_right", "lower_left", "lower_right")
"""In the order of the layout 2x2, as the film shows them."""
OTHERS = 99
"""Quadrants of other wholes that a true one is looked for among."""


def fit_quadrants(whole: np.ndarray, parts: np.ndarray, patients: Sequence[str] | np.ndarray) -> Ridge:
    """Fit all four quadrants' features at once, with one penalty.

    Args:
        whole: (N, D) what is known of the wholes.
        parts: (N, 4, D).
        patients: of the N.
    """
    return fit_over_patients(whole, parts.reshape(len(parts), -1), patients)


def squared_errors(ridge: Ridge, whole: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return predictions (M, 4, D), and squared distances of the parts to them and to the training means, (M, 4).

    Distances below 1e-8, which are rounding, are 0.
    """
    predicted = ridge.predict(whole).reshape(parts.shape)
    return predicted, squared_lengths(parts - predicted), squared_lengths(parts - ridge.mean_y.reshape(parts.shape[1:]))


def by_quadrant(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Return (M, 4) as four columns, "name_quadrant"."""
    return {f"{name}_{quadrant}": values[:, i] for i, quadrant in enumerate(QUADRANTS)}


def among_own(predicted: np.ndarray, parts: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Look for each quadrant among the four of its whole; chance ¼.

    Args:
        predicted: (M, 4, D) features told from the whole.
        parts: (M, 4, D) the parts' own.
        mean: (D,) subtracted from both.

    Returns:
        (M,) share of the four that stand first, equals sharing.
    """
    similarity = cosine_table(directions(predicted, mean), directions(parts, mean))
    return top1(similarity.reshape(-1, 4), np.tile(np.arange(4), len(parts))).reshape(-1, 4).mean(axis=1)


def among_others(predicted: np.ndarray, parts: np.ndarray, mean: np.ndarray, seed: int) -> np.ndarray:
    """Look for each quadrant among itself and the same quadrant of 99 other wholes; chance 1/100.

    Where there are fewer other wholes, among all there are.

    Args:
        predicted: (M, 4, D).
        parts: (M, 4, D).
        mean: (D,).
        seed: draws the others.

    Returns:
        (M,) share of the four that stand first, equals sharing.
    """
    candidates = _candidates(len(parts), seed)
    first = []
    for quadrant in range(len(QUADRANTS)):
        told, own = (directions(x[:, quadrant], mean) for x in (predicted, parts))
        chosen = np.take_along_axis(cosine_table(told, own), candidates, axis=1)
        first.append(top1(chosen, np.zeros(len(parts), dtype=np.int64)))
    return np.mean(first, axis=0)


def _candidates(count: int, seed: int) -> np.ndarray:
    """Return (count, 1 + others) int64: each row itself, then others drawn without replacement."""
    others = min(OTHERS, count - 1)
    steps = [seeds.generator(seed, "others", row).permutation(count - 1)[:others] + 1 for row in range(count)]
    return np.concatenate([np.arange(count)[:, None], (np.arange(count)[:, None] + np.stack(steps)) % count], axis=1)


@register_statistic("quadrants_r2")
def quadrants_r2(columns: Columns, name: str) -> float:
    """Return R² of each quadrant, 1 - Σ error / Σ total, mean over the four; 0 for one that does not vary."""
    return _mean_r2(columns, "error")


@register_statistic("box_r2")
def box_r2(columns: Columns, name: str) -> float:
    """Return the same of what the whole's box alone tells."""
    return _mean_r2(columns, "box_error")


@register_statistic("r2_beyond_box")
def r2_beyond_box(columns: Columns, name: str) -> float:
    """Return by how much R² exceeds that of the whole's box alone."""
    return quadrants_r2(columns, name) - box_r2(columns, name)


def _mean_r2(columns: Mapping[str, np.ndarray], kind: str) -> float:
    sums = [(float(columns[f"{kind}_{q}"].sum()), float(columns[f"total_{q}"].sum())) for q in QUADRANTS]
    return float(np.mean([r_squared(error, total) for error, total in sums]))


def summarise(columns: Columns) -> dict[str, float]:
    """Return every score of the cases."""
    return {
        "quadrants_r2": quadrants_r2(columns, ""),
        "box_r2": box_r2(columns, ""),
        "r2_beyond_box": r2_beyond_box(columns, ""),
        "top1_own": float(columns["top1_own"].mean()),
        "top1_others": float(columns["top1_others"].mean()),
    }
