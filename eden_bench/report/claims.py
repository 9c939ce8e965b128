"""Test which probe properties a row may claim: above the practical floor, beyond the variance over patients.

The practical floor of a row is the best of the table's control rows (methods of the group "controls", and ``random``,
the untrained network) and of the controls that its task scored on the same cases, an oracle left out. A control that
has a column in the cases is resampled with them; one that has none is a fixed number. Chance alone is no practical
floor, and fewer than ``ENOUGH_TESTED`` patients give no claim. p is of the difference to the floor; Holm's correction
is over all differences of one report that get a claim.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eden_bench.contracts import ENOUGH_TESTED
from eden_bench.report.cases.patients import Drawn, Sources, draw_rows, intervals
from eden_bench.report.cases.resampling import RESAMPLES, Interval, differences, interval, p_value
from eden_bench.report.tables import Claim, Row, Table
from eden_bench.statistics.multiplicity import holm
from eden_bench.statistics.t_tests import LEVEL

CHANCE, ORACLE = "chance", "oracle"
"""Names of controls; one whose name has the word oracle is a ceiling, never a floor."""
_FOR_EACH_CLAIM = 100
"""Resamples for each claim of a report, so that the smallest p there can be outlives Holm's correction."""


@dataclass(frozen=True)
class Floor:
    """A control that a row's score can be tested against."""

    name: str
    value: float
    drawn: Drawn | None
    """None for a fixed number, and for a row whose cases cannot be drawn."""
    note: str = ""
    """Why they cannot."""


def resamples_of(tables: Sequence[Table]) -> tuple[int, int]:
    """Return how many resamples the rows of a report's tables have: of tasks that fine-tune, and of probes."""
    asked = sum(not row.control for table in tables if table.kind == "probe" for row in table.rows)
    return RESAMPLES, max(RESAMPLES, _FOR_EACH_CLAIM * asked)


def resampled(table: Table, sources: Mapping[str, Sources | str], resamples: int) -> Table:
    """Add to a table its rows' patient intervals, and to that of a probe its claims, without verdicts yet.

    Args:
        table: of a report.
        sources: label of a row to what is resampled of it, or to why nothing is.
        resamples: how many.
    """
    drawn, lacking = draw_rows(table.rows, sources, resamples)
    is_probe = table.kind == "probe"
    found = {row.label: _claim(row, table, drawn, lacking) for row in table.rows} if is_probe else {}
    return replace(table, patients=intervals(table.rows, drawn, lacking), claims=found)


def decided_tables(tables: Sequence[Table]) -> list[Table]:
    """Decide the claims of a report's tables together."""
    p = [claim.p for table in tables for claim in table.claims.values() if claim.p is not None]
    adjusted = iter(holm(p))
    return [
        replace(table, claims={k: _decided(v, adjusted, table) for k, v in table.claims.items()}) for table in tables
    ]


def skill(row: Row, rows: Sequence[Row]) -> float | None:
    """Compute S = (x - chance) / (oracle - chance): 0 at chance, 1 at the oracle; None if either is missing.

    The oracle is the control that the task scored, or else a control row of that name.
    """
    oracles = [other.summary.mean for other in rows if other.control and _is_oracle(other.label)]
    chance, oracle = row.controls.get(CHANCE), row.controls.get(ORACLE, oracles[0] if oracles else None)
    if chance is None or oracle is None or oracle == chance:
        return None
    return (row.summary.mean - chance) / (oracle - chance)


def _claim(row: Row, table: Table, drawn: Mapping[str, Mapping[str, Drawn]], lacking: Mapping[str, str]) -> Claim:
    """Compare a row with its practical floor; the verdict follows after Holm's correction."""
    found = Claim(skill=skill(row, table.rows), verdict="control" if row.control else "no claim")
    if row.control:
        return found
    others = [other for other in table.rows if other.backbone.method not in table.ceilings]
    floors = _floors(row, others, drawn, lacking)
    if not [floor for floor in floors if floor.name != CHANCE]:
        return replace(found, note="no control to compare with: run random and the methods of @controls too")
    sign = 1 if table.score.higher_is_better else -1
    floor = max(floors, key=lambda each: (sign * each.value, each.name))
    found = replace(found, floor=floor.name, floor_value=floor.value, difference=row.summary.mean - floor.value)
    if row.label not in drawn:
        return replace(found, note=lacking[row.label])
    if floor.note:
        return replace(found, note=f"{floor.name}: {floor.note}")
    return _tested(found, drawn[row.label][""], floor)


def _tested(claim: Claim, own: Drawn, floor: Floor) -> Claim:
    """Add the interval and p of the paired difference, or why they are missing."""
    count = len(own.patients)
    if floor.drawn is not None and not np.array_equal(own.patients, floor.drawn.patients):
        return replace(claim, note=f"it and {floor.name} were not scored on the same patients")
    if count < ENOUGH_TESTED:
        return replace(claim, note=f"{count} {own.unit} are too few, expected at least {ENOUGH_TESTED}")
    paired = differences(own.draws, floor.value if floor.drawn is None else floor.drawn.draws)
    found, p = interval(paired), p_value(paired)
    if found is None:
        return replace(claim, note="too many resamples have no score")
    return replace(claim, low=found.low, high=found.high, p=p)


def _decided(claim: Claim, adjusted: Iterator[float], table: Table) -> Claim:
    """Decide the verdict from a claim's interval and corrected p."""
    if claim.p is None or claim.low is None or claim.high is None:
        return claim
    corrected = next(adjusted)
    clear = Interval(claim.low, claim.high).leaves_out_zero and corrected < LEVEL
    if not clear:
        return replace(claim, adjusted_p=corrected, verdict="not above its floor")
    above = (claim.low > 0) == table.score.higher_is_better
    return replace(claim, adjusted_p=corrected, verdict="has the property" if above else "below its floor")


def _floors(
    row: Row, rows: Sequence[Row], drawn: Mapping[str, Mapping[str, Drawn]], lacking: Mapping[str, str]
) -> list[Floor]:
    """List every control that is no oracle: the task's, on the row's own cases, and control rows."""
    own = drawn.get(row.label, {})
    told = {name: value for name, value in row.controls.items() if not _is_oracle(name)}
    from_task = [Floor(name, own[name].value if name in own else told[name], own.get(name)) for name in told]
    others = [other for other in rows if other.control and not _is_oracle(other.label)]
    return [*from_task, *(_row_as_floor(other, drawn, lacking) for other in others)]


def _row_as_floor(row: Row, drawn: Mapping[str, Mapping[str, Drawn]], lacking: Mapping[str, str]) -> Floor:
    return Floor(row.label, row.summary.mean, drawn.get(row.label, {}).get(""), lacking.get(row.label, ""))


def _is_oracle(name: str) -> bool:
    return ORACLE in name
