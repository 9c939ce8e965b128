"""Render patient intervals and claims of properties as text and JSON; a claim is always printed with its marks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from eden_bench.report.number_text import p_text, shown, shown_range
from eden_bench.report.tables import Claim, PatientInterval, Row, Table

COLUMNS = ("95 % over patients", "S", "claim")
"""Of a probe's table, after those of all tables."""
LEGEND = (
    " A probe's row has its property only where its score lies beyond the practical floor, the best of the untrained "
    "network and the other controls (picked on these same scores): where the 95 % interval of the paired difference, a "
    "percentile bootstrap over patients with the same resamples for all rows, leaves 0 out and p after Holm's "
    "correction over the {count} claims tested in this report is below 0.05. Several pretrainings of a row are drawn "
    "too, its fine-tuning seeds averaged. Below 20 patients or with two pretrainings such an interval holds the truth "
    "in about 90, not 95, of 100 studies. S: (x - chance) / (oracle - chance)."
)
_NONE = PatientInterval(None, None, 0, "patients", 0)


def legend(tables: Sequence[Table]) -> str:
    """Explain what a claim is based on; "" if there is no probe."""
    tested = sum(claim.p is not None for table in tables for claim in table.claims.values())
    return LEGEND.format(count=tested) if any(table.claims for table in tables) else ""


def cells(table: Table, row: Row) -> list[str]:
    """Return the columns of a probe's row beside its score; none for other tables."""
    if not table.claims:
        return []
    claim, found = table.claims[row.label], table.patients.get(row.label, _NONE)
    skill = "–" if claim.skill is None else f"{claim.skill:.2f}"
    return [shown_range(found.low, found.high, table.score), skill, marked(claim.verdict, table)]


def marked(verdict: str, table: Table) -> str:
    """Return a verdict with the table's marks, so that it cannot be quoted without them."""
    words = table.marks.words
    return verdict if verdict == "control" or not words else f"{verdict} [{'; '.join(words)}]"


def sentences(table: Table) -> list[str]:
    """Describe each claim of a probe in a sentence, else the patient intervals in one."""
    if table.claims:
        return [_claim(row.label, table.claims[row.label], table) for row in table.rows if not row.control]
    return _intervals(table)


def patients_json(table: Table, row: Row) -> dict[str, Any]:
    """Return a row's patient interval, what it covers and why it is missing."""
    found = table.patients.get(row.label, _NONE)
    return {**found._asdict(), "covers": _covers(row, found.unit)}


def claim_json(table: Table, row: Row) -> dict[str, Any]:
    """Return a row's claim as JSON fields, empty for tables other than a probe's."""
    claim = table.claims.get(row.label)
    values = asdict(claim) if claim else dict.fromkeys(field.name for field in fields(Claim))
    return {**values, "marks": "; ".join(table.marks.words) if claim else None}


def _claim(label: str, claim: Claim, table: Table) -> str:
    """Describe a claim in one sentence: the floor, the difference, its interval, p, and the verdict with its marks."""
    score, verdict = table.score, marked(claim.verdict, table)
    if not claim.floor:
        return f"{label}: {verdict}: {claim.note}"
    start = (
        f"{label} against its practical floor, {claim.floor} ({shown(claim.floor_value, score)}): difference "
        f"{shown(claim.difference, score, '+')}"
    )
    if claim.p is None or claim.adjusted_p is None:
        return f"{start}: {verdict}: {claim.note}"
    found = table.patients[label]
    return (
        f"{start}, 95 % interval {shown_range(claim.low, claim.high, score, '+')} over {found.n} {found.unit}, "
        f"p = {p_text(claim.p)}, by Holm {p_text(claim.adjusted_p)}: {verdict}"
    )


def _intervals(table: Table) -> list[str]:
    """List all rows' patient intervals in one line, and in another why rows have none."""
    found = {row.label: table.patients[row.label] for row in table.rows if row.label in table.patients}
    have = {label: each for label, each in found.items() if each.low is not None}
    lines = [_line(have, table)] if have else []
    reasons = dict.fromkeys(each.note for each in found.values() if each.low is None)
    return [*lines, *(f"no interval over patients: {_of(reason, found)}" for reason in reasons)]


def _line(have: Mapping[str, PatientInterval], table: Table) -> str:
    counts = dict.fromkeys(f"{each.n} {each.unit}" for each in have.values())
    first = next(iter(have.values()))
    several = [row.label for row in table.rows if row.label in have and _is_several(row)]
    drawn = f", pretrainings of {', '.join(several)} drawn too" if several else ""
    values = ", ".join(f"{label} {shown_range(each.low, each.high, table.score)}" for label, each in have.items())
    return (
        f"95 % over {' or '.join(counts)}: {values} (percentile bootstrap, {first.resamples:,} resamples, mean over "
        f"seeds{drawn}); it covers other {first.unit} like these, the table's own interval other "
        f"{'seeds or pretrainings' if several else 'seeds'} on these {first.unit}"
    )


def _of(reason: str, found: Mapping[str, PatientInterval]) -> str:
    labels = [label for label, each in found.items() if each.low is None and each.note == reason]
    return reason if len(labels) == len(found) else f"{', '.join(labels)}: {reason}"


def _covers(row: Row, unit: str) -> str:
    if _is_several(row):
        return f"other {unit} and other pretrainings; mean over fine-tuning seeds"
    return f"other {unit}, for this one checkpoint; mean over fine-tuning seeds"


def _is_several(row: Row) -> bool:
    """Return whether a row has several pretrainings; weights drawn from a seed are one each."""
    return row.levels == 2 or (row.drawn and len(row.units) > 1)
