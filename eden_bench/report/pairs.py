"""Compare the rows of a report's tables, two at a time: what may be claimed of each pair, and for what it holds.

A pair is compared over pretrainings, fine-tuning seeds and patients together (``statistics.hierarchy``), once for these
checkpoints and once for the methods. Nothing is claimed where cells are missing or unequal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from eden_bench.report.best_rows import best_rows
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.pair_findings import Two, comparable, of_checkpoints, of_methods
from eden_bench.report.pair_power import power
from eden_bench.report.pair_tests import posteriors, tests_over_seeds
from eden_bench.report.pair_text import family_text
from eden_bench.report.patient_scores import PatientScores, patient_scores
from eden_bench.report.tables import Table
from eden_bench.report.verdicts import OUTSIDE, decided

Scores = Mapping[str, PatientScores]


def with_pairs(tables: Sequence[Table], method: str = "", *, allow_unequal: bool = False) -> tuple[list[Table], str]:
    """Add to each table, probes aside, its pairs of rows with their verdicts, and each row's place to the best.

    Args:
        tables: all of a report, since p-values are corrected over all of them.
        method: whose pairs are the family; empty for the headline's, else the family is all pairs.
        allow_unequal: compare rows of different seeds, or of different pretraining seeds, too.

    Returns:
        The tables, and the family in words.
    """
    asked = [table.kind != "probe" and len(table.rows) > 1 for table in tables]
    chosen = _chosen([table for table, wanted in zip(tables, asked, strict=True) if wanted], method)
    scores = [_scores(table) if wanted else {} for table, wanted in zip(tables, asked, strict=True)]
    twos = [_twos(table, read, chosen) for table, read in zip(tables, scores, strict=True)]
    found = [_pairs(table, several, chosen, allow_unequal) for table, several in zip(tables, twos, strict=True)]
    family = [sum(pair.in_family for pair in pairs) for pairs in found]
    compared = sum(map(bool, scores))
    made = [
        replace(
            table, pairs=_with_power(pairs, several, sum(family)), best=best_rows(table, read, compared) if read else {}
        )
        for table, read, several, pairs in zip(tables, scores, twos, _decided(found, tables), strict=True)
    ]
    return made, family_text(sorted(chosen), sum(family), sum(map(bool, family)))


def _chosen(tables: Sequence[Table], method: str) -> set[str]:
    rows = [row for table in tables for row in table.rows]
    return {row.backbone.method for row in rows if (row.backbone.method == method if method else row.headline)}


def _scores(table: Table) -> Scores:
    return {row.label: patient_scores(row, table.score) for row in table.rows}


def _twos(table: Table, scores: Scores, chosen: set[str]) -> list[Two]:
    """List all pairs of a table's rows; those of the chosen methods stand first in a pair, else the better one."""
    rows, margin = sorted(table.rows, key=lambda row: row.backbone.method not in chosen), _margin(table)
    if not scores:
        return []
    return [Two((row, other), (scores[row.label], scores[other.label]), margin) for row, other in combinations(rows, 2)]


def _margin(table: Table) -> float | None:
    """Return the smallest margin that the table's records state; None if one states none."""
    stated = [record.score.equivalence_margin for row in table.rows for record in row.cells.values()]
    known = [each for each in stated if each is not None]
    return min(known) if known and len(known) == len(stated) else None


def _pairs(table: Table, twos: Sequence[Two], chosen: set[str], allow_unequal: bool) -> list[Pair]:
    higher = table.score.higher_is_better
    bayes = posteriors([two.rows for two in twos], twos[0].margin if twos else None, higher)
    return [
        Pair(
            row=row.label,
            other=other.label,
            checkpoints=of_checkpoints(two, allow_unequal),
            methods=of_methods(two, allow_unequal),
            in_family=not chosen or (row.backbone.method in chosen) != (other.backbone.method in chosen),
            bayes=posterior,
            **tests_over_seeds(row, other, higher=higher),
        )
        for two, posterior in zip(twos, bayes, strict=True)
        for row, other in [two.rows]
    ]


def _decided(found: Sequence[Sequence[Pair]], tables: Sequence[Table]) -> Iterator[list[Pair]]:
    """Decide the verdicts of all tables' pairs together, each scope by itself."""
    pairs = [pair for several in found for pair in several]
    family = [pair.in_family for pair in pairs]
    higher = [table.score.higher_is_better for table, several in zip(tables, found, strict=True) for _ in several]
    checkpoints = decided([pair.checkpoints for pair in pairs], family, higher)
    methods = decided([pair.methods for pair in pairs], family, higher)
    made = iter(
        replace(pair, checkpoints=_outside(one, pair), methods=_outside(two, pair))
        for pair, one, two in zip(pairs, checkpoints, methods, strict=True)
    )
    for several in found:
        yield [next(made) for _ in several]


def _outside(found: Finding, pair: Pair) -> Finding:
    """Note that a claim is not of the family."""
    if pair.in_family or found.verdict not in ("better", "worse", "equivalent"):
        return found
    return replace(found, note="; ".join(filter(None, [found.note, OUTSIDE])))


def _with_power(pairs: Sequence[Pair], twos: Sequence[Two], tests: int) -> tuple[Pair, ...]:
    """Add to the family's pairs what this study could have found, and what would settle the difference seen."""
    return tuple(
        replace(pair, power=power(*comparable(two)[0], pair.checkpoints.difference or 0.0, tests))
        if pair.in_family and pair.checkpoints.p is not None
        else pair
        for pair, two in zip(pairs, twos, strict=True)
    )
