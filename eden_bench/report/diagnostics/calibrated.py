"""Diagnostic: are the probabilities what they say? Brier score, class-wise calibration error, reliability curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eden_bench.report.diagnostics.predicted import Predicted
from eden_bench.statistics.calibration import BINS, Bins, Kind, Reliability, bins_of, brier, calibration_error, curve

COLUMNS = (
    "label",
    "films",
    "share positive",
    "mean probability",
    "Brier",
    "Brier of the share",
    "error",
    "error, mass",
)
"""Errors are in bins of equal width, and of equal mass."""
MEAN = "mean over labels"
_KINDS: tuple[Kind, Kind] = ("width", "mass")


def calibrated(found: Predicted) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: one row a label, and their mean; each value the mean over the cells."""
    told = [_label(found, column) for column in range(len(found.labels))]
    rows = [row for row, _ in told]
    mean = [float(np.mean([row[place] for row in rows])) for place in range(len(rows[0]))]
    whole = (len(found.patients), *mean[1:])
    named = [(label, *row) for label, row in zip(found.labels, rows, strict=True)]
    return {
        "title": "Calibration",
        "formula": "classwise-calibration",
        "columns": COLUMNS,
        "rows": ((MEAN, *whole), *named) if len(rows) > 1 else tuple(named),
        "curves": {label: pooled for label, (_, pooled) in zip(found.labels, told, strict=True)},
        "sentences": (_brier_text(mean), _error_text(mean)),
    }


def _label(found: Predicted, column: int) -> tuple[tuple[int | float, ...], Reliability]:
    """Return a label's row, and the reliability curve of all cells' predictions together."""
    target = found.targets[:, column]
    each = [found.probabilities[cell, :, column] for cell in range(len(found.cells))]
    orders = [found.order(cell, column) for cell in range(len(found.cells))]
    widths, masses = ([bins_of(p, kind, order=o) for p, o in zip(each, orders, strict=True)] for kind in _KINDS)
    share = float(target.mean())
    scores = float(np.mean(each)), float(np.mean([brier(p, target) for p in each])), share * (1 - share)
    together = Bins(widths[0].ends, np.concatenate([one.of for one in widths]))
    pooled = curve(together, np.concatenate(each), np.tile(target, len(each)))
    return (len(target), share, *scores, _error(widths, each, target), _error(masses, each, target)), pooled


def _error(bins: Sequence[Bins], each: Sequence[np.ndarray], target: np.ndarray) -> float:
    """Return the calibration error, mean over the cells."""
    return float(np.mean([calibration_error(curve(one, p, target)) for one, p in zip(bins, each, strict=True)]))


def _brier_text(mean: list[float]) -> str:
    return (
        f"Brier score: {mean[3]:.4f}, the mean squared difference of probability and label (0 is best), mean over "
        f"labels; who gave every film the label's own share would have {mean[4]:.4f}."
    )


def _error_text(mean: list[float]) -> str:
    return (
        f"Class-wise calibration error: {mean[5]:.4f} in {BINS} bins of equal width, {mean[6]:.4f} in {BINS} of equal "
        "mass: the mean gap between probability and share of positives over a label's films, mean over labels. "
        "Probabilities are as the network gave them: no temperature was fitted. The error of rare labels is small "
        "whatever a network says, since their shares are."
    )
