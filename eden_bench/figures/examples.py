"""Example predictions: the outline of what each method predicted beside the true one, on a few test images.

From records that keep masks (``run --keep-masks``). Truth and films are there where the licence of the data lets
records hold them; elsewhere the prediction stands alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from contourpy import LineType, contour_generator
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from eden_bench.figures import style
from eden_bench.figures.style import Drawn
from eden_bench.records import Record
from eden_bench.records.masks import unpacked, worst_median_best
from eden_bench.report.tables import Report, Table

MOST_ROWS = 6
_SIDE_IN = 1.05
_LINES: Mapping[str, Any] = {"predicted": "-", "true": (0, (2.5, 1.5))}
_RULES = ("lowest", "median", "highest")
_NO_FILM = 96
_COARSE_PX = 0.5
"""How far, in pixels of the mask, a drawn outline may lie from the mask's."""


class Shown(NamedTuple):
    """The images that are shown, and what is known of them."""

    cases: list[str]
    structures: list[str]
    truth: dict[str, np.ndarray]
    """Case to its true masks (S, H, W) bool, where the record holds them."""
    films: dict[str, np.ndarray]


class Example(NamedTuple):
    """What one record predicted of these images."""

    record: Record
    masks: dict[str, np.ndarray]
    """Case to its predicted masks (S, H, W) bool."""
    dice: dict[str, float]


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each six rows of a table whose records keep masks."""
    made = []
    for table in report.tables:
        shown, rows = _examples(table)
        for page in (rows[k : k + MOST_ROWS] for k in range(0, len(rows), MOST_ROWS)):
            name, title = style.slug(f"{table.task} examples"), f"Example predictions, {table.task}"
            told, drawn = _caption(shown, rows[0].record, page), draw(page, shown, table.marks.words)
            made.append(Drawn(name, title, told, drawn, table.task))
    return made


def draw(rows: Sequence[Example], shown: Shown, marks: Sequence[str] = ()) -> Figure:
    """Draw a row a record and a column an image: solid what was predicted, dashed the truth, below the Dice."""
    with style.applied():
        height = (_SIDE_IN + 0.17) * len(rows) + (0.75 if marks else 0.6)
        figure = style.sheet(max(style.COLUMN_IN, _SIDE_IN * len(shown.cases) + 0.4), height, marks)
        panels = figure.subplots(len(rows), len(shown.cases), squeeze=False)
        for example, axes_of_row in zip(rows, panels, strict=True):
            axes_of_row[0].set_ylabel(f"{style.word(example.record.label)}\nseed {example.record.cell.seed}")
            for case, axes in zip(shown.cases, axes_of_row, strict=True):
                _panel(axes, example, shown, case)
        for title, case, axes in zip(_titles(len(shown.cases)), shown.cases, panels[0], strict=True):
            axes.set_title(f"{title}\n{style.word(case)}")
        style.legend_below(figure, (), 3, _legend(shown))
    return figure


def _examples(table: Table) -> tuple[Shown, list[Example]]:
    """Return what is shown of the rows that keep masks, of each its first checkpoint and seed."""
    shown = Shown([], [], {}, {})
    made: list[Example] = []
    for row in style.ordered(table.rows):
        record = next((each for each in row.cells.values() if each.facts.arrays is not None), None)
        arrays = record.arrays() if record else {}
        if record and "masks" in arrays:
            shown = shown if made else _shown(record, arrays)
            made.append(_example(record, arrays, shown.cases))
    return shown, made


def _shown(record: Record, arrays: Mapping[str, np.ndarray]) -> Shown:
    """Choose the images by the Dice of one record, among those whose masks it keeps."""
    kept, dice = arrays["mask_cases"].tolist(), _dice(record)
    cases = [kept[place] for place in worst_median_best([dice[case] for case in kept])]
    known = arrays["example_cases"].tolist() if "example_cases" in arrays else []
    truth = {}
    if known:
        truths = {"masks": arrays["example_truth"], "mask_cases": arrays["example_cases"]}
        truth = dict(zip(known, unpacked({**arrays, **truths}).pixels, strict=True))
    films = dict(zip(known, arrays["example_films"], strict=True)) if known else {}
    return Shown(cases, arrays["mask_structures"].tolist(), truth, films)


def _example(record: Record, arrays: Mapping[str, np.ndarray], cases: Sequence[str]) -> Example:
    there = [place for place, case in enumerate(arrays["mask_cases"].tolist()) if case in cases]
    few = unpacked({**arrays, "masks": arrays["masks"][there], "mask_cases": arrays["mask_cases"][there]})
    dice = _dice(record)
    return Example(record, dict(zip(few.cases, few.pixels, strict=True)), {case: dice[case] for case in few.cases})


def _dice(record: Record) -> dict[str, float]:
    cases = record.cases(only=("case", "dice"))
    return dict(zip(cases["case"].tolist(), cases["dice"].tolist(), strict=True))


def _titles(count: int) -> Sequence[str]:
    return _RULES if count == len(_RULES) else [f"image {number}" for number in range(1, count + 1)]


def _caption(shown: Shown, chosen_by: Record, rows: Sequence[Example]) -> str:
    without = [case for case in shown.cases if case not in shown.truth]
    drawn = "Solid: predicted; dashed: true" if shown.truth else "Solid: predicted"
    drawn += " (no record keeps it of each image)" if shown.truth and without else ""
    counts = style.count_text(each.record.facts.cases.rows for each in rows)
    phantom = " The films are the phantom's, no patient's." if chosen_by.phantom else ""
    alone = "" if shown.truth else f" {style.NO_FILMS} So it is with the true masks."
    return (
        f"{drawn}; below: Dice. Of n = {counts} test images those with the lowest, the median and the highest Dice of "
        f"{chosen_by.label}, seed {chosen_by.cell.seed} (cell {chosen_by.id[:12]}), among the images whose masks it "
        f"keeps; the other rows show the same images.{phantom}{alone}"
    )


def _panel(axes: Axes, example: Example, shown: Shown, case: str) -> None:
    film = shown.films.get(case, np.full((2, 2), _NO_FILM, np.uint8))
    axes.imshow(film, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0), interpolation="none")
    for kind, masks in (("predicted", example.masks.get(case)), ("true", shown.truth.get(case))):
        for place, mask in enumerate(() if masks is None else masks):
            alone = kind == "true" and len(shown.structures) == 1
            _outline(axes, mask, "white" if alone else _colour(place), _LINES[kind])
    told = f"Dice {100 * example.dice[case]:.0f} %" if case in example.dice else "mask not kept"
    axes.set_xlabel(told, labelpad=1)
    axes.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(1, 0))
    axes.spines[:].set_visible(False)


def _outline(axes: Axes, mask: np.ndarray, colour: str, line: Any) -> None:  # noqa: ANN401 - matplotlib's
    """Draw the border of a mask, on a dark rim that is seen on any film."""
    rim = [withStroke(linewidth=1.7, foreground="black")]
    for points in outlines(mask):
        axes.plot(*points.T, color=colour, linestyle=line, linewidth=0.9, path_effects=rim)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Return the borders of a mask (H, W) bool as closed lines (n, 2) of x and y, in shares of the sides."""
    height, width = mask.shape
    border = contour_generator(z=np.pad(mask, 1).astype(float), line_type=LineType.Separate).lines(0.5)
    closed: list[Any] = [line[:-1, None].astype(np.float32) for line in border if isinstance(line, np.ndarray)]
    coarse = [cv2.approxPolyDP(line, _COARSE_PX, closed=True)[:, 0] for line in closed]
    # a pixel's centre is at 0.5, and one pixel was added
    return [(np.concatenate([line, line[:1]]) - 0.5) / (width, height) for line in coarse if len(line) > 2]


def _colour(structure: int) -> str:
    return ("#56B4E9", "#E69F00", "#F0E442", "#CC79A7", "#009E73", "#D55E00", "#FFFFFF")[structure % 7]


def _legend(shown: Shown) -> list[Line2D]:
    kinds = _LINES if shown.truth else {"predicted": _LINES["predicted"]}
    lines = [Line2D([], [], color=style.GREY, linestyle=line, label=kind) for kind, line in kinds.items()]
    several = len(shown.structures) > 1
    names = [Line2D([], [], color=_colour(k), linewidth=3, label=style.word(n)) for k, n in enumerate(shown.structures)]
    return [*lines, *(names if several else [])]
