"""Numbers as text: a score in its unit, and a p."""

from __future__ import annotations

from eden_bench.contracts import PERCENT, ScoreDefinition


def shown(value: float | None, score: ScoreDefinition, sign: str = "") -> str:
    """Format a value in the score's unit with its number of digits; "–" if there is none."""
    scale = 100 if score.unit == PERCENT else 1
    return "–" if value is None else f"{value * scale:{sign}.{score.decimals}f}"


def shown_range(low: float | None, high: float | None, score: ScoreDefinition, sign: str = "") -> str:
    """Format the ends of an interval; "–" if there is none."""
    return "–" if low is None else f"{shown(low, score, sign)} to {shown(high, score, sign)}"


def p_text(p: float) -> str:
    """Format p with two significant digits; nothing is rounded to zero.

    >>> p_text(0.0254), p_text(3e-9)
    ('0.025', '3.0e-09')
    """
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.1e}"


def threads_text(count: int) -> str:
    """Format a number of CPU threads.

    >>> threads_text(1), threads_text(2)
    ('1 thread', '2 threads')
    """
    return f"{count} thread{'' if count == 1 else 's'}"
