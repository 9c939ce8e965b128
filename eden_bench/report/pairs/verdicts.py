"""Decide what may be said of differences: better, worse, equivalent or undecided, over a stated family of tests.

- **better, worse**: p after Holm's correction over the family is below 0.05 and the 95 % interval leaves 0 out.
- **equivalent**: else, where both one-sided tests against the margin (TOST), corrected by Holm over the tests of
  equivalence of the same family, are below 0.05. Where the two rows are identical for every seed and patient no test is
  defined, and they are called equivalent, if the score has a margin.
- **undecided**: else. It is no proof of equality.

A pair outside the family is decided by Benjamini and Hochberg's correction over all pairs, and its note says so: among
such claims one of twenty is expected to be false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from eden_bench.report.findings import Finding, Scope, Verdict
from eden_bench.statistics.hierarchy import Difference, Scores, compared
from eden_bench.statistics.multiplicity import benjamini_hochberg, holm
from eden_bench.statistics.t_tests import LEVEL

OUTSIDE = "outside the family: by the false discovery rate over all pairs"
_CONSTANT = "the difference is the same for every seed and patient: no test"
_IDENTICAL = "the two are identical for every seed and patient: no test"


class Asked(NamedTuple):
    """A difference of two rows that is yet to be measured."""

    scope: Scope
    scores: tuple[Scores, Scores]
    shared_seeds: bool
    margin: float | None
    covers: str
    """What its interval covers, in words."""
    note: str

    @property
    def alike(self) -> tuple[object, ...]:
        """What is equal of those that are measured together."""
        return self.scope, self.shared_seeds, self.margin, *(each.values.shape for each in self.scores)


def measured(asked: Sequence[Finding | Asked]) -> list[Finding]:
    """Describe differences, each as a finding without a verdict yet; what is a finding already stays as it is."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, each in enumerate(asked):
        if isinstance(each, Asked):
            groups.setdefault(each.alike, []).append(place)
    found = {
        place: finding
        for places in groups.values()
        for place, finding in zip(places, _measured([asked[place] for place in places]), strict=True)  # type: ignore[misc]
    }
    return [found[place] if isinstance(each, Asked) else each for place, each in enumerate(asked)]


def _measured(asked: Sequence[Asked]) -> list[Finding]:
    """Describe differences that are alike."""
    first = asked[0]
    found = compared([each.scores for each in asked], shared_seeds=first.shared_seeds)
    return described(first.scope, found, first.margin, [(each.covers, each.note) for each in asked])


def described(scope: Scope, found: Difference, margin: float | None, words: Sequence[tuple[str, str]]) -> list[Finding]:
    """Describe differences, (N,), each as a finding without a verdict yet.

    Args:
        scope: of all of them.
        found: what was measured of them.
        margin: of equivalence; None for a score without one.
        words: of each, what its interval covers, and a note.
    """
    half, p = found.half_width, found.p
    family, undefined = found.family_p, np.full(len(p), np.nan)
    equal = undefined if margin is None else found.equivalence_p(margin)
    family_equal = undefined if margin is None else found.family_equivalence_p(margin)
    return [
        Finding(
            scope=scope,
            verdict="undecided",
            difference=float(value),
            low=float(value - half[place]),
            high=float(value + half[place]),
            df=_number(found.df[place]),
            p=_number(p[place]),
            family_p=_number(family[place]),
            equivalence_p=_number(equal[place]),
            family_equivalence_p=_number(family_equal[place]),
            margin=margin,
            covers=covers,
            note="; ".join(filter(None, [note, _still(float(value), p[place])])),
        )
        for place, (value, (covers, note)) in enumerate(zip(found.value, words, strict=True))
    ]


def decided(findings: Sequence[Finding], family: Sequence[bool], higher: Sequence[bool]) -> list[Finding]:
    """Correct the p-values of one scope's findings and decide their verdicts.

    Args:
        findings: of all pairs of a report.
        family: which of them belong to the family.
        higher: of which score each is: a higher one is better.
    """
    inside, everywhere = list(family), [True] * len(findings)
    adjusted = _corrected([each.family_p for each in findings], inside, holm)
    equal = _corrected([each.family_equivalence_p for each in findings], inside, holm)
    fdr = _corrected([each.family_p for each in findings], everywhere, benjamini_hochberg)
    equal_fdr = _corrected([each.family_equivalence_p for each in findings], everywhere, benjamini_hochberg)
    return [
        _decided(
            replace(each, adjusted_p=adjusted[place], fdr_p=fdr[place], adjusted_equivalence_p=equal[place]),
            (adjusted[place], equal[place]) if inside[place] else (fdr[place], equal_fdr[place]),
            higher[place],
        )
        for place, each in enumerate(findings)
    ]


def _decided(found: Finding, corrected: tuple[float | None, float | None], higher: bool) -> Finding:
    if found.verdict != "undecided":
        return found
    p, equal = corrected
    verdict: Verdict = "equivalent" if equal is not None and equal < LEVEL else "undecided"
    if p is not None and p < LEVEL and _leaves_out_zero(found):
        verdict = "better" if ((found.difference or 0) > 0) == higher else "worse"
    return replace(found, verdict=verdict)


def _leaves_out_zero(found: Finding) -> bool:
    return found.low is not None and found.high is not None and (found.low > 0 or found.high < 0)


def _corrected(
    p_values: Sequence[float | None], family: Sequence[bool], correct: Callable[[Sequence[float]], list[float]]
) -> list[float | None]:
    """Correct the p-values of the family that are defined; None for the others."""
    asked = [place for place, p in enumerate(p_values) if family[place] and p is not None]
    found: list[float | None] = [None] * len(p_values)
    for place, p in zip(asked, correct([p_values[place] or 0.0 for place in asked]), strict=True):
        found[place] = p
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _still(value: float, p: float) -> str:
    """Say why there is no p; "" where there is."""
    if not np.isnan(p):
        return ""
    return _CONSTANT if value else _IDENTICAL
