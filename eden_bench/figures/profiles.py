"""Performance profile and aggregate scores over tasks (Agarwal et al., NeurIPS 2021, arXiv:2108.13264)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from eden_bench.figures import style
from eden_bench.figures.critical_difference import marks_of, set_of
from eden_bench.figures.style import Drawn, Look
from eden_bench.report.findings import Across
from eden_bench.report.tables import Report

AGGREGATES = {"iqm": "interquartile mean", "mean": "mean", "median": "median", "optimality_gap": "optimality gap"}
"""Field of ``Aggregates`` to the title of its panel; of the gap lower is better."""


def figures(report: Report) -> list[Drawn]:
    """Draw a profile and the aggregates of each comparison over tasks."""
    known = style.looks(row for table in report.tables for row in table.rows)
    found = []
    for across in report.across:
        marks = marks_of(report, across)
        of = f"n = {len(across.tables)} tasks, {len(across.methods)} methods, scores normalised to [0, 1]"
        looks = {label: known.get(label, style.look(k)) for k, label in enumerate(across.methods)}
        if across.profiles:
            told = f"Share of runs above a normalised score, with 95 % bands by stratified bootstrap; {of}."
            drawn = draw_profile(across, looks, marks)
            found.append(Drawn("performance-profile", "Performance profile", told + set_of(across), drawn))
        if across.aggregates:
            told = (
                f"Aggregates over tasks with 95 % intervals by stratified bootstrap; {of}. Of the gap lower is better."
            )
            drawn = draw_aggregates(across, looks, marks)
            found.append(Drawn("aggregates", "Aggregate scores over tasks", told + set_of(across), drawn))
    return found


def draw_profile(across: Across, looks: Mapping[str, Look], marks: Sequence[str] = ()) -> Figure:
    """Draw the share of runs above each threshold, a curve a method."""
    lines = math.ceil(len(across.profiles) / 2)
    figure = style.sheet(style.COLUMN_IN, 2.4 + 0.17 * lines, marks)
    axes = figure.subplots()
    for label in sorted(across.profiles, key=list(looks).index):
        share, low, high = across.profiles[label]
        look = looks[label]
        every = max(1, len(share) // 8)
        axes.plot(
            *(across.thresholds, share),
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markevery=(list(looks).index(label) % every, every),
            label=style.word(label),
        )
        if low and high:
            axes.fill_between(across.thresholds, low, high, color=look.colour, alpha=0.12, linewidth=0)
    axes.set(xlabel="normalised score τ", ylabel="share of runs with score > τ", ylim=(-0.02, 1.02))
    axes.grid()
    style.legend_below(figure, [axes], 2)
    return figure


def draw_aggregates(across: Across, looks: Mapping[str, Look], marks: Sequence[str] = ()) -> Figure:
    """Draw a panel an aggregate and a line a method, the best interquartile mean at the top."""
    order = sorted(across.aggregates, key=lambda label: (-across.aggregates[label].iqm.value, label))
    figure = style.sheet(style.PAGE_IN, 0.7 + 0.15 * len(order), marks)
    panels = figure.subplots(1, len(AGGREGATES), sharey=True)
    for axes, (field, title) in zip(panels, AGGREGATES.items(), strict=True):
        for place, label in enumerate(order):
            found = getattr(across.aggregates[label], field)
            if found.low is not None and found.high is not None:
                axes.plot(
                    [found.low, found.high],
                    [place, place],
                    color=looks[label].colour,
                    linewidth=1.6,
                    solid_capstyle="butt",
                )
            axes.plot([found.value], [place], looks[label].marker, color=looks[label].colour)
        axes.set_title(title)
        axes.grid(axis="x")
        axes.locator_params(axis="x", nbins=4)
    panels[0].set_yticks(range(len(order)), [style.word(label) for label in order])
    panels[0].set_ylim(len(order) - 0.5, -0.5)
    figure.supxlabel("normalised score", fontsize=style.TEXT_PT)
    return figure
