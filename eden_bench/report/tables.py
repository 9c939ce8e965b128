"""Tables of a report: rows that may be compared, and the tests between them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from eden_bench.contracts import ScoreDefinition
from eden_bench.report.findings import Across, Best, Pair
from eden_bench.report.marks import Marks
from eden_bench.statistics.t_tests import Summary, TTest, summarise, variance

if TYPE_CHECKING:
    from eden_bench.records import Record
    from eden_bench.report.diagnostics.diagnostic import Diagnostic

_BUDGETS = {
    "steps": "optimiser steps (as many as on the full training set)",
    "epochs": "epochs of the few images",
}

Verdict = Literal["higher", "lower", "undecided", "refused", "undefined"]


Claimed = Literal["has the property", "not above its floor", "below its floor", "control", "no claim"]


class PatientInterval(NamedTuple):
    """The 95 % interval of a row's score over patients."""

    low: float | None
    high: float | None
    n: int
    """Patients (or cases, where none are named) that were resampled."""
    unit: str
    resamples: int
    note: str = ""
    """Why it has no ends."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A property claimed for a row of a probe, tested against its practical floor."""

    verdict: Claimed
    skill: float | None
    """(x - chance) / (oracle - chance), where the controls of both are there."""
    floor: str = ""
    """Name of the best control."""
    floor_value: float | None = None
    difference: float | None = None
    low: float | None = None
    """Lower end of the 95 % interval of the difference, paired over patients."""
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    """By Holm's method, over all claims of the report."""
    note: str = ""
    """Why nothing is claimed."""


class Backbone(NamedTuple):
    """Values that distinguish the rows of one method."""

    method: str
    """The method's name, or that of a protocol's variant of it."""
    config: str
    """Digest of the method's config."""
    checkpoint: str
    """Digest of the weights; several, joined by spaces, where the row has several pretrainings."""
    threads: int


class Pretraining(NamedTuple):
    """One pretraining of a row, and its scores."""

    checkpoint: str
    seed: int | None
    """Of the pretraining; None for weights that were brought along."""
    scores: Mapping[int, float]
    """Fine-tuning seed to primary score, seeds ascending."""

    def mean(self, seeds: Collection[int] = ()) -> float:
        """Return the mean over some fine-tuning seeds; by default over all."""
        values = [self.scores[seed] for seed in seeds or self.scores]
        return math.fsum(values) / len(values)


