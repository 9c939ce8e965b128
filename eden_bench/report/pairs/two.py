"""The difference of two rows over all that is random, for these checkpoints and for the methods, or why none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eden_bench.report.cases.patient_scores import PatientScores
from eden_bench.report.findings import Finding, Scope
from eden_bench.report.pairs.verdicts import Asked
from eden_bench.report.tables import Row, ranges
from eden_bench.statistics.hierarchy import ENOUGH_PRETRAININGS


@dataclass(frozen=True)
class Two:
    """Two rows of one table, and their scores by patient."""

    rows: tuple[Row, Row]
    scores: tuple[PatientScores, PatientScores]
    margin: float | None

    @property
    def share_seeds(self) -> bool:
        """Whether the two have the same fine-tuning seeds."""
        return self.scores[0].seeds == self.scores[1].seeds


def of_checkpoints(two: Two, allow_unequal: bool) -> Finding | Asked:
    """Ask for the difference over other seeds and other patients, the pretrainings as they are; or say why not."""
    if note := _unequal_seeds(two, allow_unequal):
        return _none("checkpoints", two, "no claim", note)
    (first, second), note = comparable(two)
    counts = [len(each.seeds) for each in (first, second)]
    if max(counts) > min(counts) == 1 or (max(counts) == 1 and not len(first.patients)):
        too_few = "one fine-tuning seed tells nothing of others" + (f", and {note}" if note else "")
        return _none("checkpoints", two, "no claim", too_few)
    covers = _covers(first, max(counts) > 1, False)
    return Asked(
        "checkpoints", (first.of_checkpoints, second.of_checkpoints), two.share_seeds, two.margin, covers, note
    )


def of_methods(two: Two, allow_unequal: bool) -> Finding | Asked:
    """Ask for the difference over other pretrainings, fine-tuning seeds and patients; or say why not."""
    counts = [len(each.by_pretraining) for each in two.scores]
    if min(counts) < ENOUGH_PRETRAININGS:
        few = f"{counts[0]} and {counts[1]} pretrainings, at least {ENOUGH_PRETRAININGS} each are needed"
        return _none("methods", two, "not asked", few)
    if note := _unequal_seeds(two, allow_unequal) or _unequal_pretrainings(two.rows, allow_unequal):
        return _none("methods", two, "no claim", note)
    (first, second), note = comparable(two)
    drawn = first.drawn or second.drawn
    several = drawn or min(len(first.seeds), len(second.seeds)) > 1
    both, shared = (first.of_methods, second.of_methods), two.share_seeds and not drawn
    return Asked("methods", both, shared, two.margin, _covers(first, several, True), note)


def _none(scope: Scope, two: Two, verdict: str, note: str) -> Finding:
    difference_ = two.rows[0].summary.mean - two.rows[1].summary.mean
    return Finding(scope=scope, verdict=verdict, difference=difference_, margin=two.margin, note=note)  # type: ignore[arg-type]


def comparable(two: Two) -> tuple[tuple[PatientScores, PatientScores], str]:
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


def _unequal_seeds(two: Two, allow_unequal: bool) -> str:
    """Name the cells that one of two rows lacks; "" if there are none, or unequal rows are allowed."""
    lacks = [text for row in two.rows for text in _ragged(row)]
    if all(row.seeds for row in two.rows) and (allow_unequal or (two.share_seeds and not lacks)):
        return ""
    if not lacks and (once := [row for row in two.rows if _done_once(row)]) and any(row.drawn for row in two.rows):
        drawn = next(row for row in two.rows if row.drawn)
        return (
            f"{once[0].label} is one network and was done once, since no seed changes it; {drawn.label} is another "
            f"network with each of seeds {ranges(drawn.seeds)}: no cell is missing, but one tells nothing of others"
        )
    told = [f"{row.label} has seeds {ranges(row.seeds)}" for row in two.rows]
    return f"{'; '.join(lacks or [', '.join(told)])}: run the missing cells or pass --allow-unequal"


def _done_once(row: Row) -> bool:
    """Return whether nothing of a row's cells depends on a seed, so that each checkpoint has one."""
    return not row.drawn and all(record.task.repeats == "once" for record in row.cells.values())


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
