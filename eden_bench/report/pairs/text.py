"""Describe pairs of rows in sentences: the difference, what its interval covers, and the verdict for each scope."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench.report.claim_text import marked
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.tables import Table

_SCOPES = {"checkpoints": "these checkpoints", "methods": "the methods"}


def pair_sentence(pair: Pair, table: Table) -> str:
    """Describe what may be claimed of two rows in one sentence, with its marks.

    For example "adam against densecl: difference +0.70; these checkpoints: undecided (95 % -0.20 to +1.60 over other
    fine-tuning seeds and other patients, p = 0.13, by Holm 0.26); the methods: not asked (1 and 1 pretrainings, 3 each
    are needed)".
    """
    difference = shown(pair.checkpoints.difference, table.score, "+")
    parts = [finding_text(found, table) for found in (pair.checkpoints, pair.methods)]
    return "; ".join([f"{pair.row} against {pair.other}: difference {difference}", *parts])


def finding_text(found: Finding, table: Table) -> str:
    """Describe the finding of one scope: for what it holds, the verdict with its marks, and what it rests on."""
    basis = "; ".join(filter(None, [_numbers(found, table), found.note]))
    return f"{_SCOPES[found.scope]}: {marked(found.verdict, table)}" + (f" ({basis})" if basis else "")


def _numbers(found: Finding, table: Table) -> str:
    """Write the interval, what it covers and the p-values; "" if there is no interval."""
    if found.low is None:
        return ""
    over = f" over {found.covers}" if found.covers else ""
    parts = [f"95 % {shown_range(found.low, found.high, table.score, '+')}{over}"]
    parts += [] if found.p is None else [f"p = {p_text(found.p)}"]
    parts += [] if found.adjusted_p is None else [f"by Holm {p_text(found.adjusted_p)}"]
    if found.verdict == "equivalent":
        parts.append(f"within ±{shown(found.margin, table.score)}")
    return ", ".join(parts)


def family_text(methods: Sequence[str], pairs: int, tables: int) -> str:
    """State the family that Holm's correction is over.

    Args:
        methods: whose pairs with every other row are the family; none where it is all pairs.
        pairs: how many there are.
        tables: how many tables they come from.
    """
    if not pairs:
        return ""
    whose = f"all pairs with {' or '.join(methods)}" if methods else "all pairs of rows"
    where = "one table" if tables == 1 else f"{tables} tables"
    return (
        f"Family of tests: {whose}, {pairs} in {where}; p and equivalence are corrected by Holm over it, for "
        "checkpoints and for methods apart, and p by Benjamini and Hochberg over all pairs of the report."
    )
