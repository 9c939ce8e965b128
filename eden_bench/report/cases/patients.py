"""Bootstrap rows over patients: their records' cases, resampled by patient together with all other rows'."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eden_bench import registry
from eden_bench.case_statistics import Statistic, counted_of, statistic_of
from eden_bench.contracts import ScoreDefinition
from eden_bench.errors import EdenError
from eden_bench.records import Record
from eden_bench.report.cases.reader import CaseReader, CellCases
from eden_bench.report.cases.resampling import RESAMPLES, Scored, interval, over_pretrainings, resampled
from eden_bench.report.cases.wanted import columns_of
from eden_bench.report.tables import PatientInterval, Row

MOST_DRAWN_CASES = {"probe": 400_000_000}
"""Cases drawn in all resamples of a row, where its score is no mean, by kind of task: more take minutes, and have no
interval."""
MOST_ELSEWHERE = 30_000_000
"""The same of other tasks, where nothing is claimed by the interval: seconds."""
_TOLERANCE = 1e-6


class Unusable(EdenError):
    """A row has no patient interval; the message gives the reason."""


class Member(NamedTuple):
    """One record of a row."""

    record: Record
    pretraining: int
    """Number of the pretraining that it is of, from 0."""


@dataclass(frozen=True)
class Drawn:
    """A score, and its value in every bootstrap resample of the patients."""

    value: float
    draws: np.ndarray
    """(R,)."""
    patients: np.ndarray
    """(P,) names."""
    unit: str = "patients"
    """"cases" where the records name no patients."""


class Sources(NamedTuple):
    """Cases of a row's score, and those of the controls that have a column of their own."""

    members: Sequence[Member]
    own: Sequence[Scored]
    controls: Mapping[str, Sequence[Scored]]
    unit: str


def sources_of(row: Row, score: ScoreDefinition, kind: str, resamples: int, cases: CaseReader) -> Sources | str:
    """Read what is resampled of a row; return the reason where it cannot be.

    Args:
        row: of a table.
        score: of the table.
        kind: of its task.
        resamples: how many there will be.
        cases: reads them.
    """
    try:
        return _sources(row, score, resamples, MOST_DRAWN_CASES.get(kind, MOST_ELSEWHERE), cases)
    except EdenError as error:
        return str(error)
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:  # of a statistic, on cases it cannot use
        return f"its cases give no {score.name} ({type(error).__name__}: {error})"


def draw_rows(
    rows: Sequence[Row], found: Mapping[str, Sources | str], resamples: int = RESAMPLES
) -> tuple[dict[str, dict[str, Drawn]], dict[str, str]]:
    """Bootstrap a table's rows; rows with the same patients use the same resamples.

    Args:
        rows: of one table.
        found: label to what is resampled, or to why nothing is.
        resamples: how many.

    Returns:
        Label to what was drawn: under "" the row's own score, under a control's name what that scores on the same
        cases. Label to the reason, for rows without.
    """
    sources = {label: each for label, each in found.items() if isinstance(each, Sources)}
    lacking = {label: each for label, each in found.items() if isinstance(each, str)}
    by_label = {row.label: row for row in rows}
    drawn: dict[str, dict[str, Drawn]] = {}
    for group in _of_equal_patients(sources):
        drawn |= _drawn_together({label: by_label[label] for label in group}, sources, resamples)
    return drawn, lacking


def intervals(rows: Sequence[Row], drawn: Mapping[str, Mapping[str, Drawn]], lacking: Mapping[str, str]) -> Intervals:
    """Return each row's bootstrap interval over patients, by its label; without ends, the reason."""
    return {row.label: _interval(drawn.get(row.label, {}).get(""), lacking.get(row.label, "")) for row in rows}


Intervals = dict[str, PatientInterval]


def members(row: Row) -> list[Member]:
    """Return the records that a row's mean is over; weights drawn from a seed are a pretraining each."""
    seeds = row.seeds if row.levels == 2 else set(row.pretrainings[0].scores)
    found = [
        Member(row.cells[each.checkpoint, seed], number)
        for number, each in enumerate(row.pretrainings)
        for seed in sorted(seeds)
    ]
    return [Member(each.record, number) for number, each in enumerate(found)] if row.drawn else found


def _interval(drawn: Drawn | None, reason: str) -> PatientInterval:
    if drawn is None:
        return PatientInterval(None, None, 0, "patients", 0, reason)
    found = interval(drawn.draws)
    low, high = (None, None) if found is None else found
    note = "too many resamples have no score" if found is None else ""
    return PatientInterval(low, high, len(drawn.patients), drawn.unit, len(drawn.draws), note)


def _of_equal_patients(sources: Mapping[str, Sources]) -> Iterator[list[str]]:
    groups: dict[bytes, list[str]] = {}
    for label, source in sources.items():
        groups.setdefault("\n".join(source.own[0].names).encode(), []).append(label)
    yield from groups.values()


