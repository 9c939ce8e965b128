"""Draw how the validation loss fell while fine-tuning: one line a row, as a small SVG of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from eden_bench.printable import printable_line
from eden_bench.records import Record
from eden_bench.records.shape import is_number
from eden_bench.report.tables import Row, Table

WIDTH, HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 8, 28
_POINTS = 60
"""Of a line: more are not seen."""
_LOOKS = 12

Points = Sequence[tuple[float, float]]


class Curve(NamedTuple):
    """A line: its label, its look, and the path in the drawing."""

    label: str
    look: int
    path: str


class Chart(NamedTuple):
    """Lines with the ends of both axes."""

    curves: Sequence[Curve]
    steps: tuple[str, str]
    losses: tuple[str, str]
    width: int = WIDTH
    height: int = HEIGHT


def curves(table: Table) -> Chart | None:
    """Return the validation losses of a table's rows over steps, mean over each row's cells; None if it has none."""
    found = {row.label: mean_curve(row) for row in table.rows}
    drawn = {label: points for label, points in found.items() if len(points) > 1}
    if not drawn:
        return None
    steps = [step for points in drawn.values() for step, _ in points]
    losses = [loss for points in drawn.values() for _, loss in points]
    box = (min(steps), max(steps), min(losses), max(losses))
    lines = [
        Curve(printable_line(label), number % _LOOKS, _path(points, box))
        for number, (label, points) in enumerate(sorted(drawn.items()))
    ]
    return Chart(lines, (f"{box[0]:g}", f"{box[1]:g}"), (f"{box[2]:.3g}", f"{box[3]:.3g}"))


def mean_curve(row: Row) -> Points:
    """Return step and validation loss, mean over the cells that came so far."""
    told: dict[float, list[float]] = {}
    for record in row.cells.values():
        for step, loss in _of_record(record):
            told.setdefault(step, []).append(loss)
    points = [(step, math.fsum(losses) / len(losses)) for step, losses in sorted(told.items())]
    every = math.ceil(len(points) / _POINTS) or 1
    return [*points[:-1:every], *points[-1:]]


def _of_record(record: Record) -> Points:
    """Return a record's validation curve; what is no pair of numbers is passed over."""
    training: Any = record.content.get("training")
    told = training.get("validation_curve") if isinstance(training, Mapping) else None
    pairs = told if isinstance(told, list) else []
    return [
        (pair[0], pair[1]) for pair in pairs if isinstance(pair, list) and len(pair) == 2 and all(map(is_number, pair))
    ]


def _path(points: Points, box: tuple[float, float, float, float]) -> str:
    first, last, low, high = box
    across = (WIDTH - _LEFT - _RIGHT) / ((last - first) or 1)
    down = (HEIGHT - _TOP - _BOTTOM) / ((high - low) or 1)
    places = (f"{_LEFT + (step - first) * across:.1f},{_TOP + (high - loss) * down:.1f}" for step, loss in points)
    return " ".join(places)
