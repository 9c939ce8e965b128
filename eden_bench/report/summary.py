"""Summarise a report in sentences: what may be claimed from it, and what it cannot say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Literal

from eden_bench.report.claim_text import marked
from eden_bench.report.findings import Across, Pair
from eden_bench.report.outputs.verdict_lines import family, short
from eden_bench.report.tables import Report, Row, Table

_DECIDED = ("better", "worse", "equivalent")
_ORDER = ("better", "worse", "equivalent", "undecided", "no claim")
_MOST = 12
"""Sentences of one kind; the tables have all."""


def can_say(report: Report) -> list[str]:
    """Return what may be claimed, in words, each decided verdict with its marks; empty if nothing is compared."""
    return [*_verdicts(report, "checkpoints"), *_verdicts(report, "methods"), *_properties(report), *orders(report)]


def cannot_say(report: Report) -> list[str]:
    """Return what the records do not allow one to say, and what would."""
    parts = (_mixed, _nothing_compared, _single, _methods_not_asked, _no_order, _left)
    return [line for part in parts for line in part(report)]


def _verdicts(report: Report, scope: Literal["checkpoints", "methods"]) -> list[str]:
    """Count the verdicts of one scope, and give each decided one in a sentence."""
    pairs = [(table, pair) for table in report.tables for pair in family(table)]
    found = Counter(getattr(pair, scope).verdict for _, pair in pairs)
    if not sum(found[verdict] for verdict in _ORDER):
        return []
    counts = ", ".join(f"{found[verdict]} {verdict}" for verdict in _ORDER if found[verdict])
    whose = "For these checkpoints" if scope == "checkpoints" else "For the methods"
    decided = [f"{_place(table)}: {short(pair, table)}." for table, pair in pairs if _is_decided(pair, scope)]
    return [f"{whose}, of {_times(sum(found[each] for each in _ORDER), 'compared pair')}: {counts}.", *_first(decided)]


def _is_decided(pair: Pair, scope: Literal["checkpoints", "methods"]) -> bool:
    """Return whether a scope is decided; one that the methods' sentence names already is not repeated."""
    if scope == "checkpoints" and pair.methods.verdict in _DECIDED:
        return False
    return getattr(pair, scope).verdict in _DECIDED


def _properties(report: Report) -> list[str]:
    """Count the claims of probes, and name the rows that have a property or fall below its floor."""
    claims = [(table, label, claim) for table in report.tables for label, claim in table.claims.items()]
    tested = [(table, label, claim) for table, label, claim in claims if claim.verdict != "control"]
    if not tested:
        return []
    clear: dict[str, list[str]] = {}
    for table, label, claim in tested:
        if claim.verdict in ("has the property", "below its floor"):
            clear.setdefault(f"{_place(table)}, {marked(claim.verdict, table)}", []).append(label)
    lines = [f"{what}: {', '.join(labels)}." for what, labels in clear.items()]
    above = sum(claim.verdict == "has the property" for _, _, claim in tested)
    said = "none lies" if not above else "1 lies" if above == 1 else f"{above} lie"
    return [
        f"Of {_times(len(tested), 'property', 'properties')} asked of rows of probes, {said} above its floor.",
        *_first(lines),
    ]


def orders(report: Report) -> list[str]:
    """Return the order of methods over all tasks, those that cannot be told apart together."""
    return [_order(across) for across in report.across if across.separation_p]


def _order(across: Across) -> str:
    order = "; then ".join(" = ".join(group) for group in across.tie_classes)
    return f"Over {across.heading}, the best first, = where they cannot be told apart: {order}."


def _mixed(report: Report) -> list[str]:
    phantom = sum(table.marks.phantom for table in report.tables)
    real = len(report.tables) - phantom
    if not phantom:
        return []
    if not real:
        return ["All of it is made from synthetic images (PHANTOM): nothing here may be claimed of patients."]
    some = f"{phantom} of {len(report.tables)} tables {'is' if phantom == 1 else 'are'}"
    return [
        f"{some} made from synthetic images (PHANTOM) and may not be claimed of patients. Synthetic and real images "
        "share no table and are compared nowhere."
    ]


def _nothing_compared(report: Report) -> list[str]:
    """Say that no table has two rows, where that is so."""
    if not report.tables or any(len(table.rows) > 1 for table in report.tables):
        return []
    return ["Nothing is compared: no table has two rows. Run a second method on the same tasks and seeds."]


def _single(report: Report) -> list[str]:
    """Name the rows of one score, which has neither spread nor interval."""
    lone = [
        (table, row)
        for table in report.tables
        for row in table.rows
        if row.summary.n == 1 and not (table.once or row.control)
    ]
    if not lone:
        return []
    return [
        f"{_named(lone)}: one score has no spread, no interval and no test. Run more seeds (--seeds 0-9): what is "
        "stored is used again."
    ]


def _methods_not_asked(report: Report) -> list[str]:
    found = Counter(pair.methods.verdict for table in report.tables for pair in family(table))
    if not found["not asked"]:
        return []
    some = f"the methods of {found['not asked']} of {sum(found.values())} pairs"
    whose = "the methods" if found["not asked"] == sum(found.values()) else some
    return [
        f"Nothing is said of {whose}, only of these checkpoints: that one method is better than another takes at "
        "least three pretrainings of each (--pretrain-seeds 0-2)."
    ]


def _no_order(report: Report) -> list[str]:
    """Say why tables are not compared over tasks, where there are several."""
    from eden_bench.report.across.notes import absence  # with numpy, which help texts do without

    if len({table.task for table in report.tables}) < 2:
        return []
    return [f"{line[0].upper()}{line[1:]}." for line in absence(report.tables)]


def _left(report: Report) -> list[str]:
    absent = dict.fromkeys(method for table in report.tables for method in table.absent)
    weights = [f"No weights are at hand of {', '.join(absent)}: nothing is said of them."] if absent else []
    lines = [each for each in report.failures if not each.startswith("weights missing")]
    failed = [f"{_times(len(lines), 'cell or record', 'cells or records')} failed or cannot be used: see the end."]
    return [*weights, *(failed if lines else [])]


def _place(table: Table) -> str:
    return f"{table.task}, {'full training set' if table.shots is None else f'{table.shots} shots'}"


def _named(rows: Sequence[tuple[Table, Row]]) -> str:
    names = [f"{row.label} on {_place(table)}" for table, row in rows[:3]]
    more = f" and {_times(len(rows) - 3, 'other row')}" if len(rows) > 3 else ""
    return f"{'; '.join(names)}{more}"


def _first(lines: Sequence[str]) -> Iterable[str]:
    more = [f"{len(lines) - _MOST} more stand in the tables."] if len(lines) > _MOST else []
    return [*lines[:_MOST], *more]


def _times(count: int, what: str, several: str = "") -> str:
    return f"{count:,} {what if count == 1 else several or what + 's'}"
