"""Correct p-values of a family of tests: for one false claim in it (Holm), or for their share (Benjamini-Hochberg)."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values of one family by Holm's step-down method (1979); in the order given.

    The k-th smallest of m is multiplied by m - k + 1, and none is less than the one before it. Whoever claims what
    is below 0.05 then makes any false claim at all in at most 5 of 100 families, however the tests depend.

    Raises:
        ValueError: a p-value is not in [0, 1].

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = _ascending(p_values)
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = least
    return corrected


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Correct p-values by the step-up method of Benjamini & Hochberg (JRSS B, 1995); in the order given.

    The k-th smallest of m is multiplied by m / k, and none is more than the one after it. Of the claims below 0.05,
    at most 5 of 100 are false on average, where tests are independent or positively dependent.

    Raises:
        ValueError: a p-value is not in [0, 1].

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    order = _ascending(p_values)
    corrected, most = [0.0] * len(p_values), 1.0
    for rank in range(len(order), 0, -1):
        place = order[rank - 1]
        most = min(most, p_values[place] * len(order) / rank)
        corrected[place] = most
    return corrected


def _ascending(p_values: Sequence[float]) -> list[int]:
    for p in p_values:
        if not 0 <= p <= 1:  # NaN fails both, and would sort anywhere
            raise ValueError(f"a p-value must be in [0, 1], not {p}")
    return sorted(range(len(p_values)), key=p_values.__getitem__)
