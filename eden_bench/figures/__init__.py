"""Figures of a report, fit for a two-column paper: for_report(report) draws all that its records give.

Vector pictures, one style, equal bytes for equal records. This module alone is light; those beside it load matplotlib.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eden_bench.errors import EdenError
from eden_bench.forking import each_of
from eden_bench.records import warn_stderr
from eden_bench.report.tables import Report
from eden_bench.report.workers import workers

if TYPE_CHECKING:
    from eden_bench.figures.style import Drawn

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # that it lists the fonts, once a machine
Warn = Callable[[str], None]
_FROM_SCORES = ("scores", "few_shot", "ablations", "estimation", "critical_difference", "profiles", "reliability")
_FROM_ARRAYS = ("locality", "part_whole", "cross_scale", "matching", "correspondences", "class_maps", "examples")


class Figure(NamedTuple):
    """A finished figure."""

    name: str
    """Stem of its files: small letters, digits and hyphens."""
    title: str
    caption: str
    """What is drawn, of how many, and what the marks mean."""
    svg: str
    """One <svg> element, to stand in a page as it is; its ids begin with the name. "" where the caption says all."""
    task: str = ""
    """Of whose records it is, where it is of one task's."""


def for_report(
    report: Report, folder: Path | None = None, *, probes: bool = True, warn: Warn = warn_stderr
) -> list[Figure]:
    """Draw every figure that a report's tables and records give; where they give none, the list is empty.

    Args:
        report: of ``report.build``.
        folder: where NAME.svg and NAME.pdf are written; None to write nothing.
        probes: also those drawn from records' arrays, of which t-SNE takes a second a panel.
        warn: told of records that cannot be drawn, whose figures are left out.

    Raises:
        StoreFailed: the folder cannot be written.
    """
    from eden_bench.figures import style

    drawn = [
        each for module in (*_FROM_SCORES, *(_FROM_ARRAYS if probes else ())) for each in _of(module, report, warn)
    ]
    named = _named(drawn)
    svgs = each_of(named, lambda one: style.finished(one[1], one[0], folder), workers(report.tables))
    return [
        Figure(name, each.title, each.caption, svg, each.task) for (name, each), svg in zip(named, svgs, strict=True)
    ]


def _of(module: str, report: Report, warn: Warn) -> Sequence[Drawn]:
    from importlib import import_module

    from eden_bench.figures import style

    try:
        with style.applied():
            drawn: Sequence[Drawn] = import_module(f"eden_bench.figures.{module}").figures(report)
            return drawn
    except EdenError as error:
        warn(f"{error}; the figure is left out")
        return ()


def _named(drawn: Sequence[Drawn]) -> list[tuple[str, Drawn]]:
    """Number the figures whose names are equal."""
    names = [each.name for each in drawn]
    numbers = [names[:place].count(name) + 1 for place, name in enumerate(names)]
    several = [
        f"{name}-{number}" if names.count(name) > 1 else name for name, number in zip(names, numbers, strict=True)
    ]
    return list(zip(several, drawn, strict=True))
