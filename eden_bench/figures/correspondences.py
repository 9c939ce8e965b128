"""Matching (the paper's Fig. 5.1 and 9): lines from a film's landmarks to the places found for them in other films."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from eden_bench.figures import style
from eden_bench.figures.stored import Stored, stored
from eden_bench.figures.style import Drawn
from eden_bench.report.tables import Report

KINDS = {
    "augmented": "turned, scaled view",
    "refilmed": "same person, filmed again",
    "diseased": "the same, a finding added",
    "other patient": "another patient",
}
"""Kind of search to its words."""
NEAR = 0.05
"""Share of the film's side within which a place counts as found, as in the score pck_5."""
MOST_ROWS = 8
_NEEDED = ("names", "kinds", "template", "truth", "found")
_GAP = 0.08
"""Between two films, in sides."""
_ACROSS = np.array([1 + _GAP, 0])
_SIDE_IN = 0.82
_RIM: Mapping[str, Any] = {"markeredgecolor": "black", "markeredgewidth": 0.4}
_RIGHT: Mapping[str, Any] = {
    "color": "#56B4E9",
    "linestyle": "-",
    "linewidth": 0.9,
    "marker": "o",
    "markersize": 3,
    **_RIM,
}
_WRONG: Mapping[str, Any] = {
    "color": "#E69F00",
    "linestyle": (0, (3, 1.5)),
    "linewidth": 0.9,
    "marker": "X",
    "markersize": 4,
    **_RIM,
}
_TEMPLATE: Mapping[str, Any] = {"marker": "s", "markersize": 2, "color": "white", **_RIM}
_TRUTH: Mapping[str, Any] = {
    "marker": "o",
    "markersize": 3.5,
    "color": "none",
    "markeredgecolor": "#E69F00",
    "markeredgewidth": 0.8,
}
_FRAME = "#E4E4E4"


def figures(report: Report) -> list[Drawn]:
    """Draw one figure for each eight rows of a table whose records store places of the same landmarks."""
    made = []
    for table, found in stored(report, _NEEDED):
        first = found[0].arrays
        rows = [each for each in found if all(np.array_equal(each.arrays[k], first[k]) for k in _NEEDED[:3])]
        for page in (rows[k : k + MOST_ROWS] for k in range(0, len(rows), MOST_ROWS)):
            name, title = style.slug(f"{table.task} lines"), f"Landmarks of a film found in other films, {table.task}"
            made.append(Drawn(name, title, _caption(page), draw(page, table.marks.words), table.task))
    return made


def draw(rows: Sequence[Stored], marks: Sequence[str] = ()) -> Figure:
    """Draw the film and each film searched side by side, a row a method and a column a kind of search."""
    kinds = rows[0].arrays["kinds"].tolist()
    with style.applied():
        height = (_SIDE_IN + 0.16) * len(rows) + 0.45
        figure = style.sheet(2.25 * _SIDE_IN * len(kinds) + 0.4, height, marks)
        panels = figure.subplots(len(rows), len(kinds), squeeze=False)
        for each, axes_of_row in zip(rows, panels, strict=True):
            axes_of_row[0].set_ylabel(style.word(each.record.label))
            for place, axes in enumerate(axes_of_row):
                _panel(axes, each.arrays, place)
        for kind, axes in zip(kinds, panels[0], strict=True):
            axes.set_title(style.word(KINDS.get(kind, kind)))
        style.legend_below(figure, (), 3, _legend())
    return figure


def _caption(rows: Sequence[Stored]) -> str:
    kinds = rows[0].arrays["kinds"].tolist()
    counts = style.count_text(each.record.facts.cases.rows for each in rows)
    errors = "; ".join(f"{each.record.label} {_errors(each, kinds)}" for each in rows)
    films = "" if "films" in rows[0].arrays else f" {style.NO_FILMS}"
    phantom = " The films are the phantom's, no patient's." if rows[0].record.phantom else ""
    return (
        f"The {len(rows[0].arrays['names'])} landmarks of the first test film (left of each pair) and the one place "
        f"found for each in another film (right), chosen by no score; found within {100 * NEAR:.0f} % of the film's "
        "side or not, as pck_5 counts, below: how many; where several places tie, no line is drawn. Mean distance from "
        f"the true place over all test films, in per cent of the film's side, n = {counts} landmarks: {errors}."
        f"{phantom}{films}"
    )


