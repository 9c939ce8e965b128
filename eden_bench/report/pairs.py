"""Compare the rows of a report's tables, two at a time: what may be claimed of each pair, and for what it holds.

A pair is compared over pretrainings, fine-tuning seeds and patients together (``statistics.hierarchy``), once for these
checkpoints and once for the methods. Nothing is claimed where cells are missing or unequal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from eden_bench.report.findings import Finding, Pair, Scope
from eden_bench.report.pair_tests import tests_over_seeds
from eden_bench.report.pair_text import family_text
from eden_bench.report.patient_scores import PatientScores, patient_scores
from eden_bench.report.tables import Row, Table, ranges
from eden_bench.report.verdicts import OUTSIDE, decided, measured
from eden_bench.statistics.hierarchy import ENOUGH_PRETRAININGS, difference

Scores = Mapping[str, PatientScores]


@dataclass(frozen=True)
class _Two:
    """Two rows of one table, and their scores by patient."""

    rows: tuple[Row, Row]
    scores: tuple[PatientScores, PatientScores]
    margin: float | None

    @property
    def share_seeds(self) -> bool:
        return self.scores[0].seeds == self.scores[1].seeds


def with_pairs(tables: Sequence[Table], method: str = "", *, allow_unequal: bool = False) -> tuple[list[Table], str]:
    """Add to each table, probes aside, its pairs of rows with their verdicts.

    Args:
        tables: all of a report, since p-values are corrected over all of them.
        method: whose pairs are the family; empty for the headline's, else the family is all pairs.
        allow_unequal: compare rows of different seeds, or of different pretraining seeds, too.

    Returns:
        The tables, and the family in words.
    """
    chosen = _chosen([table for table in tables if table.kind != "probe"], method)
    found = [() if table.kind == "probe" else _pairs(table, chosen, allow_unequal) for table in tables]
    made = [replace(table, pairs=pairs) for table, pairs in zip(tables, _decided(found, tables), strict=True)]
    family = [sum(pair.in_family for pair in table.pairs) for table in made]
    return made, family_text(sorted(chosen), sum(family), sum(map(bool, family)))


def _chosen(tables: Sequence[Table], method: str) -> set[str]:
    rows = [row for table in tables for row in table.rows]
    return {row.backbone.method for row in rows if (row.backbone.method == method if method else row.headline)}


def _pairs(table: Table, chosen: set[str], allow_unequal: bool) -> tuple[Pair, ...]:
    """Compare all rows of a table; those of the chosen methods stand first in a pair, else the better one."""
    if len(table.rows) < 2:
        return ()
    scores = {row.label: patient_scores(row, table.score) for row in table.rows}
    rows = sorted(table.rows, key=lambda row: row.backbone.method not in chosen)
    return tuple(_pair(two, chosen, allow_unequal) for two in _twos(rows, scores, _margin(table)))


def _twos(rows: Sequence[Row], scores: Scores, margin: float | None) -> Iterator[_Two]:
    for first, second in combinations(rows, 2):
        yield _Two((first, second), (scores[first.label], scores[second.label]), margin)


def _margin(table: Table) -> float | None:
    """Return the smallest margin that the table's records state; None if one states none."""
    stated = [record.score.equivalence_margin for row in table.rows for record in row.cells.values()]
    known = [each for each in stated if each is not None]
    return min(known) if known and len(known) == len(stated) else None


def _pair(two: _Two, chosen: set[str], allow_unequal: bool) -> Pair:
    row, other = two.rows
    return Pair(
        row=row.label,
        other=other.label,
        checkpoints=_checkpoints(two, allow_unequal),
        methods=_methods(two, allow_unequal),
        in_family=not chosen or (row.backbone.method in chosen) != (other.backbone.method in chosen),
        **tests_over_seeds(row, other),
    )


def _decided(found: Sequence[Sequence[Pair]], tables: Sequence[Table]) -> Iterator[tuple[Pair, ...]]:
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
        yield tuple(next(made) for _ in several)


def _outside(found: Finding, pair: Pair) -> Finding:
    """Note that a claim is not of the family."""
    if pair.in_family or found.verdict not in ("better", "worse", "equivalent"):
        return found
    return replace(found, note="; ".join(filter(None, [found.note, OUTSIDE])))


