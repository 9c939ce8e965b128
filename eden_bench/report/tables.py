"""What a report is made of: tables of rows that may be compared, and the tests between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple

from eden_bench.report.statistics import Summary, TTest, summarise

_BUDGETS = {
    "steps": "optimiser steps (as many as on the full training set)",
    "epochs": "epochs of the few images",
}

Verdict = Literal["higher", "lower", "undecided", "refused", "undefined"]


class Marks(NamedTuple):
    """What a reader must know before believing any number of a table."""

    phantom: bool
    quick: bool
    part: str

    @property
    def words(self) -> tuple[str, ...]:
        """For example ("PHANTOM", "QUICK"); empty for whole real data under the paper's protocol."""
        part = (f"PART: {self.part}",) if self.part else ()
        return (*(("PHANTOM",) if self.phantom else ()), *(("QUICK",) if self.quick else ()), *part)


class Backbone(NamedTuple):
    """What tells the rows of one method apart."""

    method: str
    """The method's name, or that of a protocol's variant of it."""
    config: str
    """Digest of the method's config."""
    checkpoint: str
    threads: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """One backbone's scores in a table."""

    backbone: Backbone
    label: str
    """The method's name, with what differs where the method has several rows."""
    scores: Mapping[int, float]
    """Seed to primary score, in [0, 1], seeds ascending."""
    pretraining: str
    """What the weights come from, in words."""
    warnings: tuple[str, ...] = ()
    """What makes the pretraining doubtful, in words."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the pretraining is compared by; from ``pretraining.facts``."""
    headline: bool = False
    """It is tested against the others where no method is named (``MethodCard.headline``)."""

    @cached_property
    def summary(self) -> Summary:
        """Mean, s.d., n and interval."""
        return summarise(list(self.scores.values()))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The paper's test of one row against the best of the other methods."""

    row: Row
    other: Row
    test: TTest | None
    """None where the test was refused."""
    verdict: Verdict
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows that may be compared."""

    task: str
    title: str
    dataset: str
    shots: int | None
    protocol: str
    """Name of the protocol; several, joined by " / ", where they fine-tune alike."""
    budget: str
    """Name of the few-shot budget, "steps" or "epochs"; empty on the full training set and where the task has none."""
    steps: tuple[int, ...]
    """Optimiser steps that the cells were given at most; empty where the task trains nothing."""
    score: str
    score_version: int
    score_text: str
    decimals: int
    data: str
    splits: str
    pretrain_data: str
    marks: Marks
    counts: str
    rows: tuple[Row, ...]
    """Highest mean first."""
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...] = field(default=())
    absent: tuple[str, ...] = ()
    """Methods that were asked for and have no row, since their weights are not at hand."""

    @property
    def heading(self) -> str:
        """Task, shots, protocol and marks in one line."""
        shots = "full training set" if self.shots is None else f"{self.shots} shots"
        marks = f" [{'; '.join(self.marks.words)}]" if self.marks.words else ""
        return f"{self.task}, {shots}, protocol {self.protocol}{marks}"

    @property
    def budget_text(self) -> str:
        """The few-shot budget in words; empty where there is none."""
        given = f", at most {' or '.join(map(str, self.steps))} steps" if self.steps else ""
        return f"few-shot budget counted in {_BUDGETS.get(self.budget, self.budget)}{given}" if self.budget else ""


def ranges(seeds: Iterable[int]) -> str:
    """Return for example "0-9" or "0-3,7"."""
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and seed == found[-1][1] + 1:
            found[-1][1] = seed
        else:
            found.append([seed, seed])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in found)
