"""The tests of two rows over their seeds alone, shown beside the verdict: none of them decides it."""

from __future__ import annotations

from typing import Any

import numpy as np

from eden_bench.report.tables import Row
from eden_bench.statistics.effects import hedges_g
from eden_bench.statistics.sign_flip import sign_flip
from eden_bench.statistics.t_tests import paired_t, two_sample_t, welch_t


def tests_over_seeds(row: Row, other: Row) -> dict[str, Any]:
    """Test two rows over the scores that they show: seeds of one checkpoint each, or means of pretrainings.

    Returns:
        Fields of a ``Pair``; none where one row has several pretrainings and the other a single one.
    """
    if (row.levels == 2) != (other.levels == 2) and not (row.drawn or other.drawn):
        return {}
    first, second = row.units, other.units
    found = {
        "paper": two_sample_t(first, second),
        "welch": welch_t(first, second),
        "hedges_g": hedges_g(first, second),
    }
    return found | (_paired(row, other) if row.levels == other.levels == 1 else {})


def _paired(row: Row, other: Row) -> dict[str, Any]:
    """Test the differences over the seeds that both rows have; none if they share fewer than two."""
    shared = sorted(row.seeds & other.seeds)
    if len(shared) < 2:
        return {}
    first, second = ([each.scores[seed] for seed in shared] for each in (row, other))
    differences = np.subtract(first, second)
    return {
        "paired": paired_t(first, second),
        "sign_flip_p": sign_flip(differences),
        "correlation": _correlation(np.array(first), np.array(second)),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return Pearson's correlation; None where a row does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