def _errors(each: Stored, kinds: Sequence[str]) -> str:
    known = each.record.scores
    names = {kind: "radial_error" if kind == "other patient" else f"{kind}_radial_error" for kind in kinds}
    told = {KINDS.get(kind, kind): known[name] for kind, name in names.items() if name in known}
    return ", ".join(f"{value:.1f} ({kind})" for kind, value in told.items())


class _Searched(NamedTuple):
    """A film's landmarks and what was found for them in one other film, in shares of the side, (L, 2) each."""

    template: np.ndarray
    truth: np.ndarray
    found: np.ndarray

    @property
    def shown(self) -> np.ndarray:
        """(L,) bool: the landmark lies on the other film."""
        return np.asarray(((self.truth >= 0) & (self.truth <= 1)).all(axis=1))

    @property
    def single(self) -> np.ndarray:
        """(L,) bool: one place was found."""
        return ~np.isnan(self.found).any(axis=1)

    @property
    def near(self) -> np.ndarray:
        """(L,) bool: the place found counts as right."""
        return np.asarray(self.single & (np.linalg.norm(self.found - self.truth, axis=1) <= NEAR))


def _panel(axes: Axes, arrays: Mapping[str, np.ndarray], place: int) -> None:
    films = arrays.get("films")
    for left, number in ((0.0, 0), (_ACROSS[0], 1 + place)):
        _film(axes, None if films is None else films[number], left)
    searched = _Searched(arrays["template"], arrays["truth"][place], arrays["found"][place])
    for chosen, kind in ((searched.near, _RIGHT), (searched.single & ~searched.near, _WRONG)):
        _lines(axes, searched, chosen, kind)
    axes.plot(*searched.template.T, linestyle="", **_TEMPLATE)
    axes.plot(*(searched.truth[searched.shown & ~searched.near] + _ACROSS).T, linestyle="", **_TRUTH)
    tied = int((searched.shown & ~searched.single).sum())
    told = f"{searched.near.sum()} of {searched.shown.sum()} found"
    axes.set_xlabel(f"{told}, {tied} tied" if tied else told, labelpad=1)
    axes.set(xticks=[], yticks=[], xlim=(0, _ACROSS[0] + 1), ylim=(1, 0), aspect="equal")
    axes.spines[:].set_visible(False)


def _film(axes: Axes, film: np.ndarray | None, left: float) -> None:
    """Draw a film, or an empty frame where the record holds none."""
    if film is None:
        axes.add_patch(Rectangle((left, 0), 1, 1, facecolor=_FRAME, edgecolor=style.GREY, linewidth=0.5))
    else:
        axes.imshow(film, cmap="gray", vmin=0, vmax=255, extent=(left, left + 1, 1, 0), interpolation="none")


def _lines(axes: Axes, searched: _Searched, chosen: np.ndarray, kind: Mapping[str, Any]) -> None:
    ends = np.stack([searched.template[chosen], searched.found[chosen] + _ACROSS])
    rim = [withStroke(linewidth=kind["linewidth"] + 0.8, foreground="black")]
    axes.plot(ends[..., 0], ends[..., 1], **{**kind, "marker": ""}, path_effects=rim)
    axes.plot(*ends[1].T, **{**kind, "linestyle": ""})


def _legend() -> list[Line2D]:
    near = f"{100 * NEAR:.0f} % of the side"
    told = {f"found within {near}": _RIGHT, f"found farther than {near}": _WRONG}
    kinds = [Line2D([], [], label=label, **kind) for label, kind in told.items()]
    true = Line2D([], [], linestyle="", label="true place of one that is not found", **_TRUTH)
    return [*kinds, true]