def _drawn_together(
    rows: Mapping[str, Row], sources: Mapping[str, Sources], resamples: int
) -> dict[str, dict[str, Drawn]]:
    """Bootstrap rows of the same patients in one pass over the resamples."""
    wanted = [(label, name, each) for label in rows for name, each in _named(sources[label])]
    scores = resampled([scored for _, _, several in wanted for scored in several], resamples)
    drawn: dict[str, dict[str, Drawn]] = {label: {} for label in rows}
    start = 0
    for label, name, several in wanted:
        columns = scores[:, start : start + len(several)]
        start += len(several)
        drawn[label][name] = _averaged(rows[label], sources[label], several, columns)
    return drawn


def _named(source: Sources) -> Iterator[tuple[str, Sequence[Scored]]]:
    yield "", source.own
    yield from source.controls.items()


def _averaged(row: Row, source: Sources, several: Sequence[Scored], columns: np.ndarray) -> Drawn:
    pretrainings = [each.pretraining for each in source.members]
    draws = over_pretrainings(columns, pretrainings, *map(str, row.backbone))
    values = np.array([[each.value for each in several]])
    count = max(pretrainings) + 1
    value = np.mean([values[0, np.equal(pretrainings, number)].mean() for number in range(count)])
    return Drawn(float(value), draws, several[0].names, source.unit)


def _sources(row: Row, score: ScoreDefinition, resamples: int, most: int, cases: CaseReader) -> Sources:
    """Read the cases of a row's records, at most so many where all resamples are drawn and the score is no mean.

    Raises:
        EdenError: they give no score; says why.
    """
    found = members(row)
    count = sum(each.record.facts.cases.rows for each in found)
    if score.statistic != "mean" and resamples * count > most:
        raise Unusable(f"{resamples:,} resamples of {count:,} cases are too many for a score that is no mean")
    read = [_read(each.record, score, cases) for each in found]
    own = [scored[""] for scored, _ in read]
    if any(not (each.names is own[0].names or np.array_equal(each.names, own[0].names)) for each in own):
        raise Unusable("its records are not of the same patients")
    shared = set.intersection(*(set(scored) for scored, _ in read)) - {""}
    return Sources(found, own, {name: [scored[name] for scored, _ in read] for name in sorted(shared)}, read[0][1])


def _read(record: Record, score: ScoreDefinition, cases: CaseReader) -> tuple[dict[str, Scored], str]:
    """Return the cases of a record as its score, under "", and as the controls that have a column; and the unit."""
    read, own = _own(record, score, cases)
    found = {name: _scored(read, score, column) for name in record.controls if (column := _column(name, score, read))}
    same = {name: each for name, each in found.items() if _is_near(each.value, record.controls[name])}
    return {"": own, **same}, read.unit


def _own(record: Record, score: ScoreDefinition, cases: CaseReader) -> tuple[CellCases, Scored]:
    if not score.statistic or (score.statistic != "mean" and known_statistic(record.cell.task, score) is None):
        raise Unusable(f"no function of cases that is known here gives {score.name}")
    read = cases.read(record, score)
    if score.name not in read.scored:
        own = _made(read, score, score.name)
        _refuse_others(own, record, score)
        read.scored[score.name] = own
    return read, read.scored[score.name]


def read_scored(record: Record, score: ScoreDefinition, cases: CaseReader) -> tuple[Scored, str]:
    """Read a record's cases as its score; return them and the unit, "patients" or "cases". Raises EdenError."""
    read, own = _own(record, score, cases)
    return own, read.unit


def _column(control: str, score: ScoreDefinition, read: CellCases) -> str:
    """Return the column that holds a control's cases; "" if there is none."""
    return next((name for name in columns_of(control, score) if name in read.columns), "")


def _scored(read: CellCases, score: ScoreDefinition, name: str) -> Scored:
    if name not in read.scored:
        read.scored[name] = _made(read, score, name)
    return read.scored[name]


def _made(read: CellCases, score: ScoreDefinition, name: str) -> Scored:
    if score.statistic != "mean":
        return Scored(read.patients, read.columns, name, statistic_of(score), counted_of(score), read.groups)
    if name not in read.columns or not np.issubdtype(read.columns[name].dtype, np.number):
        raise Unusable(f"its cases have no numbers in a column {name!r}")
    return Scored(read.patients, {name: read.columns[name]}, name, groups=read.groups)


def _refuse_others(own: Scored, record: Record, score: ScoreDefinition) -> None:
    if len(own.names) < 2:
        raise Unusable(f"resampling needs at least 2 patients, not {len(own.names)}")
    if not _is_near(own.whole, record.value):
        raise Unusable(f"its cases give {own.whole:.6g}, its record says {score.name} {record.value:.6g}")


def _is_near(value: float, told: float) -> bool:
    return abs(value - told) <= _TOLERANCE * max(1.0, abs(told))


def known_statistic(task: str, score: ScoreDefinition) -> Statistic | None:
    """Return the statistic of a score; the modules that its task names are imported where nothing has yet."""
    if statistic_of(score) is None:
        try:
            for module in registry.tasks.get(task).statistics:
                importlib.import_module(module)
        except (EdenError, ImportError):
            return None
    return statistic_of(score)
