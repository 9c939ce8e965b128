"""The result of one diagnostic: rows, sentences, gaps and curves, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from eden_bench.report.text_table import aligned

if TYPE_CHECKING:
    from eden_bench.statistics.calibration import Reliability

Value = str | float | int | None
Kind = Literal["calibration", "groups", "missed", "external"]


class Gap(NamedTuple):
    """A difference between two groups, or between two test sets, in a score."""

    of: str
    """What the groups are by ("sex"), or what dropped ("Pneumonia", "mean over labels")."""
    worst: str
    best: str
    value: float
    low: float | None
    """Ends of the 95 % interval over patients; None where too many resamples have none."""
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One question to the stored probabilities of one row of a report."""

    kind: Kind
    formula: str
    """Slug of what is computed, the same wherever it is: "classwise-calibration", "group-auroc", …"""
    task: str
    shots: int | None
    protocol: str
    label: str
    """Name of the row: the method, or a variant."""
    cells: tuple[str, ...]
    """Ids of the records that it is the mean of."""
    marks: tuple[str, ...]
    """What restricts the numbers, for example ("PHANTOM", "QUICK")."""
    title: str
    sentences: tuple[str, ...]
    """What was found and how, in words; also why there is nothing."""
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Value, ...], ...] = ()
    """As many values as columns; None where there is none, which a column "note" explains."""
    gaps: tuple[Gap, ...] = ()
    curves: Mapping[str, Reliability] = field(default_factory=dict)
    """Label to its reliability curve, all cells' predictions together."""

    @property
    def heading(self) -> str:
        """Title, task, shots and row in one line."""
        shots = "full training set" if self.shots is None else f"{self.shots} shots"
        marks = f" [{'; '.join(self.marks)}]" if self.marks else ""
        return f"{self.title}: {self.label} on {self.task}, {shots}, protocol {self.protocol}{marks}"

    def text(self) -> str:
        """Format it as plain text: heading, table, sentences."""
        table = aligned(self.columns, [[shown(value) for value in row] for row in self.rows]) if self.rows else ""
        return "\n".join(filter(None, [self.heading, table, *self.sentences]))


def shown(value: Value) -> str:
    """Format a value: shares with four digits, whole numbers with commas, "–" for none.

    >>> shown(0.12345), shown(25596), shown(None), shown("F")
    ('0.1235', '25,596', '–', 'F')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int) else f"{round(value, 4) + 0.0:.4f}"  # never "-0.0000"
