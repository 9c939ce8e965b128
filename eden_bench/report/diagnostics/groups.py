"""Diagnostic: whom does a network serve worst? AUROC of groups by sex, age and view, the worst one and the gap."""

from __future__ import annotations

from typing import Any

import numpy as np

from eden_bench.report.diagnostics.diagnostic import Gap, Value, shown
from eden_bench.report.diagnostics.predicted import Predicted, ends
from eden_bench.statistics.auc_shares import auc_shares

LEAST_PATIENTS = 50
"""Groups of fewer are not shown."""
LEAST_FILMS = 5
"""A label needs as many films with it, and as many without, in each group that is shown."""
AGE_FROM = (0, 20, 40, 60, 80)
"""First year of each age band."""
COLUMNS = ("by", "group", "patients", "films", "AUROC", "low", "high", "note")
_TOO_FEW = f"fewer than {LEAST_PATIENTS} patients"

Masks = dict[str, np.ndarray]
"""Group to its cases, (N,) bool."""


def groups_of(found: Predicted) -> dict[str, Masks]:
    """Return the groups by each attribute that the cases tell; a case of which it is not known is in none."""
    made: dict[str, Masks] = {}
    for attribute, values in found.about.items():
        if attribute == "age":
            made[attribute] = _bands(values)
        else:
            made[attribute] = {name: values == name for name in sorted(set(values.tolist()) - {""})}
    return {attribute: masks for attribute, masks in made.items() if masks}


def grouped(found: Predicted) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: a row a group, a gap an attribute."""
    rows: list[tuple[Value, ...]] = []
    gaps: list[Gap] = []
    sentences: list[str] = []
    for attribute, masks in groups_of(found).items():
        large, labels = _large(found, masks), []
        if len(large) > 1:
            labels = [column for column in range(len(found.labels)) if _is_shared(found, column, large)]
        scored = mean_aucs(found, large, labels) if labels else None
        rows += _rows(found, attribute, masks, large, scored)
        if scored is None:
            sentences.append(f"{attribute}: {_why_not(large)}, so that no groups are compared.")
            continue
        gap = gap_of(attribute, list(large), *scored, lower_is_worse=True)
        gaps.append(gap)
        sentences.append(
            f"{gap_text(gap)} AUROC is the mean over {_labels_text(found, labels)}.{_unknown(found, masks)}"
        )
    return {
        "title": "Groups",
        "formula": "group-auroc",
        "columns": COLUMNS,
        "rows": tuple(rows),
        "gaps": tuple(gaps),
        "sentences": (*sentences, NOTE),
    }


NOTE = (
    "Intervals are over patients, drawn with replacement, for the mean over the cells; the worst and the best group "
    "were picked on these very scores, which makes a gap look larger and surer than it is."
)


def mean_aucs(found: Predicted, masks: Masks, labels: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return each group's AUROC, mean over labels and cells, (G,), and its value in every resample, (R, G)."""
    values, shares = np.zeros(len(masks)), np.zeros((found.count, len(masks)))
    weight = 1 / (len(labels) * len(found.cells))
    for cell in range(len(found.cells)):
        for column in labels:
            p = found.probabilities[cell, :, column]
            order = found.order(cell, column)
            for place, mask in enumerate(masks.values()):
                rows = order[mask[order]]
                one = auc_shares(p[rows], found.targets[rows, column])
                values[place] += weight * one.auc
                shares[:, place] += np.bincount(found.of_patient[rows], weight * one.shares, found.count)
    return values, values + found.drawn(shares)


def gap_of(of: str, names: list[str], values: np.ndarray, draws: np.ndarray, *, lower_is_worse: bool) -> Gap:
    """Return the gap between the worst and the best group, and its interval with these two held."""
    order = np.argsort(values if lower_is_worse else -values, kind="stable")
    worst, best = int(order[0]), int(order[-1])
    sign = 1 if lower_is_worse else -1
    low, high = ends(sign * (draws[:, best] - draws[:, worst]))
    return Gap(of, names[worst], names[best], float(sign * (values[best] - values[worst])), low, high)


def gap_text(gap: Gap) -> str:
    """Say a gap in words."""
    if gap.low is None or gap.high is None:
        return f"{gap.of}: the worst group is {gap.worst}, {shown(gap.value)} behind {gap.best} (no interval)."
    clear = "" if gap.low > 0 or gap.high < 0 else "; it may be none"
    return (
        f"{gap.of}: the worst group is {gap.worst}, {shown(gap.value)} behind {gap.best} (95 % interval "
        f"{shown(gap.low)} to {shown(gap.high)}{clear})."
    )


def _bands(ages: np.ndarray) -> Masks:
    known = ages[~np.isnan(ages)]
    starts = [*AGE_FROM, np.inf]
    names = [
        f"{low}-{high - 1:.0f}" if high < np.inf else f"{low}+" for low, high in zip(AGE_FROM, starts[1:], strict=True)
    ]
    masks = {name: (ages >= low) & (ages < high) for name, low, high in zip(names, AGE_FROM, starts[1:], strict=True)}
    return {name: mask for name, mask in masks.items() if mask.any()} if len(known) else {}


def _large(found: Predicted, masks: Masks) -> Masks:
    return {name: mask for name, mask in masks.items() if found.patients_in(mask) >= LEAST_PATIENTS}


def _is_shared(found: Predicted, column: int, masks: Masks) -> bool:
    """Return whether every group has enough films with a label and without it, so that means are over the same."""
    counts = [(found.targets[mask, column].sum(), (~found.targets[mask, column]).sum()) for mask in masks.values()]
    return all(min(each) >= LEAST_FILMS for each in counts)


def _rows(
    found: Predicted, attribute: str, masks: Masks, large: Masks, scored: tuple[np.ndarray, np.ndarray] | None
) -> list[tuple[Value, ...]]:
    rows: list[tuple[Value, ...]] = []
    for name, mask in masks.items():
        if name not in large:
            rows.append((attribute, name, None, None, None, None, None, _TOO_FEW))
            continue
        told = found.patients_in(mask), int(mask.sum())
        if scored is None:
            rows.append((attribute, name, *told, None, None, None, "nothing to compare it by"))
        else:
            place = list(large).index(name)
            rows.append((attribute, name, *told, float(scored[0][place]), *ends(scored[1][:, place]), ""))
    return rows


def _why_not(large: Masks) -> str:
    if len(large) < 2:
        return f"{len(large)} of its groups have {LEAST_PATIENTS} patients or more"
    return f"no label has {LEAST_FILMS} films with it and as many without in each of {', '.join(large)}"


def _labels_text(found: Predicted, labels: list[int]) -> str:
    if len(labels) == len(found.labels):
        return f"all {len(labels)} labels" if len(labels) > 1 else f"the label {found.labels[0]}"
    named = ", ".join(found.labels[column] for column in labels)
    return f"the {len(labels)} labels that each group has {LEAST_FILMS} films with and without ({named})"


def _unknown(found: Predicted, masks: Masks) -> str:
    lacking = len(found.patients) - int(np.logical_or.reduce(list(masks.values())).sum())
    return f" Of {lacking:,} films it is not known." if lacking else ""
