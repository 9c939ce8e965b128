"""Estimates with their intervals, as every statistic returns them."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A value with its 95 % interval; ends are None where there is none, and ``note`` says why."""

    value: float
    low: float | None = None
    high: float | None = None
    note: str = ""
