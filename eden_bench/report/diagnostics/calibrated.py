"""Diagnostic: are the probabilities what they say? Brier score, class-wise calibration error, reliability curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from eden_bench.report.diagnostics.predicted import Predicted
from eden_bench.statistics.calibration import BINS, Kind, brier, calibration_error, reliability

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


def calibrated(found: Predicted) -> dict[str, Any]:
    """Return the fields of a ``Diagnostic``: one row a label, and their mean; each value the mean over the cells."""
    rows = [_row(found, column) for column in range(len(found.labels))]
    mean = [float(np.mean([row[place] for row in rows])) for place in range(len(rows[0]))]
    whole = (len(found.patients), *mean[1:])
    curves = {
        label: reliability(
            found.probabilities[:, :, column].ravel(), np.tile(found.targets[:, column], len(found.cells))
        )
        for column, label in enumerate(found.labels)
    }
    named = [(label, *row) for label, row in zip(found.labels, rows, strict=True)]
    return {
        "title": "Calibration",
        "formula": "classwise-calibration",
        "columns": COLUMNS,
        "rows": ((MEAN, *whole), *named) if len(rows) > 1 else tuple(named),
        "curves": curves,
        "sentences": (_brier_text(mean), _error_text(mean)),
    }


def _row(found: Predicted, column: int) -> tuple[int | float, ...]:
    target = found.targets[:, column]
    each = [found.probabilities[cell, :, column] for cell in range(len(found.cells))]
    share = float(target.mean())

    def error(kind: Kind) -> float:
        return float(np.mean([calibration_error(reliability(p, target, kind)) for p in each]))

    scores = float(np.mean(each)), float(np.mean([brier(p, target) for p in each])), share * (1 - share)
    return (len(target), share, *scores, error("width"), error("mass"))


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
