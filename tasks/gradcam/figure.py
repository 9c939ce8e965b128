"""Class activation maps over films, with the boxes, drawn from stored records alone; write it as .pdf or .svg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from eden_bench.errors import UsageError
from eden_bench.records import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_ROWS = 8
COLUMNS = 6
_COLOURS = "cividis"
"""Rises in brightness, and looks alike to colour-blind readers."""
_SIDE_IN = 1.25
_NEEDED = ("cases", "labels", "films", "maps", "boxes", "iou")
_SETTINGS: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "eden-bench", "pdf.fonttype": 42, "font.size": 8}


def draw(records: Sequence[Record], columns: int = COLUMNS) -> Figure:
    """Draw films, maps and boxes, a row a record and a column a finding.

    A map is drawn as opaque as it is high, so that where it says nothing the film is seen; its box is the dashed line,
    and under it stand what the map scores against it. Lines and letters are vectors.

    Args:
        records: of the task grad-cam on the same films, a row each.
        columns: findings shown, one case each, the first that is stored.

    Raises:
        UsageError: there are none, too many, or one holds no maps or those of other films.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = _arrays_of(records)
    rows = _first_of_each(shown[0]["labels"])[:columns]
    with rc_context(_SETTINGS):
        size = (_SIDE_IN * len(rows) + 1.3, (_SIDE_IN + 0.15) * len(records) + 0.45)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(records), len(rows), squeeze=False)
        for record, arrays, axes_of_row in zip(records, shown, panels, strict=True):
            axes_of_row[0].set_ylabel(f"{record.label}, seed {record.cell.seed}\npointing {_percent(record.value)}")
            for row, axes in zip(rows, axes_of_row, strict=True):
                _panel(axes, arrays, row)
        for row, axes in zip(rows, panels[0], strict=True):
            axes.set_title(str(shown[0]["labels"][row]).replace("_", " "))
        _scale(figure, panels, records[0])
    return figure


def _arrays_of(records: Sequence[Record]) -> Sequence[Mapping[str, np.ndarray]]:
    if not 0 < len(records) <= MOST_ROWS:
        raise UsageError(f"{len(records)} records to draw, expected 1 to {MOST_ROWS}, a row each: choose fewer")
    shown = [record.arrays() for record in records]
    for record, arrays in zip(records, shown, strict=True):
        absent = [name for name in _NEEDED if name not in arrays]
        if absent:
            raise UsageError(f"record {record.folder} of {record.cell.task} has no {absent[0]}: draw grad-cam's")
        if arrays["cases"].tolist() != shown[0]["cases"].tolist():
            raise UsageError(f"record {record.folder} holds other films than {records[0].folder}: draw one data set's")
    return shown


def _first_of_each(labels: np.ndarray) -> list[int]:
    return [int(np.flatnonzero(labels == label)[0]) for label in dict.fromkeys(labels.tolist())]


def _panel(axes: Axes, arrays: Mapping[str, np.ndarray], row: int) -> None:
    film, one = arrays["films"][row], arrays["maps"][row].astype(np.float32)
    edge = (0, film.shape[1], film.shape[0], 0)
    axes.imshow(film, cmap="gray", vmin=0, vmax=255, extent=edge)
    axes.imshow(one, cmap=_COLOURS, vmin=0, vmax=1, alpha=0.75 * one, extent=edge)
    for place, *shares in arrays["boxes"]:
        if int(place) == row:
            _box(axes, shares, film.shape)
    told = f"IoU {_percent(float(arrays['iou'][row]))}" if one.any() else "empty map"
    axes.set_xlabel(told, labelpad=1)
    axes.set(xticks=[], yticks=[], xlim=edge[:2], ylim=edge[2:])


def _box(axes: Axes, shares: Sequence[float], shape: tuple[int, ...]) -> None:
    """Draw a box in white dashes on black, which are seen on any film."""
    from matplotlib.patches import Rectangle

    left, top, right, bottom = np.array(shares, dtype=float) * (shape[1], shape[0], shape[1], shape[0])
    for colour, style in (("black", "-"), ("white", (0, (3, 2)))):
        axes.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=style, linewidth=1
            )
        )


def _scale(figure: Figure, panels: np.ndarray, record: Record) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    figure.colorbar(ScalarMappable(Normalize(0, 1), _COLOURS), ax=panels, pad=0.01, ticks=[0, 0.5, 1], label="map")
    told = f"Grad-CAM, each map scaled to [0, 1]; dashed: the box; pointing hit: of n = {record.facts.cases.rows} boxes"
    figure.supxlabel(f"{told}{', PHANTOM' if record.phantom else ''}", fontsize=8)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
