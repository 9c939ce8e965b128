"""Compare the rankings that one table's rows have under several settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from eden_bench.records import Record
from eden_bench.report import build
from eden_bench.report.tables import Table
from eden_bench.sensitivity.settings import Setting
from eden_bench.statistics.ranks import kendall


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """The rows of one task and number of shots under one setting."""

    setting: Setting
    means: Mapping[str, float]
    """Row to mean score, the best first; rows that failed under this setting are absent."""
    tau: float | None
    """Kendall's tau-b with the order under the protocol as it is, over the rows that both have."""
    flips: tuple[str, ...] = ()
    """Claims about checkpoints that change, in words."""
    cost: float = 1.0
    """Pixels through the encoder and training steps, as a multiple of the protocol's."""
    absent: tuple[str, ...] = ()
    """Rows that the protocol has and this setting has not."""

    @property
    def keeps(self) -> bool:
        """Whether order and claims are those of the protocol, and no row is lost."""
        return self.tau == 1.0 and not self.flips and not self.absent


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """One task and number of shots under every setting; the protocol as it is comes first."""

    task: str
    shots: int | None
    higher_is_better: bool
    rankings: tuple[Ranking, ...]

    @property
    def cheapest(self) -> Ranking:
        """The setting of least cost that keeps order and claims; of equal ones the first."""
        return min((one for one in self.rankings if one.keeps or not one.setting.changes), key=lambda one: one.cost)


def compared(results: Sequence[tuple[Setting, Sequence[Record]]]) -> list[Sensitivity]:
    """Compare the records of every setting with those of the first.

    Args:
        results: the protocol as it is first.
    """
    tables = [(setting, {_key(table): table for table in build.build(records).tables}) for setting, records in results]
    first = tables[0][1]
    return [_sensitivity(key, [(setting, found.get(key)) for setting, found in tables]) for key in first]


def _key(table: Table) -> tuple[str, int | None]:
    return table.task, table.shots


def _sensitivity(key: tuple[str, int | None], tables: Sequence[tuple[Setting, Table | None]]) -> Sensitivity:
    base = tables[0][1]
    if base is None:
        raise ValueError(f"{key} is in no table of the first setting")
    rankings = tuple(_ranking(setting, table, base) if table else _none(setting, base) for setting, table in tables)
    return Sensitivity(task=key[0], shots=key[1], higher_is_better=base.score.higher_is_better, rankings=rankings)


def _none(setting: Setting, base: Table) -> Ranking:
    """Return the ranking of a setting under which no row could be computed."""
    return Ranking(setting=setting, means={}, tau=None, cost=math.nan, absent=tuple(row.label for row in base.rows))


def _ranking(setting: Setting, table: Table, base: Table) -> Ranking:
    means, of_base = ({row.label: row.summary.mean for row in each.rows} for each in (table, base))
    both = [label for label in of_base if label in means]
    before, after = (np.array([each[label] for label in both]) for each in (of_base, means))
    tau = float(kendall(before, after[None])[0]) if len(both) > 1 else math.nan
    return Ranking(
        setting=setting,
        means=means,
        tau=None if math.isnan(tau) else tau,
        flips=tuple(_flips(base, table)),
        cost=_cost(table) / _cost(base),
        absent=tuple(label for label in of_base if label not in means),
    )


def _flips(base: Table, table: Table) -> list[str]:
    """Say which verdicts about checkpoints are others than the protocol's."""
    before, after = _verdicts(base), _verdicts(table)
    shared = [pair for pair in before if pair in after and before[pair] != after[pair]]
    return [f"{row} against {other}: {before[row, other]} becomes {after[row, other]}" for row, other in shared]


def _verdicts(table: Table) -> dict[tuple[str, str], str]:
    """Return each pair's verdict, seen from the row that comes first by name."""
    opposite = {"better": "worse", "worse": "better"}
    found = {}
    for pair in table.pairs:
        verdict = pair.checkpoints.verdict
        turned = pair.row > pair.other
        names = (pair.other, pair.row) if turned else (pair.row, pair.other)
        found[names] = opposite.get(verdict, verdict) if turned else verdict
    return found


def _cost(table: Table) -> float:
    """Return pixels of an input times training steps; 1 step where nothing is trained."""
    records = [record for row in table.rows for record in row.cells.values()]
    protocol = records[0].cell.protocol
    features = protocol.get("features")
    side_px = features["size_px"] if isinstance(features, Mapping) else protocol.get("size_px", 1)
    steps = np.mean([max(1, record.training.steps_planned) for record in records])
    return float(side_px**2 * steps)
