"""The tests of two rows over their seeds alone, shown beside the verdict: none of them decides it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eden_bench.report.tables import Row
from eden_bench.statistics.effects import cliffs_delta, hedges_g, probability_of_improvement
from eden_bench.statistics.sign_flip import sign_flip
from eden_bench.statistics.signed_rank import signed_rank
from eden_bench.statistics.t_tests import paired_t, two_sample_t, welch_t

Probabilities = tuple[float, float, float]


def tests_over_seeds(row: Row, other: Row, *, higher: bool) -> dict[str, Any]:
    """Test two rows over the scores that they show: seeds of one checkpoint each, or means of pretrainings.

    Args:
        row: the first.
        other: the second.
        higher: a higher score is better.

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
        "cliffs_delta": cliffs_delta(first, second),
        "probability": probability_of_improvement(*((first, second) if higher else (second, first))),
    }
    return found | _paired(row, other)


def posteriors(pairs: Sequence[tuple[Row, Row]], margin: float | None, higher: bool) -> list[Probabilities | None]:
    """Return each pair's probabilities that the first is practically better, equal or worse, by the signed rank.

    Args:
        pairs: of rows of one table.
        margin: half the width of the region of practical equivalence; None if the score has none.
        higher: a higher score is better.

    Returns:
        None for pairs that share fewer than two seeds, and where there is no margin.
    """
    shared = [_differences(*pair) for pair in pairs]
    found: list[Probabilities | None] = [None] * len(pairs)
    for length in {len(each) for each in shared if len(each) > 1 and margin}:
        places = [place for place, each in enumerate(shared) if len(each) == length]
        posterior = signed_rank([shared[place] for place in places], margin or 0.0)
        for place, each in zip(places, posterior, strict=True):
            found[place] = (each.higher, each.within, each.lower) if higher else (each.lower, each.within, each.higher)
    return found


def _paired(row: Row, other: Row) -> dict[str, Any]:
    """Test the differences over the seeds that both rows have; none if they share fewer than two."""
    differences = _differences(row, other)
    if len(differences) < 2:
        return {}
    first, second = ([each.scores[seed] for seed in _shared(row, other)] for each in (row, other))
    return {
        "paired": paired_t(first, second),
        "sign_flip_p": sign_flip(differences),
        "correlation": _correlation(np.array(first), np.array(second)),
    }


def _shared(row: Row, other: Row) -> list[int]:
    """Return the fine-tuning seeds that two rows of one checkpoint each share; none of several pretrainings."""
    return sorted(row.seeds & other.seeds) if row.levels == other.levels == 1 else []


def _differences(row: Row, other: Row) -> list[float]:
    return [row.scores[seed] - other.scores[seed] for seed in _shared(row, other)]


def _correlation(first: np.ndarray, second: np.ndarray) -> float | None:
    """Return Pearson's correlation; None where a row does not vary."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])
