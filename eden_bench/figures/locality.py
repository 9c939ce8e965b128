"""Locality (the paper's Fig. 4.1): t-SNE of the features of ten landmarks, a panel a method, drawn from two seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eden_bench.figures import neighbours, style
from eden_bench.figures.scores import in_unit
from eden_bench.figures.stored import Stored, films_of, stored
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report

_COLUMNS = 6
NAMES = ("features", "landmark", "film", "names")


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each table whose records store features of landmarks."""
    made = []
    for table, every in stored(report, NAMES):
        found, flat = varying(every, "features")
        if found:
            title = f"Landmarks in the embedding, {table.task}"
            told = caption(found) + said_of(flat)
            made.append(
                Drawn(style.slug(f"{table.task} t-SNE"), title, told, draw(found, table.marks.words), table.task)
            )
    return made


def varying(found: Sequence[Stored], name: str) -> tuple[list[Stored], list[str]]:
    """Return the rows whose features vary, and the labels of the others, of which there is no picture."""
    flat = [each.row.label for each in found if not np.ptp(each.arrays[name], axis=0).any()]
    return [each for each in found if each.row.label not in flat], flat


def said_of(flat: Sequence[str]) -> str:
    """Name the methods that are not drawn; empty if all are."""
    return f" Not drawn, since their features do not vary: {', '.join(flat)}." if flat else ""


def draw(found: Sequence[Stored], marks: Sequence[str] = ()) -> Figure:
    """Draw two panels a method, one below the other: the same features from two seeds."""
    blocks = math.ceil(len(found) / _COLUMNS)
    columns = math.ceil(len(found) / blocks)
    side = style.PAGE_IN / _COLUMNS
    names = [str(name) for name in found[0].arrays["names"]]
    legend_columns = max(1, min(5, int(columns * side / 1.4)))
    height = blocks * (2 * side + 0.35) + 0.16 * math.ceil(len(names) / legend_columns) + (0.3 if marks else 0.15)
    figure = style.sheet(max(style.COLUMN_IN, columns * side), height, marks)
    panels = figure.subplots(2 * blocks, columns, squeeze=False)
    for place, each in enumerate(found):
        block, column = divmod(place, columns)
        for line, seed in enumerate(neighbours.SEEDS):
            axes = panels[2 * block + line, column]
            _panel(axes, each.arrays["features"], each.arrays["landmark"], names, seed)
            if not line:
                axes.set_title(_title(each))
    for axes in panels[2 * (blocks - 1) :, len(found) - columns * (blocks - 1) :].ravel():
        axes.remove()
    handles = [style.dot(name, place) for place, name in enumerate(names)]
    figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns, handletextpad=0.2)
    return figure


def caption(found: Sequence[Stored]) -> str:
    """Return what the picture is of, and that it proves nothing."""
    perplexity = neighbours.perplexity(len(found[0].arrays["film"]))
    first, second = neighbours.SEEDS
    return (
        f"t-SNE (openTSNE, perplexity {perplexity:.3g}, cosine, random start) of the centred features of patches about "
        f"landmarks: {films_of(found)}, one checkpoint a method. Above seed {first}, below seed {second} on the same "
        "features; KL is what the picture leaves out. Distances between groups mean nothing: the number above a panel "
        "is the method's score, taken from the features."
    )


def scatter(axes: Axes, features: np.ndarray, seed: int) -> np.ndarray | None:
    """Prepare a panel of a layout and say its KL below; None, said in the panel, where there is no layout."""
    found = neighbours.layout(features, seed)
    axes.set(xticks=[], yticks=[])
    axes.spines[["top", "right"]].set_visible(True)
    for spine in axes.spines.values():
        spine.set_color(style.PALE)
    axes.set_box_aspect(1)
    if found is None:
        said: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": style.SMALL_PT, "color": style.GREY}
        axes.text(0.5, 0.5, "too few\npatches", transform=axes.transAxes, **said)
        return None
    axes.set_xlabel(f"seed {seed}, KL {found.kl:.2f}", fontsize=style.SMALL_PT, labelpad=1)
    return found.places


def _panel(axes: Axes, features: np.ndarray, landmarks: np.ndarray, names: Sequence[str], seed: int) -> None:
    places = scatter(axes, features, seed)
    if places is None:
        return
    for landmark in range(len(names)):
        x, y = places[landmarks == landmark].T
        look = style.look(landmark)
        axes.plot(x, y, look.marker, color=look.colour, markersize=2, markeredgewidth=0, label=names[landmark])


def _title(each: Stored) -> str:
    score = each.record.score
    unit = f" {score.unit}" if score.unit else ""
    return f"{style.word(each.row.label)}\n{in_unit(each.record.value, score):.{score.decimals}f}{unit}"
