"""Matching: the share of landmarks found within a distance, a curve a method, beside what looks at no feature.

The paper's Fig. 5.1 and 9 draw lines between two films. Records of matching hold errors and neither films nor places,
so that here stands what can be counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.figures import style
from eden_bench.figures.style import Drawn, Look
from eden_bench.records import Record
from eden_bench.report.tables import Report

PANELS = {"augmented_radial_error": "a turned, scaled view of the film", "radial_error": "the film of another patient"}
"""Column of the cases to what is searched."""
CONTROLS = {"copy_the_coordinates": "copied coordinates", "mean_place": "mean place in training films"}
"""End of a column's name to the control that it is of."""
_FARTHEST = 30.0
"""Right end of the axis, in per cent of the film's side."""


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each table whose records have these columns."""
    made = []
    for table in report.tables:
        errors = {row.label: found for row in table.rows if (found := _errors(next(iter(row.cells.values()), None)))}
        if errors:
            counts = style.count_text(len(each["radial_error"]) for each in errors.values())
            caption = (
                f"Share of landmarks found within a distance, in per cent of the film's side; n = {counts} landmarks "
                "of test films, one checkpoint a method; of places that tie the mean distance counts. Thick, grey: "
                "controls that look at no feature."
            )
            drawn = draw(errors, style.looks(table.rows), table.marks.words)
            title = f"Landmarks found in other films, {table.task}"
            made.append(Drawn(style.slug(table.task), title, caption, drawn, table.task))
    return made


def draw(
    errors: Mapping[str, Mapping[str, np.ndarray]], looks: Mapping[str, Look], marks: Sequence[str] = ()
) -> Figure:
    """Draw a panel a kind of search and a curve a method.

    Args:
        errors: label to column to its errors, (N,), in per cent of the film's side.
        looks: of the labels.
        marks: PHANTOM, QUICK.
    """
    figure = style.sheet(style.PAGE_IN, 2.3 + 0.16 * math.ceil((len(errors) + len(CONTROLS)) / 4), marks)
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for place, label in enumerate(label for label in looks if label in errors):
            look = looks[label]
            drawn = {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markersize": 3}
            _curve(axes, errors[label][column], style.word(label), markevery=(0.02 * place, 0.2), **drawn)
        for place, (end, name) in enumerate(CONTROLS.items()):
            of = next(iter(errors.values()))[f"{column}_of_{end}"]
            _curve(axes, of, name, color=style.GREY, linestyle=style.LINES[1 + place], linewidth=1.8)
        axes.set(
            title=title, xlabel="distance from the truth [% of the film's side]", xlim=(0, _FARTHEST), ylim=(0, 1.02)
        )
        axes.grid()
    panels[0].set_ylabel("share of landmarks")
    style.legend_below(figure, panels[:1], 4)
    return figure


def _curve(axes: Axes, errors: np.ndarray, label: str, **drawn: Any) -> None:  # noqa: ANN401 - matplotlib's
    """Draw the share of errors up to each distance, as steps."""
    known = np.sort(errors[~np.isnan(errors)])
    axes.step(
        [0, *known, 1e3], [0, *(np.arange(1, len(known) + 1) / len(known)), 1], where="post", label=label, **drawn
    )


def _errors(record: Record | None) -> dict[str, np.ndarray]:
    """Return the columns that are drawn; none if the record lacks one."""
    wanted = [column for kind in PANELS for column in (kind, *(f"{kind}_of_{end}" for end in CONTROLS))]
    if record is None or not set(wanted) <= set(record.facts.cases.columns):
        return {}
    cases = record.cases(only=wanted)
    return {column: cases[column].to_numpy(dtype=float) for column in wanted}
