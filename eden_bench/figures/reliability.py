"""Reliability curves: how often it is so where a network gives it a probability, and how often it gives that."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eden_bench.figures import style
from eden_bench.figures.style import Drawn


class Bin(NamedTuple):
    """A bin of predicted probabilities."""

    probability: float
    """Mean of the predicted probabilities in it."""
    share: float
    """Of its cases that are positive."""
    cases: int


def reliability(curves: Mapping[str, Sequence[Bin]], what: str, marks: Sequence[str] = ()) -> Drawn:
    """Draw reliability curves with a histogram of the predictions below; empty bins are left out.

    Args:
        curves: name of a method to its bins, ascending.
        what: what was predicted, for the caption, for example "ChestX-ray14, Effusion".
        marks: PHANTOM, QUICK.
    """
    figure = style.sheet(style.COLUMN_IN, 3.2 + 0.16 * math.ceil(len(curves) / 2), marks)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color=style.GREY, linewidth=0.6, linestyle=(0, (3, 2)), label="perfectly calibrated")
    for place, (name, bins) in enumerate(curves.items()):
        filled, look = [one for one in bins if one.cases], style.look(place)
        at = [one.probability for one in filled]
        drawn = {"color": look.colour, "marker": look.marker, "linestyle": look.line}
        top.plot(at, [one.share for one in filled], label=style.word(name), **drawn)
        bottom.plot(at, [one.cases for one in filled], **drawn)
    top.set(ylabel="observed share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    bottom.set(xlabel="predicted probability", ylabel="cases", yscale="log")
    bottom.yaxis.set_major_formatter("{x:,.0f}")
    bottom.yaxis.set_minor_formatter("")
    for axes in (top, bottom):
        axes.grid()
    style.legend_below(figure, [top], 2)
    counts = style.count_text(sum(one.cases for one in bins) for bins in curves.values())
    caption = (
        f"Reliability of {what}: observed share of positives against mean predicted probability, n = {counts} cases."
    )
    return Drawn("reliability", f"Reliability, {what}", caption, figure)