@dataclass(frozen=True, kw_only=True)
class Row:
    """The scores of one method in a table, on two levels: pretrainings, and fine-tuning seeds within each."""

    backbone: Backbone
    label: str
    """The method's name, with what differs where the method has several rows."""
    pretrainings: tuple[Pretraining, ...]
    origin: str
    """What the weights come from, in words."""
    drawn: bool = False
    """The weights are drawn from the cell's seed, so that each seed is a pretraining of its own."""
    warnings: tuple[str, ...] = ()
    """What makes the pretraining doubtful, in words."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the pretraining is compared by; from ``pretraining.facts``."""
    headline: bool = False
    """It is tested against the others where no method is named (``MethodCard.headline``)."""
    controls: Mapping[str, float] = field(default_factory=dict)
    """What controls scored on the same cases, mean over the row's records."""
    control: bool = False
    """It is one of the controls, or an untrained network: what a property is claimed against."""
    cells: Mapping[tuple[str, int], Record] = field(default_factory=dict, repr=False)
    """Digest of a checkpoint and seed of a fine-tuning to their record."""

    @property
    def levels(self) -> int:
        """2 if there are several pretrainings, so that mean, spread and interval are over pretrainings."""
        return 2 if len(self.pretrainings) > 1 else 1

    @property
    def seeds(self) -> set[int]:
        """The fine-tuning seeds that every pretraining has."""
        return set.intersection(*(set(each.scores) for each in self.pretrainings))

    @property
    def scores(self) -> Mapping[int, float]:
        """Scores by seed of a row with one pretraining; of several, mean by pretraining seed.

        Means are over the fine-tuning seeds that all have, so that none weighs more.
        """
        if self.levels == 1:
            return self.pretrainings[0].scores
        common = self.seeds
        return {each.seed or 0: each.mean(common) for each in self.pretrainings}

    @property
    def units(self) -> list[float]:
        """The values whose mean, spread and interval the row shows: scores of seeds, or means of pretrainings."""
        return list(self.scores.values())

    @property
    def sd_within(self) -> float | None:
        """Standard deviation over fine-tuning seeds within a pretraining, pooled; None with one level."""
        varied = [list(each.scores.values()) for each in self.pretrainings if len(each.scores) > 1]
        if self.levels == 1 or not varied:
            return None
        freedom = sum(len(scores) - 1 for scores in varied)
        return math.sqrt(math.fsum((len(scores) - 1) * variance(scores) for scores in varied) / freedom)

    @cached_property
    def summary(self) -> Summary:
        """Mean, s.d., n and interval over ``units``."""
        return summarise(self.units)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paper's test of one row against the best of the other methods' rows."""

    row: Row
    other: Row
    test: TTest | None
    """None where the test was refused."""
    verdict: Verdict
    note: str = ""
    over: Literal["seeds", "pretrainings"] = "seeds"
    """What varies: fine-tuning seeds of one checkpoint each, or pretrainings."""


_PLAIN = ("paper", "quick")
"""Protocols that a report names in its marks and headings alone."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be compared."""

    task: str
    title: str
    dataset: str
    shots: int | None
    kind: str
    once: bool
    """The task is done once a checkpoint, so that a row of one checkpoint has one score."""
    ceilings: tuple[str, ...]
    """Controls that the task tells the answer (``Task.ceilings``)."""
    protocol: str
    """Name of the protocol; several, joined by " / ", where they fine-tune alike."""
    budget: str
    """Name of the few-shot budget, "steps" or "epochs"; empty on the full training set and where the task has none."""
    steps: tuple[int, ...]
    """Optimiser steps that the cells were given at most; empty where the task trains nothing."""
    score: ScoreDefinition
    data: str
    splits: str
    pretrain_data: str
    marks: Marks
    counts: str
    rows: tuple[Row, ...]
    """The best mean first, by the score's direction."""
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = field(default=())
    patients: Mapping[str, PatientInterval] = field(default_factory=dict)
    """Label of a row to its interval over patients."""
    claims: Mapping[str, Claim] = field(default_factory=dict)
    """Label of a row to what it may claim; empty where the task is no probe."""
    pairs: tuple[Pair, ...] = ()
    """Rows that were compared, each with its verdicts."""
    best: Mapping[str, Best] = field(default_factory=dict)
    """Label of a row to its comparison with the best of the others."""
    absent: tuple[str, ...] = ()
    """Methods that were asked for and have no row, since their weights are not at hand."""

    @property
    def heading(self) -> str:
        """Task, shots, protocol and marks in one line."""
        shots = "full training set" if self.shots is None else f"{self.shots} shots"
        marks = f" [{'; '.join(self.marks.words)}]" if self.marks.words else ""
        return f"{self.task}, {shots}, protocol {self.protocol}{marks}"

    @property
    def short(self) -> str:
        """Task, few shots and what is no plain fine-tuning, for links and columns."""
        shots = [] if self.shots is None else [f"{self.shots} shots"]
        return ", ".join([self.task, *shots, *([] if self.protocol in _PLAIN else [self.protocol])])

    @property
    def budget_text(self) -> str:
        """The few-shot budget in words; empty if there is none."""
        given = f", at most {' or '.join(map(str, self.steps))} steps" if self.steps else ""
        return f"few-shot budget counted in {_BUDGETS.get(self.budget, self.budget)}{given}" if self.budget else ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that a report shows, a function of the records alone."""

    tables: tuple[Table, ...]
    family: str = ""
    """The family of tests that Holm's correction is over, in words."""
    across: tuple[Across, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    """What stored probabilities say beside the scores; computed where a report is written."""
    failures: tuple[str, ...] = ()


def ranges(seeds: Iterable[int]) -> str:
    """Format seeds as ranges, for example "0-9" or "0-3,7".

    >>> ranges([0, 1, 2, 3, 7])
    '0-3,7'
    """
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
