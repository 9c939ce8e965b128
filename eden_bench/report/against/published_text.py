"""Describe the published marks and what a fuller analysis says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eden_bench.contracts.scores import MARGIN
from eden_bench.report.against.published_stars import READINGS, FewShot, Reading, Rival, StarCheck, checks, few_shot
from eden_bench.report.number_text import p_text
from eden_bench.report.sheets import Sheet

_COLUMNS = (
    *("task", "against", "printed", "paper's p", "if misread", "stars", "difference", "95 % (Welch)", "Welch p"),
    *("by Holm", "g", "TOST p", "detectable", "checkpoints", "methods"),
)
_ALL_SHOWN = "fig3", "drive"


def star_sheets() -> list[Sheet]:
    """Return the analysis of all published marks: each figure under each reading of its bars, then Table 1."""
    marks = [_marks(reading) for reading in READINGS]
    return [*marks, _table_1(few_shot())]


def _marks(reading: Reading) -> Sheet:
    found = [each for source in _ALL_SHOWN for each in checks(source, reading)]
    meaning = "standard deviations over ten runs" if reading == "s.d." else "standard errors of means of ten runs"
    return Sheet(
        title=f"Published significance marks, half error bars read as {meaning} ({reading})",
        columns=_COLUMNS,
        rows=tuple(_row(each) for each in found),
        notes=(*_summary(found, reading), *(_sentence(each) for each in found), *_legend(found)),
        content={"reading": reading, "margin": MARGIN, "marks": [_json(each) for each in found]},
    )


def _row(check: StarCheck) -> tuple[str, ...]:
    pair, found = check.pair, check.pair.checkpoints
    return (
        *(check.mark.first.task, pair.other, check.mark.stars or "n.s.", _p(pair.paper.p if pair.paper else None)),
        *(f"{_p(check.p_lowest)} to {_p(check.p_highest)}", check.fit, _points(found.difference)),
        *(f"{_points(found.low)} to {_points(found.high)}", _p(found.p), _p(found.adjusted_p)),
        *("–" if pair.hedges_g is None else f"{pair.hedges_g.value:.2f}", _p(found.equivalence_p)),
        *(_points(pair.power.detectable if pair.power else None, ""), found.verdict, pair.methods.verdict),
    )


def _summary(found: Sequence[StarCheck], reading: Reading) -> list[str]:
    """Count what is reproduced, of Fig. 3's eight marks and of the text's one."""
    figure = [each for each in found if each.mark.first.source.name == "fig3"]
    counts = {kind: sum(each.fit == kind for each in figure) for kind in dict.fromkeys(each.fit for each in figure)}
    agree = sum(each.is_significant_as_printed for each in figure)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    return [
        f"Fig. 3, bars as {reading}: of {len(figure)} marks {told}; {agree} of {len(figure)} agree at the 0.05 level"
    ]


def _sentence(check: StarCheck) -> str:
    """Compare Adam with the least clear self-supervised baseline and with the best of all."""
    task, least, top = check.mark.first.task, check.least_clear, check.top
    clear = f"least clear of the self-supervised baselines is {_rival(least)}; " if least else ""
    return f"{task}: {clear}the best of all others is {_rival(top)}"


def _rival(rival: Rival) -> str:
    found = rival.contrast
    return f"{rival.method}, {_points(found.test.difference)} (Welch p = {_p(found.test.p)})"


def _legend(found: Sequence[StarCheck]) -> list[str]:
    source = found[0].mark.first.source
    return [
        f"source: {source.text}; {' '.join(source.how.split())}; {source.bars}",
        "paper's p: independent t-test, pooled variance, ten runs each; if misread: means and bars off as far as may "
        "be; *** is read as p < 0.001, ** as p < 0.01, * as p < 0.05, which the paper does not say",
        "differences in points, Adam minus the other; by Holm: over the eight marks of Fig. 3 (the text's on drive "
        f"alone); TOST: against {100 * MARGIN:g} points; detectable: in 80 of 100 studies of ten runs",
        f"checkpoints: {found[0].pair.checkpoints.covers}; methods: {found[0].pair.methods.note}",
        "the baseline that is compared was picked on these same scores",
    ]


def _table_1(columns: Sequence[FewShot]) -> Sheet:
    source = columns[0].first.source
    return Sheet(
        title="Table 1, few shots: gains over the second best, and the s.d. that they can bear",
        columns=("task", "shots", "adam", "second best", "gain", "printed gain", "significant if s.d. below"),
        rows=tuple(
            (
                *(each.task, str(each.shots), f"{100 * each.first.mean:.2f}"),
                *(f"{each.second.method} {100 * each.second.mean:.2f}", f"{100 * each.gain:.2f}"),
                *(f"{100 * each.printed_gain:.0f}", f"{100 * each.largest_sd:.1f}"),
            )
            for each in columns
        ),
        notes=(
            f"source: {source.text}; {source.how}",
            "no deviation is published, so no test is possible; the last column is the s.d. of both groups at which "
            "the paper's test over ten runs each gives p = 0.05; the few images of a run are more variance yet",
        ),
        content={"table_1": [_few_json(each) for each in columns]},
    )


def _few_json(found: FewShot) -> dict[str, Any]:
    numbers = {name: getattr(found, name) for name in ("task", "shots", "gain", "printed_gain", "largest_sd")}
    return {**numbers, "second": found.second.method, "mean": found.first.mean, "second_mean": found.second.mean}


def _json(check: StarCheck) -> dict[str, Any]:
    first, second, mark = check.mark
    return {
        "source": first.source.text,
        "task": first.task,
        "printed": mark,
        "stars": check.fit,
        "p_if_misread": [check.p_lowest, check.p_highest],
        "agrees_at_0.05": check.is_significant_as_printed,
        "published": {row.method: {"mean": row.mean, "half_bar": row.deviation, "n": row.n} for row in (first, second)},
        "pair": asdict(check.pair),
        "least_clear": _rival_json(check.least_clear),
        "top": _rival_json(check.top),
    }


def _rival_json(rival: Rival | None) -> dict[str, Any] | None:
    if rival is None:
        return None
    found = rival.contrast
    return {"method": rival.method, "welch": asdict(found.test), "low": found.low, "high": found.high}


def _points(value: float | None, sign: str = "+") -> str:
    return "–" if value is None else f"{100 * value:{sign}.2f}"


def _p(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}" if value >= 0.001 else p_text(value)
