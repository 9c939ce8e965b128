"""Score how well the mean of its parts stands for a whole: against mismatches, among all wholes, and by a fitted map.

Features come as (F, P, 2, D): films of different patients, places on each, a whole and the one beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eden_bench.case_statistics import Columns, register_counted, register_statistic
from eden_bench.statistics.ranking import auc, auc_of_counts
from tasks.probes.explained import r_squared, squared_lengths
from tasks.probes.ranks import cosine_table, directions, reciprocal_rank, top1
from tasks.probes.ridge import fit_over_patients
from tasks.probes.wholes import LAYOUTS, groups_of

MISMATCHES = ("shifted", "other_patient")
"""Whose parts a whole is compared with besides its own: the whole's beside it, and its place's in another patient."""


def cosines(whole: np.ndarray, sums: np.ndarray, mean: np.ndarray | float) -> dict[str, np.ndarray]:
    """Compare each whole with the sum of its own parts and with those of two others.

    Args:
        whole: (F, P, 2, D) features of wholes.
        sums: (F, P, 2, D) means of the features of their parts, by area.
        mean: (D,) subtracted from both; 0 for the published form.

    Returns:
        "matched" and ``MISMATCHES``, each (F, P, 2).
    """
    w, a = directions(whole, mean), directions(sums, mean)
    others = {"matched": a, "shifted": a[:, :, ::-1], "other_patient": a[_twins(len(a))]}
    return {name: (w * other).sum(axis=-1) for name, other in others.items()}


def _twins(films: int) -> np.ndarray:
    """Return, for each film, the next in its group."""
    return np.concatenate([np.roll(group, -1) for group in groups_of(films)])


def retrieval(whole: np.ndarray, sums: np.ndarray, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Look for each whole, given the sum of its parts, among all wholes of its size band, which is its place's.

    Args:
        whole: (F, P, 2, D).
        sums: (F, P, 2, D).
        mean: (D,).

    Returns:
        "top1" and "mrr", each (F, P, 2): chance of standing first, and mean of 1 / rank, over the orders of equals.
    """
    found: dict[str, list[np.ndarray]] = {"top1": [], "mrr": []}
    films, places = whole.shape[:2]
    truth = np.arange(2 * films)
    for place in range(places):
        queries, gallery = (directions(x[:, place].reshape(2 * films, -1), mean) for x in (sums, whole))
        similarity = cosine_table(queries, gallery)
        found["top1"].append(top1(similarity, truth).reshape(films, 2))
        found["mrr"].append(reciprocal_rank(similarity, truth).reshape(films, 2))
    return {name: np.stack(values, axis=1) for name, values in found.items()}


def fitted(
    train: tuple[np.ndarray, np.ndarray], patients: Sequence[str] | np.ndarray, test: tuple[np.ndarray, np.ndarray]
) -> dict[str, np.ndarray]:
    """Fit wholes from their four concatenated parts on training patients; say how far the test wholes are off.

    Args:
        train: (N, D) wholes and (N, 4, D) parts.
        patients: of the N.
        test: (M, D) and (M, 4, D).

    Returns:
        "ridge_error" and "ridge_total", each (M,): squared distance to the fit, and to the mean training whole.
    """
    (whole, parts), (new_whole, new_parts) = train, test
    ridge = fit_over_patients(parts.reshape(len(parts), -1), whole, patients)
    off = new_whole - ridge.predict(new_parts.reshape(len(new_parts), -1))
    return {"ridge_error": squared_lengths(off), "ridge_total": squared_lengths(new_whole - ridge.mean_y)}


@register_statistic("auc_matched")
def auc_matched(columns: Columns, name: str) -> float:
    """Area under the ROC curve of column "matched" against all mismatches, pooled; ties count half."""
    return _auc(columns, MISMATCHES)


@register_counted("auc_matched")
def counted_auc_matched(columns: Columns, name: str, counts: np.ndarray) -> np.ndarray:
    """Compute ``auc_matched`` of R resamples from how often each drew each case, (R, N)."""
    values, target = _matched_and_others(columns, MISMATCHES)
    return auc_of_counts(values, target, np.tile(counts, len(values) // counts.shape[1]))


@register_statistic("auc_matched_against")
def auc_matched_against(columns: Columns, name: str) -> float:
    """The same against the mismatches that the score's name ends in."""
    return _auc(columns, [mismatch for mismatch in MISMATCHES if name.endswith(mismatch)])


def _auc(columns: Columns, against: Sequence[str]) -> float:
    return auc(*_matched_and_others(columns, against))


def _matched_and_others(columns: Columns, against: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    parts = [np.asarray(columns[name], dtype=float) for name in ("matched", *against)]
    return np.concatenate(parts), np.repeat([1] + [0] * len(against), len(parts[0]))


@register_statistic("explained_share")
def explained_share(columns: Columns, name: str) -> float:
    """Return R², 1 - Σ error / Σ total of the columns that the score's name begins; 0 where nothing varies."""
    stem = name.removesuffix("_r2")
    error, total = (float(np.nansum(columns[f"{stem}_{kind}"])) for kind in ("error", "total"))
    return r_squared(error, total)


@register_statistic("calibrated_cosine")
def calibrated_cosine(columns: Columns, name: str) -> float:
    """Return `calibrated` of the mean published cosines of matched and of mismatched pairs."""
    return calibrated(float(columns["raw_cosine"].mean()), float(columns["raw_cosine_mismatched"].mean()))


def calibrated(matched: float, mismatched: float) -> float:
    """Return (c - m) / (1 - m), how much of the way from mismatched to 1 the matched cosine is; 0 where 1 - m < 1e-6.

    >>> round(calibrated(0.998, 0.996), 3), calibrated(1.0, 1.0)
    (0.5, 0.0)
    """
    return (matched - mismatched) / (1 - mismatched) if 1 - mismatched >= 1e-6 else 0.0


def summarise(columns: Mapping[str, np.ndarray], layouts: np.ndarray) -> dict[str, float]:
    """Return every score of the cases.

    Args:
        columns: a row a whole and layout.
        layouts: (rows,) name of each row's.
    """
    inside = columns["border"] == 0
    scores = {
        "part_whole_auc": auc_matched(columns, ""),
        **{f"auc_{name}": auc_matched_against(columns, name) for name in MISMATCHES},
        **{f"auc_{name}": auc_matched(_rows(columns, layouts == name), "") for name in LAYOUTS},
        **{name: float(columns[name].mean()) for name in ("top1", "mrr", "raw_cosine", "raw_cosine_mismatched")},
        "ridge_r2": explained_share(columns, "ridge_r2"),
        "calibrated_cosine": calibrated_cosine(columns, ""),
    }
    return scores | ({"auc_inside": auc_matched(_rows(columns, inside), "")} if inside.any() else {})


def _rows(columns: Mapping[str, np.ndarray], which: np.ndarray) -> dict[str, np.ndarray]:
    return {name: values[which] for name, values in columns.items()}
