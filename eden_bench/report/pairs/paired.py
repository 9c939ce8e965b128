"""Compare the rows of a report's tables, two at a time: what may be claimed of each pair, and for what it holds.

A pair is compared over pretrainings, fine-tuning seeds and patients together (``statistics.hierarchy``), once for these
checkpoints and once for the methods. Nothing is claimed where cells are missing or unequal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from eden_bench.report.cases.patient_scores import PatientScores, patient_scores
from eden_bench.report.cases.reader import CaseReader
from eden_bench.report.findings import Finding, Pair
from eden_bench.report.pairs.best_rows import best_rows
from eden_bench.report.pairs.power import power
from eden_bench.report.pairs.seed_tests import posteriors, tests_over_seeds
from eden_bench.report.pairs.text import family_text
from eden_bench.report.pairs.two import Two, comparable, of_checkpoints, of_methods
from eden_bench.report.pairs.verdicts import OUTSIDE, decided, measured
from eden_bench.report.tables import Row, Table

Scores = Mapping[str, PatientScores]


@dataclass(frozen=True)
class Family:
    """The pairs of a report's tables whose p-values are corrected by Holm."""

    chosen: frozenset[str]
    """Methods whose pairs with others they are; none for all pairs."""
    sizes: tuple[int, ...]
    """How many they are of each table that is compared."""
    allow_unequal: bool = False
    """Rows of different seeds, or of different pretraining seeds, are compared too."""

    @classmethod
    def of(cls, tables: Sequence[Table], method: str = "", *, allow_unequal: bool = False) -> Family:
        """Choose the pairs of a method, by default of the headline's; all pairs where no table has it."""
        rows = [table.rows for table in tables if cls.compares(table)]
        there = [row for several in rows for row in several]
        chosen = {row.backbone.method for row in there if (row.backbone.method == method if method else row.headline)}
        counts = [(len(each), sum(row.backbone.method in chosen for row in each)) for each in rows]
        return cls(
            chosen=frozenset(chosen),
            sizes=tuple(own * (all_ - own) if chosen else all_ * (all_ - 1) // 2 for all_, own in counts),
            allow_unequal=allow_unequal,
        )

    @staticmethod
    def compares(table: Table) -> bool:
        """Return whether the rows of a table are compared in pairs."""
        return table.kind != "probe" and len(table.rows) > 1

    def has(self, row: Row, other: Row) -> bool:
        """Return whether a pair belongs to it."""
        return not self.chosen or (row.backbone.method in self.chosen) != (other.backbone.method in self.chosen)

    @property
    def text(self) -> str:
        """The family in words."""
        return family_text(sorted(self.chosen), sum(self.sizes), sum(map(bool, self.sizes)))


def with_pairs(tables: Sequence[Table], family: Family) -> list[Table]:
    """Add to each table, probes aside, its pairs of rows with their verdicts, and each row's place to the best.

    Args:
        tables: all of a report, since p-values are corrected over all of them.
        family: of its tests.
    """
    return decided_tables([paired(table, _scores(table) if family.compares(table) else {}, family) for table in tables])


def _scores(table: Table) -> Scores:
    cases = CaseReader()
    return {row.label: patient_scores(row, table.score, cases) for row in table.rows}


def paired(table: Table, scores: Scores, family: Family) -> Table:
    """Add to a table its pairs, without verdicts yet, and each row's place to the best; none without scores."""
    if not scores:
        return table
    twos = _twos(table, scores, family)
    pairs = _with_power(_pairs(table, twos, family), twos, sum(family.sizes))
    return replace(table, pairs=pairs, best=best_rows(table, scores, len(family.sizes)))


def _twos(table: Table, scores: Scores, family: Family) -> list[Two]:
    """List all pairs of a table's rows; those of the chosen methods stand first in a pair, else the better one."""
    rows, margin = sorted(table.rows, key=lambda row: row.backbone.method not in family.chosen), _margin(table)
    return [Two((row, other), (scores[row.label], scores[other.label]), margin) for row, other in combinations(rows, 2)]


def _margin(table: Table) -> float | None:
    """Return the smallest margin that the table's records state; None if one states none."""
    stated = [record.score.equivalence_margin for row in table.rows for record in row.cells.values()]
    known = [each for each in stated if each is not None]
    return min(known) if known and len(known) == len(stated) else None


def _pairs(table: Table, twos: Sequence[Two], family: Family) -> list[Pair]:
    higher = table.score.higher_is_better
    bayes = posteriors([two.rows for two in twos], twos[0].margin if twos else None, higher)
    checkpoints = measured([of_checkpoints(two, family.allow_unequal) for two in twos])
    methods = measured([of_methods(two, family.allow_unequal) for two in twos])
    return [
        Pair(
            row=row.label,
            other=other.label,
            checkpoints=of_these,
            methods=of_all,
            in_family=family.has(row, other),
            bayes=posterior,
            **tests_over_seeds(row, other, higher=higher),
        )
        for two, of_these, of_all, posterior in zip(twos, checkpoints, methods, bayes, strict=True)
        for row, other in [two.rows]
    ]


def decided_tables(tables: Sequence[Table]) -> list[Table]:
    """Decide the verdicts of all tables' pairs together, each scope by itself."""
    pairs = [pair for table in tables for pair in table.pairs]
    family = [pair.in_family for pair in pairs]
    higher = [table.score.higher_is_better for table in tables for _ in table.pairs]
    checkpoints = decided([pair.checkpoints for pair in pairs], family, higher)
    methods = decided([pair.methods for pair in pairs], family, higher)
    made = iter(
        replace(pair, checkpoints=_outside(one, pair), methods=_outside(two, pair))
        for pair, one, two in zip(pairs, checkpoints, methods, strict=True)
    )
    return [replace(table, pairs=tuple(next(made) for _ in table.pairs)) for table in tables]


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
