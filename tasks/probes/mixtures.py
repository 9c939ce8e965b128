"""Score how near a mixture of the features at A and B is to what lies there: between them and beyond B."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eden_bench.case_statistics import Columns, mean, register_statistic
from tasks.probes.explained import r_squared, squared_lengths
from tasks.probes.lines import ASKED, EIGHTHS, error_in_t, extrapolated, interpolated
from tasks.probes.ranks import directions

KINDS = ("interpolation", "extrapolation")
_TRIVIAL = ("a", "b", "film")
Mix = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
_MIXES: dict[str, Mix] = {"interpolation": interpolated, "extrapolation": extrapolated}


def line_columns(features: np.ndarray, centre: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """Score lines of one kind at t = ¼, ½, ¾.

    Args:
        features: (F, L, 9, D) of L lines on each of F films: at A, at B, at the seven candidates.
        centre: (D,) subtracted before cosines are taken.
        kind: "interpolation", candidates between A and B, or "extrapolation", beyond B.

    Returns:
        Columns, each (F, L, 3): the error in t, and by the weights swapped; whether the right weights come nearer (½
        where they do equally, NaN at t = ½ where they are the same); squared distances of the truth to the mixture, to
        A, to B and to the film's mean; the published cosine to the truth, and to the other candidates.
    """
    each = [_at(features, centre, kind, eighth) for eighth in ASKED]
    return {f"{kind}_{name}": np.stack([columns[name] for columns in each], axis=-1) for name in each[0]}


def _at(features: np.ndarray, centre: np.ndarray, kind: str, eighth: int) -> dict[str, np.ndarray]:
    a, b, candidates = features[..., 0, :], features[..., 1, :], features[..., 2:, :]
    t, truth = eighth / EIGHTHS, candidates[..., eighth - 1, :]
    mixed, swapped = (_MIXES[kind](a, b, weight) for weight in (t, 1 - t))
    cosines, by_swapped = (_cosines(one, candidates, centre) for one in (mixed, swapped))
    raw = _cosines(mixed, candidates, 0.0)
    others = np.delete(raw, eighth - 1, axis=-1).mean(axis=-1)
    means = features.mean(axis=(1, 2), keepdims=True)[:, :, 0]
    return {
        "error": error_in_t(cosines, t),
        "swapped_error": error_in_t(by_swapped, t),
        "right_weights": _wins(cosines[..., eighth - 1], by_swapped[..., eighth - 1], t),
        "squared": squared_lengths(truth - mixed),
        **{
            f"squared_{name}": squared_lengths(truth - other)
            for name, other in zip(_TRIVIAL, (a, b, means), strict=True)
        },
        "raw_cosine": raw[..., eighth - 1],
        "raw_cosine_mismatched": others,
    }


def _cosines(one: np.ndarray, candidates: np.ndarray, centre: np.ndarray | float) -> np.ndarray:
    """Return (..., 7) cosines of (..., D) to (..., 7, D)."""
    return (directions(one, centre)[..., None, :] * directions(candidates, centre)).sum(axis=-1)


def _wins(right: np.ndarray, swapped: np.ndarray, t: float) -> np.ndarray:
    won = (right > swapped) + 0.5 * (right == swapped)
    return np.full_like(won, np.nan) if t == 1 - t else won


@register_statistic("mixing_skill")
def mixing_skill(columns: Columns, name: str) -> float:
    """Return 1 - Σ‖E_C - mixture‖² / Σ‖E_C - P‖² for the best P of E_A, E_B and the film's mean; 0 without spread."""
    kind = name.removesuffix("_skill")
    best = min(float(columns[f"{kind}_squared_{other}"].sum()) for other in _TRIVIAL)
    return r_squared(float(columns[f"{kind}_squared"].sum()), best)


def summarise(columns: Columns) -> dict[str, float]:
    """Return every score of the cases."""
    names = ("error", "swapped_error", "right_weights", "raw_cosine", "raw_cosine_mismatched")
    means = {f"{kind}_{name}": mean(columns, f"{kind}_{name}") for kind in KINDS for name in names}
    return means | {f"{kind}_skill": mixing_skill(columns, f"{kind}_skill") for kind in KINDS}
