"""The significance marks of the Adam paper, tested again from the published means and deviations.

The paper compares Adam with the top self-supervised baseline of each task by an independent t-test over ten runs. Here
are that test, from the moments; whether it gives the printed stars, with the error of reading the figure; and what a
fuller analysis says: Welch, Holm over the marks of one figure, effect size, equivalence, detectable effect, the least
clear of all self-supervised baselines, and the best of all methods. Every run starts from one checkpoint a method, so
that of the methods nothing is asked, and other patients are in none of it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from eden_bench.contracts.scores import MARGIN
from eden_bench.report.against.moments import Contrast, Moments, contrast
from eden_bench.report.against.published import Published, Stars, of_source, printed_gains, stars
from eden_bench.report.findings import Finding, Pair, Power, Verdict
from eden_bench.statistics.effects import hedges_g
from eden_bench.statistics.multiplicity import holm
from eden_bench.statistics.power import detectable_effect
from eden_bench.statistics.t_tests import LEVEL, t_quantile, two_sample_t

Reading = Literal["s.d.", "s.e."]
READINGS: tuple[Reading, ...] = ("s.d.", "s.e.")
"""What half an error bar is: a standard deviation, or the standard error of the mean."""
MARKS = {"***": (0.0, 0.001), "**": (0.001, 0.01), "*": (0.01, LEVEL), "": (LEVEL, 1.0), "p < 0.05": (0.0, LEVEL)}
"""Mark to the p-values that it stands for by convention; the paper does not say."""
SUPERVISED = ("random", "supervised-imagenet", "supervised-chestxray14")
COVERS = "other fine-tunings of these two checkpoints on these test images; not other pretrainings, not other patients"
_NOT_ASKED = "one pretraining each is published, three each are needed"
_SMALLEST_HALF = 1e-6
"""Least half error bar that a reading error leaves."""
Fit = Literal["reproduced", "within the error of reading", "smaller p than the stars say", "not reproduced"]


@dataclass(frozen=True, kw_only=True)
class StarCheck:
    """One mark tested again."""

    mark: Stars
    reading: Reading
    pair: Pair
    fit: Fit
    p_lowest: float
    """Of the paper's test, where means and bars are misread as far as they may be, to its favour."""
    p_highest: float
    least_clear: Rival | None
    """Of the self-supervised baselines, the one with the largest Welch p: better than all is no more certain."""
    top: Rival
    """The best of all other methods, supervised ones too."""

    @property
    def is_significant_as_printed(self) -> bool:
        """Whether the paper's test agrees with the mark at the 0.05 level."""
        paper = self.pair.paper
        return paper is not None and paper.p is not None and (paper.p < LEVEL) == (self.mark.stars != "")


class Rival(NamedTuple):
    """Another method, compared with Adam."""

    method: str
    contrast: Contrast


class FewShot(NamedTuple):
    """A column of Table 1, which prints no deviations: what they must not exceed for its gain to be significant."""

    task: str
    shots: int | None
    first: Published
    second: Published
    gain: float
    printed_gain: float
    largest_sd: float
    """Of both groups alike, at which the paper's test over ten runs each gives p = 0.05."""


def checks(source: str, reading: Reading) -> list[StarCheck]:
    """Test every mark of a source again, "fig3" or "drive"; they are one family for Holm's correction."""
    made = [_check(mark, reading) for mark in stars(source)]
    welch, equivalent = ([_p(each, name) for each in made] for name in ("p", "equivalence_p"))
    decided = zip(made, by_holm(welch), by_holm(equivalent), strict=True)
    return [replace(each, pair=_decided(each.pair, *adjusted)) for each, *adjusted in decided]


def few_shot() -> list[FewShot]:
    """Return the columns of Table 1 with the deviations that its gains can bear."""
    rows = of_source("table1")
    return [_few_shot(place, gain, [row for row in rows if (row.task, row.shots) == place]) for place, gain in _gains()]


def fit(mark: str, p: float, lowest: float, highest: float) -> Fit:
    """Return whether a p-value, or one that the error of reading allows, is what a mark stands for.

    >>> fit("**", 0.0101, 0.0090, 0.0111), fit("*", 0.11, 0.09, 0.12), fit("*", 0.002, 0.001, 0.003)
    ('within the error of reading', 'not reproduced', 'smaller p than the stars say')
    """
    low, high = MARKS[mark]
    if low <= p < high:
        return "reproduced"
    if lowest < high and highest >= low:
        return "within the error of reading"
    return "smaller p than the stars say" if highest < low and mark else "not reproduced"


def moments(row: Published, reading: Reading, mean_off: float = 0.0, half_off: float = 0.0) -> Moments:
    """Return a published number's moments.

    Args:
        row: the number.
        reading: what its half error bar is.
        mean_off: added to the mean, for the error of reading.
        half_off: added to half the error bar; it stays above 0.
    """
    half = row.deviation
    if half is None:
        return Moments(row.n, row.mean + mean_off, None)
    half = max(half + half_off, _SMALLEST_HALF)
    return Moments(row.n, row.mean + mean_off, half if reading == "s.d." else half * math.sqrt(row.n))


