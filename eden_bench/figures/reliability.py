"""Reliability curves: how often it is so where a network gives it a probability, and how often it gives that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from eden_bench.figures import style
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report


class Curve(Protocol):
    """The bins of one curve that hold a case, ascending; as ``statistics.calibration.Reliability`` has them."""

    @property
    def cases(self) -> Sequence[int]:
        """Cases of each bin."""
        ...

    @property
    def predicted(self) -> Sequence[float]:
        """Mean predicted probability of each bin."""
        ...

    @property
    def observed(self) -> Sequence[float]:
        """Share of positives of each bin."""
        ...


def figures(report: Report) -> list[Drawn]:
    """Draw, for each task whose probabilities were read, all rows' curves of the label with the most positives."""
    tasks: dict[tuple[str, int | None, tuple[str, ...]], dict[str, Mapping[str, Curve]]] = {}
    for each in report.diagnostics:
        if each.kind == "calibration" and each.curves:
            tasks.setdefault((each.task, each.shots, each.marks), {})[each.label] = each.curves
    return [_of_task(task, shots, marks, rows) for (task, shots, marks), rows in tasks.items()]


def _of_task(task: str, shots: int | None, marks: Sequence[str], rows: Mapping[str, Mapping[str, Curve]]) -> Drawn:
    shared = set.intersection(*(set(curves) for curves in rows.values()))
    first = next(iter(rows.values()))
    chosen = max(sorted(shared), key=lambda label: _positives(first[label]))
    few = "" if shots is None else f", {shots} shots"
    return reliability({row: curves[chosen] for row, curves in rows.items()}, f"{task}{few}, {chosen}", marks)


def _positives(curve: Curve) -> float:
    return math.fsum(cases * share for cases, share in zip(curve.cases, curve.observed, strict=True))


def reliability(curves: Mapping[str, Curve], what: str, marks: Sequence[str] = ()) -> Drawn:
    """Draw reliability curves, and below them how many cases each bin holds.

    Args:
        curves: name of a method (or label) to its curve.
        what: what was predicted, for the caption, for example "ChestX-ray14, Effusion".
        marks: PHANTOM, QUICK.
    """
    with style.applied():
        figure = style.sheet(style.COLUMN_IN, 3.2 + 0.16 * math.ceil((len(curves) + 1) / 2), marks)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        top.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.6, linestyle=(0, (3, 2)), label="perfectly calibrated")
        for place, (name, curve) in enumerate(curves.items()):
            look = style.look(place)
            drawn = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
            top.plot(curve.predicted, curve.observed, label=style.word(name), **drawn)
            bottom.plot(curve.predicted, curve.cases, **drawn)
        top.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        bottom.set(xlabel="predicted probability", ylabel="cases", yscale="log")
        bottom.yaxis.set_major_formatter("{x:,.0f}")
        bottom.yaxis.set_minor_formatter("")
        for axes in (top, bottom):
            axes.grid()
        style.legend_below(figure, [top], 2)
    counts = style.count_text(sum(curve.cases) for curve in curves.values())
    caption = f"Observed share of positives against mean predicted probability: {what}, n = {counts} predictions."
    return Drawn("reliability", f"Reliability, {what}", caption, figure)
