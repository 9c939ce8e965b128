"""Diagnostic: how much is lost on another hospital's films? The same networks' AUROC here and there, and the drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from eden_bench.report.diagnostics.calibrated import MEAN
from eden_bench.report.diagnostics.diagnostic import Gap, Value, shown
from eden_bench.report.diagnostics.groups import mean_aucs
from eden_bench.report.diagnostics.predicted import Predicted, Unusable, ends

COLUMNS = ("finding", "inside", "outside", "drop", "low", "high", "note")


def dropped(
    inside: Predicted, outside: Predicted, shared: Mapping[str, Sequence[str]], names: tuple[str, str]
) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: a row a finding that both name, and their mean.

    Args:
        inside: what the networks predicted of their own dataset's test images.
        outside: what they predicted of the other's, cell by cell the same networks.
        shared: finding of the other dataset to the labels of their own that stand for it.
        names: of the two datasets.

    Raises:
        Unusable: no finding has both values in both test sets.
    """
    own = united(inside, shared)
    both = [
        label for label in outside.labels if label in own.labels and _has_both(own, label) and _has_both(outside, label)
    ]
    if not both:
        raise Unusable("no finding that both name has both values in both test sets")
    found = [_aucs(side, both) for side in (own, outside)]
    rows: list[tuple[Value, ...]] = []
    gaps: list[Gap] = []
    for place, label in enumerate([MEAN, *both]):
        (there, there_draws), (here, here_draws) = ((values[place], draws[:, place]) for values, draws in found)
        drop = float(there - here)
        low, high = ends(there_draws - np.roll(here_draws, 1))  # both sides draw alike where they have as many patients
        rows.append((label, float(there), float(here), drop, low, high, ""))
        gaps.append(Gap(label, names[1], names[0], drop, low, high))
    rows += [(label, None, None, None, None, None, "one value only") for label in outside.labels if label not in both]
    return {
        "title": "External validation",
        "formula": "external-drop",
        "columns": COLUMNS,
        "rows": tuple(rows),
        "gaps": tuple(gaps),
        "sentences": (_text(gaps[0], rows[0], names, len(both)), _how(outside, names)),
    }


def united(found: Predicted, shared: Mapping[str, Sequence[str]]) -> Predicted:
    """Return predictions by finding: shown where any of its labels is, with the highest of their probabilities."""
    there = {finding: labels for finding, labels in shared.items() if set(labels) <= set(found.labels)}
    columns = [[found.labels.index(label) for label in labels] for labels in there.values()]
    if not there:
        raise Unusable("its own records have none of the labels that stand for the findings")
    targets = np.stack([found.targets[:, each].any(axis=1) for each in columns], axis=1)
    probabilities = np.stack([found.probabilities[:, :, each].max(axis=2) for each in columns], axis=2)
    return replace(found, labels=tuple(there), targets=targets, probabilities=probabilities, columns=())


def _has_both(found: Predicted, label: str) -> bool:
    return len(np.unique(found.targets[:, found.labels.index(label)])) == 2


def _aucs(found: Predicted, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the AUROC of the mean over labels and of each, (1 + L,), and in every resample, (R, 1 + L)."""
    everyone = {"": np.ones(len(found.patients), bool)}
    each = [mean_aucs(found, everyone, [found.labels.index(label)]) for label in labels]
    values, draws = np.concatenate([one[0] for one in each]), np.concatenate([one[1] for one in each], axis=1)
    return np.append(values.mean(), values), np.column_stack([draws.mean(axis=1), draws])


def _text(gap: Gap, row: tuple[Value, ...], names: tuple[str, str], findings: int) -> str:
    interval = "no interval" if gap.low is None else f"95 % interval {shown(gap.low)} to {shown(gap.high)}"
    return (
        f"AUROC {shown(row[1])} on {names[0]} and {shown(row[2])} on {names[1]}, mean over {findings} findings that "
        f"both name: a drop of {shown(gap.value)} ({interval})."
    )


def _how(outside: Predicted, names: tuple[str, str]) -> str:
    return (
        f"Nothing was trained or chosen on {names[1]}, and each drop is of the same networks on both sides; patients "
        f"of either are drawn with replacement ({outside.count:,} on {names[1]}). The two were not labelled alike, so "
        "that a drop is of hospital and labels together."
    )