def _check(mark: Stars, reading: Reading) -> StarCheck:
    first, second = (moments(row, reading) for row in mark[:2])
    found, paper = contrast(first, second, MARGIN), two_sample_t(first.scores(), second.scores())
    reach = [_paper_p(mark, reading, *off) for off in itertools.product((-1, 1), repeat=3)]
    row, other = mark.first.method, mark.second.method
    pair = Pair(
        row=row,
        other=other,
        checkpoints=_finding(found),
        methods=Finding(scope="methods", verdict="not asked", difference=found.test.difference, note=_NOT_ASKED),
        in_family=True,
        paper=paper,
        welch=found.test,
        hedges_g=hedges_g(first.scores(), second.scores()),
        power=Power(detectable=_detectable(first, second)),
    )
    own = [each for each in of_source(mark.first.source.name) if each.task == mark.first.task and each.method != row]
    return StarCheck(
        mark=mark,
        reading=reading,
        pair=pair,
        fit=fit(mark.stars, 1.0 if paper.p is None else paper.p, min(reach), max(reach)),
        p_lowest=min(reach),
        p_highest=max(reach),
        least_clear=_least_clear([_rival(mark.first, each, reading) for each in own if each.method not in SUPERVISED]),
        top=_rival(mark.first, max(own, key=lambda each: each.mean), reading),
    )


def _paper_p(mark: Stars, reading: Reading, apart: int, first_half: int, second_half: int) -> float:
    """Return the paper's p with means and bars misread as far as they may be, in some directions."""
    source, signs = mark.first.source, (apart, -apart)
    halves = (first_half, second_half)
    groups = [
        moments(row, reading, sign * source.mean_within, half * source.half_within).scores()
        for row, sign, half in zip(mark[:2], signs, halves, strict=True)
    ]
    p = two_sample_t(*groups).p
    return 1.0 if p is None else p


def _finding(found: Contrast) -> Finding:
    return Finding(
        scope="checkpoints",
        verdict="undecided",
        difference=found.test.difference,
        low=found.low,
        high=found.high,
        df=found.test.df,
        p=found.test.p,
        equivalence_p=found.equivalence_p,
        margin=MARGIN,
        covers=COVERS,
    )


def _decided(pair: Pair, adjusted_p: float | None, equivalence_p: float | None) -> Pair:
    """Add the verdict on two checkpoints, by the p-values after Holm's correction."""
    found = replace(pair.checkpoints, adjusted_p=adjusted_p, adjusted_equivalence_p=equivalence_p)
    decided = verdict(found.difference, adjusted_p, equivalence_p)
    return replace(pair, checkpoints=replace(found, verdict=decided))


def verdict(difference: float | None, p: float | None, equivalence_p: float | None) -> Verdict:
    """Decide on a difference, by the p-values of its test and of equivalence, both after correction.

    >>> verdict(0.02, 0.01, 0.9), verdict(0.001, 0.4, 0.01), verdict(0.02, 0.4, 0.9)
    ('better', 'equivalent', 'undecided')
    """
    if p is None or difference is None:
        return "no claim"
    if p < LEVEL:
        return "better" if difference > 0 else "worse"
    return "equivalent" if equivalence_p is not None and equivalence_p < LEVEL else "undecided"


def _p(check: StarCheck, name: str) -> float | None:
    value: float | None = getattr(check.pair.checkpoints, name)
    return value


def by_holm(values: Sequence[float | None]) -> list[float | None]:
    """Correct the p-values that there are."""
    corrected = iter(holm([value for value in values if value is not None]))
    return [None if value is None else next(corrected) for value in values]


def _detectable(first: Moments, second: Moments) -> float | None:
    """Return the difference that this many runs find in 80 of 100 studies, at the two groups' pooled s.d."""
    standardised = detectable_effect(first.n)
    if standardised is None or first.sd is None or second.sd is None:
        return None
    return standardised * math.sqrt((first.sd**2 + second.sd**2) / 2)


def _rival(adam: Published, other: Published, reading: Reading) -> Rival:
    return Rival(other.method, contrast(moments(adam, reading), moments(other, reading), MARGIN))


def _least_clear(rivals: Sequence[Rival]) -> Rival | None:
    tested = [each for each in rivals if each.contrast.test.p is not None]
    return max(tested, key=lambda each: each.contrast.test.p or 0.0, default=None)


def _gains() -> Sequence[tuple[tuple[str, int | None], float]]:
    return list(printed_gains("table1").items())


def _few_shot(place: tuple[str, int | None], printed: float, rows: Sequence[Published]) -> FewShot:
    second, first = sorted(rows, key=lambda row: row.mean)[-2:]
    gain = first.mean - second.mean
    critical = t_quantile(1 - LEVEL / 2, first.n + second.n - 2)
    return FewShot(*place, first, second, gain, printed, gain / critical / math.sqrt(1 / first.n + 1 / second.n))
