"""What a report says of two rows, and of all methods over all tasks; data only, computed elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from eden_bench.statistics.estimates import Estimate
from eden_bench.statistics.t_tests import TTest

Scope = Literal["checkpoints", "methods"]
"""What a verdict holds for: these checkpoints (other fine-tuning seeds, other patients), or the methods (other
pretrainings too)."""
Verdict = Literal["better", "worse", "equivalent", "undecided", "not asked", "no claim"]
"""Of the first row. "not asked": fewer than three pretrainings each, so nothing is said of the methods. "no claim":
cells are missing or unequal; the note names them."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The difference of two rows' means and the verdict on it, for one scope."""

    scope: Scope
    verdict: Verdict
    difference: float | None = None
    """First minus second, as scores are stored."""
    low: float | None = None
    """Lower end of the hierarchical 95 % interval of the difference."""
    high: float | None = None
    df: float | None = None
    p: float | None = None
    """Of no difference, as the interval has it."""
    family_p: float | None = None
    """The same, right in the far tail too (Cochran's weighted quantiles): what the corrections are of."""
    adjusted_p: float | None = None
    """By Holm over the report's stated family; None for a pair outside it."""
    fdr_p: float | None = None
    """By Benjamini and Hochberg, over all pairs of the report."""
    equivalence_p: float | None = None
    """Larger of the two one-sided p-values against the margin (TOST)."""
    family_equivalence_p: float | None = None
    """The same, right in the far tail too."""
    adjusted_equivalence_p: float | None = None
    """By Holm over the tests of equivalence of the same family; None for a pair outside it."""
    margin: float | None = None
    covers: str = ""
    """What the interval covers, in words: "other fine-tuning seeds and other patients"."""
    note: str = ""
    """Why there is no verdict, or what limits it."""


@dataclass(frozen=True, kw_only=True)
class Power:
    """What this many seeds, pretrainings and patients can detect, and how many would settle the difference seen."""

    detectable: float | None
    """Difference that would be found in 80 of 100 studies, as scores are stored."""
    seeds: int | None = None
    """Fine-tuning seeds a checkpoint needed to decide the difference seen at 80 % power; None where no number would."""
    pretrainings: int | None = None
    patients: int | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two rows of one table, compared in every way that the report shows."""

    row: str
    """Label of the first row."""
    other: str
    checkpoints: Finding
    methods: Finding
    in_family: bool = False
    """It belongs to the family whose p-values are corrected by Holm."""
    paper: TTest | None = None
    """Independent t-test with pooled variance, as in the paper."""
    welch: TTest | None = None
    paired: TTest | None = None
    """None where no seeds are shared."""
    sign_flip_p: float | None = None
    """Exact over all sign changes of the seeds' differences; None where no seeds are shared."""
    correlation: float | None = None
    """Of the two rows' scores over shared seeds."""
    hedges_g: Estimate | None = None
    cliffs_delta: float | None = None
    probability: Estimate | None = None
    """P(first > second): chance that a seed of the first scores better than one of the second."""
    bayes: tuple[float, float, float] | None = None
    """Posterior probabilities that the first is practically better, equal (in the ROPE) or worse (signed rank)."""
    power: Power | None = None


@dataclass(frozen=True, kw_only=True)
class Best:
    """A row against the best of all others, whichever that is (Hsu's multiple comparisons with the best)."""

    low: float | None
    """Simultaneous interval of this row's mean minus the best other's."""
    high: float | None
    verdict: Literal["best", "not the best", "may be the best", "no claim"]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Aggregates:
    """A method over all tasks, scores normalised to [0, 1] as the report states."""

    mean: Estimate
    median: Estimate
    iqm: Estimate
    """Interquartile mean."""
    optimality_gap: Estimate


@dataclass(frozen=True, kw_only=True)
class Across:
    """The methods that have all of some tables, compared over those tables as blocks."""

    methods: tuple[str, ...]
    tables: tuple[str, ...]
    """Headings of the tables."""
    aggregates: Mapping[str, Aggregates]
    thresholds: tuple[float, ...]
    profiles: Mapping[str, tuple[tuple[float, ...], tuple[float, ...], tuple[float, ...]]]
    """Label to the share of runs above each threshold, with the lower and upper ends of the 95 % band (both empty where
    nothing can be resampled)."""
    friedman: tuple[float, float] | None
    """Chi-squared and p."""
    iman_davenport: tuple[float, float] | None
    """F and p."""
    mean_ranks: Mapping[str, float]
    """1 is the best."""
    rank_intervals: Mapping[str, tuple[int, int]]
    """Ranks, by the mean over these tasks, that a method may have, at 95 % for all methods together. See
    ``tie_scope``."""
    wilcoxon_p: Mapping[tuple[str, str], float]
    """By Holm over all pairs; the tasks are the sample."""
    cliques: tuple[tuple[str, ...], ...]
    """Maximal groups of methods that do not separate (Wilcoxon-Holm), for the critical-difference diagram."""
    critical_difference: float | None
    """Nemenyi's, at 0.05."""
    kendall: Estimate | None
    """Kendall's tau of the ranking with that of a bootstrap resample: mean, and interval."""
    tie_classes: tuple[tuple[str, ...], ...]
    """The methods in order of their mean over these tasks, those that cannot be told apart together: the best with all
    that do not separate from it, then the same of the rest. See ``tie_scope``."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Method or table to why it is not in the comparison."""
    notes: tuple[str, ...] = ()
    heading: str = ""
    """What the tables have in common, in words."""
    improvement: Mapping[tuple[str, str], Estimate] = field(default_factory=dict)
    """P(a run of the first scores better than one of the second), mean over tasks; each pair once."""
    separation_p: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Of two methods' difference of means over these tasks, by Holm over all pairs; each pair once."""
    tie_scope: str = ""
    """What ``separation_p``, ``rank_intervals`` and ``tie_classes`` hold for, in words."""
    nemenyi_cliques: tuple[tuple[str, ...], ...] = ()
    """Maximal groups whose mean ranks lie closer than the critical difference."""
    target: float = 1.0
    """Of the optimality gap."""
