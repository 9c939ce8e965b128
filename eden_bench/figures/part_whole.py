"""Compositionality (the paper's Fig. 4.2): densities of the cosine of wholes and parts, mismatched pairs in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from eden_bench.errors import UsageError
from eden_bench.figures import style
from eden_bench.figures.stored import stored
from eden_bench.figures.style import Drawn, Look
from eden_bench.records import Record
from eden_bench.report.tables import Report
from eden_bench.statistics.density import density

FORMS = {"raw": "as published: not centred", "centred": "centred on training patches"}
PAIRS: dict[Any, str] = {"-": "own parts", "--": "others' parts"}
"""Line to what a whole is compared with."""
MOST = 8
"""Methods in one figure."""
_NAMES = tuple(f"{form}_{pairs}" for form in FORMS for pairs in ("matched", "mismatched"))
_LEFT_OUT = 0.01
"""Share of each curve's lowest cosines that may lie left of the picture."""
_LEAST_DENSITY = 0.1
"""Where the logarithmic axis of the published form begins: an untrained network's peak is a hundred times others'."""
_POINTS = 1024


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each eight methods of a table whose records store such cosines."""
    made = []
    for table, found in stored(report, _NAMES):
        records = [each.record for each in found]
        for page in (records[k : k + MOST] for k in range(0, len(records), MOST)):
            title = f"Cosine of wholes and their parts, {table.task}"
            name, drawn = style.slug(f"{table.task} density"), draw(page, table.marks.words)
            made.append(Drawn(name, title, _caption(page), drawn, table.task))
    return made


def draw(records: Sequence[Record], marks: Sequence[str] = ()) -> Figure:
    """Draw the densities of the cosine of a whole and the mean of its parts, a colour a method, a panel a form.

    Solid: its own parts. Dashed: parts of another place in the film and of the same place in another patient. Where the
    two lie on each other, the cosine says nothing of parts and wholes, however near to 1 it is.

    Args:
        records: of the task compositionality, a method each.
        marks: PHANTOM, QUICK.

    Raises:
        UsageError: there are none, more than there are colours, or one holds no such cosines.
    """
    if not 0 < len(records) <= MOST:
        raise UsageError(f"{len(records)} records to draw, expected 1 to {MOST}, one a method: choose fewer")
    with style.applied():
        figure = style.sheet(style.PAGE_IN, 2.3 + 0.17 * math.ceil((2 + len(records)) / 5), marks)
        panels = figure.subplots(1, len(FORMS))
        for form, axes in zip(FORMS, panels, strict=True):
            _panel(axes, form, records)
        pairs = [Line2D([], [], color=style.GREY, linestyle=line, label=what) for line, what in PAIRS.items()]
        style.legend_below(figure, panels[:1], 5, pairs)
    return figure


def _caption(records: Sequence[Record]) -> str:
    own, others = (style.count_text(len(_cosines(r, "raw")[k]) for r in records) for k in (0, 1))
    return (
        "Gaussian kernel densities (Scott) of the cosine of a whole and the mean of its parts. Solid: its own parts, "
        f"n = {own}; dashed: parts of another place and of another patient, n = {others}. Where solid and dashed lie "
        "on each other, the cosine tells nothing, however near to 1; a vertical line is a method whose cosines "
        "do not vary."
    )


def _panel(axes: Axes, form: str, records: Sequence[Record]) -> None:
    pairs = [_cosines(record, form) for record in records]
    low = min(float(np.quantile(values, _LEFT_OUT)) for both in pairs for values in both)
    limits = max(-1.0, low - 0.05), 1.0
    for place, (record, both) in enumerate(zip(records, pairs, strict=True)):
        for values, line in zip(both, PAIRS, strict=True):
            _curve(axes, values, limits, style.look(place), line, style.word(record.label) if line == "-" else "")
    axes.set(xlabel="cosine of a whole and the mean of its parts", ylabel="density", title=FORMS[form], xlim=limits)
    if form == "raw":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=_LEAST_DENSITY if form == "raw" else 0)


def _cosines(record: Record, form: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = record.arrays()
    names = (f"{form}_matched", f"{form}_mismatched")
    absent = [name for name in names if name not in arrays or not len(arrays[name])]
    if absent:
        raise UsageError(f"record {record.folder} of {record.cell.task} has no {absent[0]}: draw compositionality's")
    return arrays[names[0]], arrays[names[1]]


def _curve(axes: Axes, values: np.ndarray, limits: tuple[float, float], look: Look, line: str, label: str) -> None:
    """Draw a density, or a line where values do not vary."""
    drawn: dict[str, Any] = {"color": look.colour, "linestyle": line, "label": label or "_"}
    try:
        at, height = density(values, *limits, _POINTS)
    except ValueError:
        axes.axvline(float(values[0]), **drawn)
        return
    axes.plot(at, height, marker=look.marker, markersize=3.5, markevery=0.2, **drawn)
