"""Cross-scale (the paper's Fig. 8): t-SNE of four landmarks at three scales, a panel a method."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eden_bench.figures import neighbours, style
from eden_bench.figures.locality import said_of, scatter, varying
from eden_bench.figures.stored import Stored, films_of, stored
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report

SCALES = {"half": "o", "one": "^", "double": "s"}
"""Name of a scale to its marker."""
LANDMARKS = 4
"""How many are drawn, as in the paper: evenly picked from those there are."""
_COLUMNS = 6
_NAMES = (*(f"features_{scale}" for scale in SCALES), "landmark", "film", "names")


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each table whose records store features of landmarks at three scales."""
    made = []
    for table, every in stored(report, _NAMES):
        found, flat = varying(every, "features_one")
        if not found:
            continue
        title = f"Landmarks at three scales, {table.task}"
        told = _caption(found) + said_of(flat)
        made.append(Drawn(style.slug(f"{table.task} t-SNE"), title, told, draw(found, table.marks.words), table.task))
    return made


def draw(found: Sequence[Stored], marks: Sequence[str] = ()) -> Figure:
    """Draw a panel a method: colour is the landmark, marker the scale."""
    lines = math.ceil(len(found) / _COLUMNS)
    columns = math.ceil(len(found) / lines)
    side = style.PAGE_IN / _COLUMNS
    names = [str(name) for name in found[0].arrays["names"]]
    chosen = picked(len(names))
    height = lines * (side + 0.25) + 0.45 + (0.15 if marks else 0)
    figure = style.sheet(max(style.COLUMN_IN, columns * side), height, marks)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, each in zip(panels, found, strict=False):
        _panel(axes, each, chosen)
        axes.set_title(style.word(each.row.label))
    for axes in panels[len(found) :]:
        axes.remove()
    handles = [Line2D([], [], color=style.COLOURS[k], linewidth=3, label=names[one]) for k, one in enumerate(chosen)]
    handles += [Line2D([], [], linestyle="", marker=m, color=style.GREY, label=s) for s, m in SCALES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=LANDMARKS if columns > 2 else 2)
    return figure


def picked(count: int) -> list[int]:
    """Return which of some landmarks are drawn.

    >>> picked(10), picked(3)
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return [int(place) for place in np.linspace(0, count - 1, min(LANDMARKS, count)).round()]


def _caption(found: Sequence[Stored]) -> str:
    landmark = found[0].arrays["landmark"]
    points = len(SCALES) * int(np.isin(landmark, picked(len(found[0].arrays["names"]))).sum())
    return (
        f"t-SNE (openTSNE, perplexity {neighbours.perplexity(points):.3g}, cosine, seed {neighbours.SEEDS[0]}) of the "
        f"centred features of {LANDMARKS} landmarks at half, once and twice the patch's side, one picture a method: "
        f"{films_of(found)} at each scale. Colour: landmark; marker: scale. A picture only; scores come from the "
        "features."
    )


def _panel(axes: Axes, each: Stored, chosen: Sequence[int]) -> None:
    shown = np.isin(each.arrays["landmark"], chosen)
    features = [each.arrays[f"features_{scale}"][shown] for scale in SCALES]
    places = scatter(axes, np.concatenate(features), neighbours.SEEDS[0])
    if places is None:
        return
    landmarks = each.arrays["landmark"][shown]
    for (scale, marker), part in zip(SCALES.items(), np.split(places, len(SCALES)), strict=True):
        for k, landmark in enumerate(chosen):
            x, y = part[landmarks == landmark].T
            axes.plot(x, y, marker, color=style.COLOURS[k], markersize=2.4, markeredgewidth=0, alpha=0.8, label=scale)