def _checkpoints(two: _Two, allow_unequal: bool) -> Finding:
    """Compare over other fine-tuning seeds and other patients, the pretrainings as they are."""
    if note := _unequal_seeds(two, allow_unequal):
        return _none("checkpoints", two, "no claim", note)
    (first, second), note = _comparable(two)
    counts = [len(each.seeds) for each in (first, second)]
    if max(counts) > min(counts) == 1 or (max(counts) == 1 and not len(first.patients)):
        too_few = "one fine-tuning seed tells nothing of others" + (f", and {note}" if note else "")
        return _none("checkpoints", two, "no claim", too_few)
    found = difference(first.values[None], second.values[None], of_methods=False, shared_seeds=two.share_seeds)
    return measured("checkpoints", found, two.margin, _covers(first, max(counts) > 1, False), note)[0]


def _methods(two: _Two, allow_unequal: bool) -> Finding:
    """Compare over other pretrainings, fine-tuning seeds and patients."""
    counts = [len(each.by_pretraining) for each in two.scores]
    if min(counts) < ENOUGH_PRETRAININGS:
        few = f"{counts[0]} and {counts[1]} pretrainings, at least {ENOUGH_PRETRAININGS} each are needed"
        return _none("methods", two, "not asked", few)
    if note := _unequal_seeds(two, allow_unequal) or _unequal_pretrainings(two.rows, allow_unequal):
        return _none("methods", two, "no claim", note)
    (first, second), note = _comparable(two)
    drawn = first.drawn or second.drawn
    arrays = (each.by_pretraining[None] for each in (first, second))
    found = difference(*arrays, of_methods=True, shared_seeds=two.share_seeds and not drawn)
    several = drawn or min(len(first.seeds), len(second.seeds)) > 1
    return measured("methods", found, two.margin, _covers(first, several, True), note)[0]


def _none(scope: Scope, two: _Two, verdict: str, note: str) -> Finding:
    difference_ = two.rows[0].summary.mean - two.rows[1].summary.mean
    return Finding(scope=scope, verdict=verdict, difference=difference_, margin=two.margin, note=note)  # type: ignore[arg-type]


def _comparable(two: _Two) -> tuple[tuple[PatientScores, PatientScores], str]:
    """Return the scores of both rows over the same patients; over seeds alone, and why, where they are not the same."""
    first, second = two.scores
    notes = [f"{row.label}: {each.note}" for row, each in zip(two.rows, two.scores, strict=True) if each.note]
    if not notes and not np.array_equal(first.patients, second.patients):
        notes = ["the two were not scored on the same patients"]
    if not notes:
        return two.scores, ""
    return (first.without_patients, second.without_patients), f"not over patients: {'; '.join(notes)}"


def _covers(scores: PatientScores, several_seeds: bool, pretrainings: bool) -> str:
    """Say in words what an interval covers."""
    patients = len(scores.patients) > 0
    parts = ["other pretrainings"] * pretrainings + ["other fine-tuning seeds"] * several_seeds
    parts += [f"other {scores.unit}"] * patients
    text = f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]
    fixed = ["this fine-tuning seed"] * (not several_seeds) + ["these patients"] * (not patients)
    return text + (f", for {' and '.join(fixed)}" if fixed else "")


def _unequal_seeds(two: _Two, allow_unequal: bool) -> str:
    """Name the cells that one of two rows lacks; "" if there are none, or unequal rows are allowed."""
    lacks = [text for row in two.rows for text in _ragged(row)]
    if all(row.seeds for row in two.rows) and (allow_unequal or (two.share_seeds and not lacks)):
        return ""
    told = [f"{row.label} has seeds {ranges(row.seeds)}" for row in two.rows]
    return f"{'; '.join(lacks or [', '.join(told)])}: run the missing cells or pass --allow-unequal"


def _ragged(row: Row) -> list[str]:
    """Name the seeds that some pretrainings of a row have and others lack."""
    everyone = {seed for each in row.pretrainings for seed in each.scores}
    lacking = [(each, everyone - set(each.scores)) for each in row.pretrainings]
    return [f"{row.label}, pretraining seed {each.seed}, has no seeds {ranges(s)}" for each, s in lacking if s]


def _unequal_pretrainings(rows: Sequence[Row], allow_unequal: bool) -> str:
    seeds = [sorted(each.seed or 0 for each in row.pretrainings) for row in rows]
    if allow_unequal or any(row.drawn for row in rows) or seeds[0] == seeds[1]:
        return ""
    told = [f"{row.label} has pretrainings {ranges(each)}" for row, each in zip(rows, seeds, strict=True)]
    return f"{', '.join(told)}: give both the same --pretrain-seeds or pass --allow-unequal"
