"""The published part-whole figure (Fig. 4.2), drawn from stored records alone, with the mismatched pairs in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench.errors import UsageError
from eden_bench.records import Record
from tasks.probes.density import density

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000", "#F0E442")
"""Okabe and Ito's, which colour-blind readers tell apart."""
FORMS = {"raw": "as published: not centred", "centred": "centred on training patches"}
_LEFT_OUT = 0.01
"""Share of each curve's lowest cosines that may lie left of the picture."""
_LEAST_DENSITY = 0.1
"""Where the logarithmic axis of the published form begins: an untrained network's peak is a hundred times others'."""
_POINTS = 2048
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "eden-bench", "pdf.fonttype": 42, "font.size": 8}


def draw(records: Sequence[Record]) -> Figure:
    """Draw the densities of the cosine of a whole and the mean of its parts, a colour a method, a panel a form.

    Solid: its own parts. Dashed: parts of another place in the film and of the same place in another patient. Where the
    two lie on each other, the cosine says nothing of parts and wholes, however near to 1 it is.

    Args:
        records: of the task compositionality, a method each.

    Raises:
        UsageError: there are none, more than there are colours, or one holds no such cosines.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if not 0 < len(records) <= len(COLOURS):
        raise UsageError(f"{len(records)} records to draw, expected 1 to {len(COLOURS)}, one a method: choose fewer")
    with rc_context(_SETTINGS):
        figure = Figure(figsize=(7.0, 2.9), layout="constrained")
        for form, axes in zip(FORMS, figure.subplots(1, len(FORMS)), strict=True):
            _panel(axes, form, records)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def write(figure: Figure, path: Path) -> None:
    """Write a figure; equal figures give equal SVG.

    Args:
        figure: of `draw`.
        path: its suffix names the format; .svg and .pdf are vector formats.
    """
    from matplotlib import rc_context

    with rc_context(_SETTINGS):
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(axes: Axes, form: str, records: Sequence[Record]) -> None:
    pairs = [_cosines(record, form) for record in records]
    low = min(float(np.quantile(values, _LEFT_OUT)) for both in pairs for values in both)
    low, high = max(-1.0, low - 0.05), 1.0
    for record, colour, both in zip(records, COLOURS, pairs, strict=False):
        for values, style, what in zip(both, ("-", "--"), ("own parts", "others' parts"), strict=True):
            _curve(axes, values, (low, high), colour, style, f"{record.label}, {what} (n = {len(values):,})")
    axes.set(
        xlabel="cosine of a whole and the mean of its parts", ylabel="density", title=FORMS[form], xlim=(low, high)
    )
    if form == "raw":
        axes.set_yscale("log")
    axes.set_ylim(bottom=_LEAST_DENSITY if form == "raw" else 0)
    axes.spines[["top", "right"]].set_visible(False)


def _cosines(record: Record, form: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = record.arrays()
    names = (f"{form}_matched", f"{form}_mismatched")
    absent = [name for name in names if name not in arrays or not len(arrays[name])]
    if absent:
        raise UsageError(f"record {record.folder} of {record.cell.task} has no {absent[0]}: draw compositionality's")
    return arrays[names[0]], arrays[names[1]]


def _curve(axes: Axes, values: np.ndarray, limits: tuple[float, float], colour: str, style: str, label: str) -> None:
    """Draw a density, or a line where values do not vary."""
    try:
        at, height = density(values, *limits, _POINTS)
    except ValueError:
        axes.axvline(float(values[0]), color=colour, linestyle=style, label=label)
        return
    axes.plot(at, height, color=colour, linestyle=style, linewidth=1.2, label=label)
