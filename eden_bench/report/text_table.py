"""Format tables as plain text, for pipes and files; nothing is truncated."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> str:
    """Align the columns of a table to the left, two spaces apart, no trailing spaces.

    >>> print(aligned(["method", "mean"], [["adam", "92.95"], ["densecl", "93.65"]]))
    method   mean
    adam     92.95
    densecl  93.65
    """
    table = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return "\n".join([title, *lines] if title else lines)
