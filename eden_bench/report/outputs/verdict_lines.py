"""Describe the tests of a table in sentences: the paper's own, and one short line a compared pair."""

from __future__ import annotations

from collections.abc import Sequence

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.claim_text import marked
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.tables import Comparison, Table

_SCOPES = {"checkpoints": "for these checkpoints", "methods": "for the methods"}
_PAPERS = {
    "higher": "higher at the 0.05 level",
    "lower": "lower at the 0.05 level",
    "undecided": "undecided at the 0.05 level (which is no proof of equality)",
}


def family(table: Table) -> Sequence[Pair]:
    """Return the pairs whose p-values are corrected together; all, where no family is stated."""
    return [pair for pair in table.pairs if pair.in_family] or table.pairs


def short(pair: Pair, table: Table) -> str:
    """Describe a pair in one short line, its marks at the verdict.

    For example "adam against densecl +0.70 (-0.20 to +1.60, by Holm 0.26): undecided for these checkpoints, not asked
    for the methods [PHANTOM]".
    """
    found = pair.checkpoints
    start = f"{pair.row} against {pair.other} {shown(found.difference, table.score, '+')}"
    basis = f" ({_basis(found, table.score)})" if found.low is not None else ""
    words = f"{_said(found)}, {_said(pair.methods)}"
    return f"{start}{basis}: {marked(words, table)}"


def comparison_text(comparison: Comparison, score: ScoreDefinition) -> str:
    """Describe the paper's test in one sentence."""
    if comparison.test is None:
        return comparison.note
    test, others = comparison.test, f"{comparison.other.label} (the best of the others, picked on these same scores)"
    start = f"{comparison.row.label} against {others}: difference {shown(test.difference, score, '+')}"
    if test.p is None:
        return f"{start}; t-test {test.note}"
    verdict = _PAPERS[comparison.verdict]
    unequal = "" if comparison.row.seeds == comparison.other.seeds else ", on unequal seeds"
    unequal = ", over pretrainings" if comparison.over == "pretrainings" else unequal
    return f"{start}, t({test.df:g}) = {test.t:.2f}, p = {p_text(test.p)}{unequal}: {verdict}"


def _basis(found: Finding, score: ScoreDefinition) -> str:
    interval = shown_range(found.low, found.high, score, "+")
    if found.verdict == "equivalent":
        return f"{interval}, within ±{shown(found.margin, score)}"
    if found.adjusted_p is not None:
        return f"{interval}, by Holm {p_text(found.adjusted_p)}"
    return interval if found.p is None else f"{interval}, p = {p_text(found.p)}"


def _said(found: Finding) -> str:
    """Return a verdict with its scope, and why there is none."""
    untested = found.verdict == "no claim" or (found.verdict == "undecided" and found.p is None)
    why = f" ({found.note})" if found.note and untested else ""
    return f"{found.verdict} {_SCOPES[found.scope]}{why}"
