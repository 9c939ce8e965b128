"""Grad-CAM (the paper's Fig. 10): class activation maps over films, with the boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from eden_bench.errors import UsageError
from eden_bench.figures import style
from eden_bench.figures.stored import stored
from eden_bench.figures.style import Drawn
from eden_bench.records import Record
from eden_bench.report.tables import Report

MOST_ROWS = 8
COLUMNS = 6
_COLOURS = "cividis"
"""Rises in brightness, and looks alike to colour-blind readers."""
_SIDE_IN = 1.02
_NO_FILM = 96
"""Grey of the frame where a record holds no film."""
_NEEDED = ("cases", "labels", "maps", "boxes", "iou")


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each eight rows of a table whose records store maps of the same films."""
    made = []
    for table, found in stored(report, _NEEDED):
        films = found[0].arrays["cases"].tolist()
        alike = [each for each in found if each.arrays["cases"].tolist() == films]
        records = [each.record for each in alike if each.arrays["maps"][_columns(each.arrays)].any()]
        name, title = style.slug(f"{table.task} maps"), f"Where fine-tuned networks look, {table.task}"
        left_out = _left_out([each.record.label for each in alike if each.record not in records])
        for page in (records[k : k + MOST_ROWS] for k in range(0, len(records), MOST_ROWS)):
            made.append(Drawn(name, title, caption(page) + left_out, draw(page, marks=table.marks.words), table.task))
        if not records:
            made.append(Drawn(name, title, left_out.strip(), None, table.task))
    return made


def _columns(arrays: Mapping[str, np.ndarray]) -> list[int]:
    """Return the cases that are shown: of each finding the first that is stored."""
    return _first_of_each(arrays["labels"])[:COLUMNS]


def _left_out(labels: Sequence[str]) -> str:
    """Say why rows are not drawn whose maps would all be empty."""
    if not labels:
        return ""
    return (
        f" Not drawn, since all their maps here are empty: {', '.join(labels)}. A map shows what speaks for the "
        "finding, less what speaks against it, and is cut at 0: it is empty where no place speaks for the finding, as "
        "in a network that has hardly learned it (after the few steps of the protocol quick). The score counts such a "
        "map as the box's share of the film."
    )


def draw(records: Sequence[Record], columns: int = COLUMNS, marks: Sequence[str] = ()) -> Figure:
    """Draw films, maps and boxes, a row a record and a column a finding.

    A map is drawn as opaque as it is high, so that where it says nothing the film is seen; its box is the dashed line,
    and under it stand what the map scores against it. Lines and letters are vectors.

    Args:
        records: of the task grad-cam on the same films, a row each.
        columns: findings shown, one case each, the first that is stored.
        marks: PHANTOM, QUICK.

    Raises:
        UsageError: there are none, too many, or one holds no maps or those of other films.
    """
    shown = _arrays_of(records)
    rows = _first_of_each(shown[0]["labels"])[:columns]
    with style.applied():
        height = (_SIDE_IN + 0.15) * len(records) + (0.35 if marks else 0.2)
        figure = style.sheet(max(style.COLUMN_IN, _SIDE_IN * len(rows) + 1.0), height, marks)
        panels = figure.subplots(len(records), len(rows), squeeze=False)
        for record, arrays, axes_of_row in zip(records, shown, panels, strict=True):
            axes_of_row[0].set_ylabel(f"{style.word(record.label)}\nseed {record.cell.seed}")
            for row, axes in zip(rows, axes_of_row, strict=True):
                _panel(axes, arrays, row)
        for row, axes in zip(rows, panels[0], strict=True):
            axes.set_title(style.word(str(shown[0]["labels"][row]).replace("_", " ")))
        scale = figure.colorbar(
            ScalarMappable(Normalize(0, 1), _COLOURS),
            ax=panels,
            pad=0.01,
            ticks=[0, 0.5, 1],
            aspect=12,
            shrink=1 / len(records),
        )
        scale.set_label("map")
    return figure


def caption(records: Sequence[Record]) -> str:
    """Return what is shown, of how many boxes, and how many maps are empty."""
    counts = style.count_text(record.facts.cases.rows for record in records)
    hits = ", ".join(f"{record.label} {_percent(record.value)}" for record in records)
    empty = sum(not one.any() for record in records for one in record.arrays()["maps"])
    films = "" if "films" in records[0].arrays() else f" {style.NO_FILMS}"
    return (
        "Grad-CAM of fine-tuned classifiers, each map scaled to [0, 1]; dashed: the box; below: IoU with it. The first "
        f"film of each finding is shown, chosen by no score. Pointing score over n = {counts} boxes, seeds as shown: "
        f"{hits}. Stored maps that are empty: {empty:,}.{films}"
    )


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
    one = arrays["maps"][row].astype(np.float32)
    film = arrays["films"][row] if "films" in arrays else np.full(one.shape, _NO_FILM)
    edge = (0, film.shape[1], film.shape[0], 0)
    axes.imshow(film, cmap="gray", vmin=0, vmax=255, extent=edge, interpolation="none")
    axes.imshow(one, cmap=_COLOURS, vmin=0, vmax=1, alpha=0.75 * one, extent=edge)
    for place, *shares in arrays["boxes"]:
        if int(place) == row:
            _box(axes, shares, film.shape)
    told = f"IoU {_percent(float(arrays['iou'][row]))}" if one.any() else "empty map"
    axes.set_xlabel(told, labelpad=1)
    axes.set(xticks=[], yticks=[], xlim=edge[:2], ylim=edge[2:])
    axes.spines[:].set_visible(False)


def _box(axes: Axes, shares: Sequence[float], shape: tuple[int, ...]) -> None:
    """Draw a box in white dashes on black, which are seen on any film."""
    left, top, right, bottom = np.array(shares, dtype=float) * (shape[1], shape[0], shape[1], shape[0])
    for colour, line in (("black", "-"), ("white", (0, (3, 2)))):
        axes.add_patch(
            Rectangle(
                (left, top), right - left, bottom - top, fill=False, edgecolor=colour, linestyle=line, linewidth=1
            )
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
