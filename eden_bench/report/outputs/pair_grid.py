"""Columns and cells of the pairs of a table: the difference, its interval, p, effect and both verdicts."""

from __future__ import annotations

from collections.abc import Iterable

from eden_bench.contracts import ScoreDefinition
from eden_bench.printable import printable_line
from eden_bench.report.claim_text import marked
from eden_bench.report.findings import Finding, Pair, Power
from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.outputs.grid import MISSING
from eden_bench.report.tables import Table
from eden_bench.statistics.estimates import Estimate

PAIR_COLUMNS = (
    *("pair", "difference", "95 %", "p", "Holm", "verdict", "for the methods"),
    *("Hedges g", "P(first better)", "can detect"),
)
"""The verdict is for these checkpoints; the next column says what holds of the methods."""
_SCOPES = {"checkpoints": "for these checkpoints", "methods": "for the methods"}
_TESTS = (("paper", "the paper's t"), ("welch", "Welch's t"), ("paired", "paired t"))


def pair_cells(pair: Pair, table: Table) -> list[str]:
    """Return a pair as text, the difference of the first minus the second in the score's unit."""
    found, score = pair.checkpoints, table.score
    detectable = pair.power.detectable if pair.power else None
    return [
        f"{pair.row} – {pair.other}",
        shown(found.difference, score, "+"),
        shown_range(found.low, found.high, score, "+"),
        p_cell(found.p),
        p_cell(found.adjusted_p),
        marked(found.verdict, table),
        pair.methods.verdict if pair.methods.verdict == "not asked" else marked(pair.methods.verdict, table),
        estimate_text(pair.hedges_g),
        estimate_text(pair.probability),
        shown(detectable, score),
    ]


def pair_notes(pairs: Iterable[Pair]) -> list[str]:
    """Say what the intervals of some pairs cover, each cover once, and what limits a verdict."""
    covers: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for pair in pairs:
        for found in (pair.checkpoints, pair.methods):
            told = f"{pair.row} – {pair.other}"
            if found.covers and found.low is not None:
                covers.setdefault(f"{_SCOPES[found.scope]}, 95 % intervals cover {found.covers}", []).append(told)
            if found.note and found.verdict != "not asked":
                notes.setdefault(f"{_SCOPES[found.scope]}, {found.verdict}: {found.note}", []).append(told)
    return [*covers, *(f"{what} ({', '.join(told)})" for what, told in notes.items())]


def p_cell(p: float | None) -> str:
    """Format a p, or a dash where there is none."""
    return MISSING if p is None else p_text(p)


def estimate_text(found: Estimate | None) -> str:
    """Format an estimate with its interval, for example "0.81 (0.20 to 1.41)"."""
    if found is None:
        return MISSING
    return f"{found.value:.2f}" + (
        "" if found.low is None or found.high is None else f" ({found.low:.2f} to {found.high:.2f})"
    )


def details(pair: Pair, table: Table) -> dict[str, str]:
    """Return everything else that was computed of a pair, name to text; only what there is."""
    tests = {name: getattr(pair, field) for field, name in _TESTS}
    found = {
        name: f"t({test.df:g}) = {test.t:.2f}, p = {p_text(test.p)}"
        for name, test in tests.items()
        if _is_defined(test)
    }
    found |= {} if pair.sign_flip_p is None else {"exact sign-flip": f"p = {p_text(pair.sign_flip_p)}"}
    found |= {} if pair.correlation is None else {"correlation over shared seeds": f"{pair.correlation:.2f}"}
    found |= {} if pair.cliffs_delta is None else {"Cliff's delta": f"{pair.cliffs_delta:.2f}"}
    found |= (
        {}
        if pair.bayes is None
        else {"signed rank, P(better, equal, worse)": ", ".join(f"{p:.2f}" for p in pair.bayes)}
    )
    found |= _finding("these checkpoints", pair.checkpoints, table.score) | _finding(
        "the methods", pair.methods, table.score
    )
    power = _power(pair.power, table.score) if pair.power else ""
    return {name: printable_line(text) for name, text in (found | ({"power": power} if power else {})).items()}


def _is_defined(test: object) -> bool:
    return getattr(test, "t", None) is not None and getattr(test, "p", None) is not None


def _finding(scope: str, found: Finding, score: ScoreDefinition) -> dict[str, str]:
    parts = [
        f"95 % {shown_range(found.low, found.high, score, '+')}" if found.low is not None else "",
        f"over {found.covers}" if found.covers else "",
        f"Benjamini-Hochberg p = {p_text(found.fdr_p)}" if found.fdr_p is not None else "",
        f"equivalence within ±{shown(found.margin, score)}: p = {p_text(found.equivalence_p)}"
        if found.equivalence_p is not None and found.margin is not None
        else "",
        found.note,
    ]
    text = "; ".join(filter(None, parts))
    return {scope: text} if text else {}


def _power(power: Power, score: ScoreDefinition) -> str:
    """Say what these numbers of seeds and patients can detect, and how many would settle the difference seen."""
    needs = {"seeds": power.seeds, "pretrainings": power.pretrainings, "patients": power.patients}
    more = [f"{count:,} {name}" for name, count in needs.items() if count is not None]
    return "; ".join(
        filter(
            None,
            [
                f"finds a difference of {shown(power.detectable, score)} in 80 of 100 studies"
                if power.detectable is not None
                else "",
                f"{' or '.join(more)} would decide the difference seen" if more else "",
                power.note,
            ],
        )
    )
