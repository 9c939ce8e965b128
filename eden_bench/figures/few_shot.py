"""Few-shot curves (the paper's Table 1): score against training images, a band an interval, and the gain above them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.contracts import ScoreDefinition
from eden_bench.figures import style
from eden_bench.figures.scores import axis_label, in_unit
from eden_bench.figures.shots import FewShot, few_shot_table
from eden_bench.figures.style import Drawn, Look
from eden_bench.report.tables import Report
from eden_bench.statistics.t_tests import Summary

_COLUMNS = 2


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for all tasks that have several numbers of shots; none if there are none."""
    found = few_shot_table(report)
    if not found:
        return []
    marks = style.marks_of(table for each in found for table in each.tables)
    counts = style.count_text(row.summary.n for each in found for table in each.tables for row in table.rows)
    caption = (
        f"Score against the number of training images ({', '.join(dict.fromkeys(each.task for each in found))}). Band: "
        f"95 % interval of the mean, n = {counts} scores a point. Above: gain of {_whose(found)} over the best other "
        "method, that is over the second best where it leads."
    )
    return [Drawn("few-shot", "Few-shot transfer", caption, draw(found, marks))]


def draw(found: Sequence[FewShot], marks: Sequence[str] = ()) -> Figure:
    """Draw a panel a task: curves with bands, and the gain at each number of shots above."""
    columns = min(_COLUMNS, len(found))
    lines = math.ceil(len(found) / columns)
    looks = style.looks(row for each in found for table in each.tables for row in table.rows)
    legend_lines = math.ceil(len(looks) / (4 if columns > 1 else 2))
    height = 2.0 * lines + 0.16 * legend_lines + 0.25
    figure = style.sheet(style.COLUMN_IN if columns == 1 else style.PAGE_IN, height, marks)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for axes, each in zip(panels, found, strict=False):
        _panel(axes, each, looks)
    for axes in panels[len(found) :]:
        axes.remove()
    style.legend_below(figure, panels[: len(found)], 4 if columns > 1 else 2)
    return figure


def _panel(axes: Axes, each: FewShot, looks: Mapping[str, Look]) -> None:
    places, score = {shots: place for place, shots in enumerate(each.shots)}, each.tables[0].score
    for label in sorted(each.summaries, key=list(looks).index):
        _curve(
            axes, {places[shots]: found for shots, found in each.summaries[label].items()}, score, looks[label], label
        )
    _gains(axes, each, places)
    counts = style.count_text(summary.n for found in each.summaries.values() for summary in found.values())
    axes.set_title(f"{style.word(each.task)} (n = {counts})", pad=16)
    axes.set(xlabel="training images", ylabel=axis_label(score), xlim=(-0.4, len(places) - 0.6))
    axes.set_xticks(list(places.values()), ["all" if shots is None else str(shots) for shots in places])
    axes.grid(axis="y")


def _curve(axes: Axes, found: Mapping[int, Summary], score: ScoreDefinition, look: Look, label: str) -> None:
    """Draw one method's means by place, and a band where each has an interval."""
    at = dict(sorted(found.items()))
    means = [in_unit(each.mean, score) for each in at.values()]
    drawn = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "label": style.word(label)}
    axes.plot(list(at), means, zorder=3, **drawn)
    ends = {place: (s.low, s.high) for place, s in at.items() if s.low is not None and s.high is not None}
    low, high = ([in_unit(end[k], score) for end in ends.values()] for k in (0, 1))
    axes.fill_between(list(ends), low, high, color=look.colour, alpha=0.15, linewidth=0)


def _gains(axes: Axes, each: FewShot, places: Mapping[int | None, int]) -> None:
    """Write what the tested row gains above the curves."""
    texts = {places[shots]: f"{in_unit(gain.value, each.tables[0].score):+.1f}" for shots, gain in each.gains.items()}
    drawn: dict[str, Any] = {"va": "bottom", "fontsize": style.SMALL_PT, "color": style.GREY}
    for place, text in texts.items():
        axes.text(place, 1.03, text, transform=axes.get_xaxis_transform(), ha="center", **drawn)
    if texts:
        axes.text(-0.03, 1.03, "gain", transform=axes.transAxes, ha="right", **drawn)


def _whose(found: Sequence[FewShot]) -> str:
    return " or ".join(dict.fromkeys(gain.row for each in found for gain in each.gains.values())) or "no method"
