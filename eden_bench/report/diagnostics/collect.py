"""Collect the diagnostics of all rows whose records hold probabilities."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from eden_bench.contracts import NETWORK_OF
from eden_bench.errors import EdenError
from eden_bench.records import Record
from eden_bench.report.cases.reader import CaseReader
from eden_bench.report.cases.wanted import labels_of
from eden_bench.report.diagnostics.calibrated import calibrated
from eden_bench.report.diagnostics.diagnostic import Diagnostic, Kind
from eden_bench.report.diagnostics.external import dropped
from eden_bench.report.diagnostics.groups import grouped, groups_of
from eden_bench.report.diagnostics.missed import missed
from eden_bench.report.diagnostics.predicted import Predicted, Unusable, read
from eden_bench.report.marks import Marks

_TITLES: Mapping[Kind, str] = {
    "calibration": "Calibration",
    "groups": "Groups",
    "missed": "Missed findings",
    "external": "External validation",
}


def diagnostics(records: Sequence[Record]) -> tuple[Diagnostic, ...]:
    """Compute the diagnostics of every row of classification, its cells averaged; a function of the records alone.

    Args:
        records: of any tasks; those whose cases hold no probabilities are passed over.

    Returns:
        One each for calibration, groups (where cases tell sex, age or view), missed findings (of tasks that fine-tune)
        and external validation; where one cannot be had, its sentence says why.
    """
    return Diagnoses(records).all()


class Diagnoses:
    """The diagnostics of records, computed while their cases are held by whoever reads them for something else."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._known = {record.id: record for record in records}
        self._rows = _rows(records)
        self._of = {record.id: number for number, row in enumerate(self._rows) for record in row}
        self._found: dict[int, list[Diagnostic]] = {}

    def add(self, records: Iterable[Record], cases: CaseReader) -> None:
        """Compute those of the rows that some records are of; once each."""
        for number in sorted({self._of[record.id] for record in records if record.id in self._of}):
            if number not in self._found:
                self._found[number] = list(_of_row(self._rows[number], self._known, cases))

    def of(self, records: Iterable[Record]) -> dict[int, list[Diagnostic]]:
        """Return those of the rows that some records are of, as another process' ``take`` has them."""
        numbers = {self._of[record.id] for record in records if record.id in self._of}
        return {number: self._found[number] for number in numbers if number in self._found}

    def take(self, found: Mapping[int, list[Diagnostic]]) -> None:
        """Add what another process has computed of the same records."""
        self._found.update(found)

    def all(self) -> tuple[Diagnostic, ...]:
        """Return all, in order of task, shots and label; those that were not added are computed now."""
        cases = CaseReader(diagnosed=True)
        for row in self._rows:
            self.add(row[:1], cases)
            cases.forget()
        return tuple(one for number in range(len(self._rows)) for one in self._found[number])


def _rows(records: Sequence[Record]) -> list[list[Record]]:
    """Group records that differ in seed and pretraining only, in order of task, shots and label."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        if labels_of(record):
            groups.setdefault(_place(record), []).append(record)
    return [sorted(groups[key], key=lambda record: record.id) for key in sorted(groups)]


def _place(record: Record) -> tuple[Any, ...]:
    cell = record.cell
    shots = (cell.shots is None, cell.shots or 0)
    who = (record.label, record.config_digest, record.pretraining.digest, cell.threads)
    return (cell.task, shots, record.protocol_digest, cell.data, cell.splits, cell.code, *who)


def _of_row(row: list[Record], known: Mapping[str, Record], cases: CaseReader) -> Iterator[Diagnostic]:
    try:
        found = read(row, cases)
    except EdenError as error:
        yield _made(row, "calibration", _nothing("calibration", error))
        return
    yield _made(row, "calibration", calibrated(found))
    if groups_of(found):
        yield _made(row, "groups", grouped(found))
    if row[0].cell.protocol.get(NETWORK_OF):
        yield _attempt(row, "external", lambda: _external(row, found, known, cases))
    else:
        yield _attempt(row, "missed", lambda: missed(found, [record.training.thresholds for record in row]))


def _external(row: list[Record], outside: Predicted, known: Mapping[str, Record], cases: CaseReader) -> dict[str, Any]:
    shared = row[0].data.shared_labels
    if not shared:
        raise Unusable("its records name no labels that both datasets share")
    ids = [str(record.cell.protocol[NETWORK_OF]) for record in row]
    if lacking := [name for name in ids if name not in known]:
        raise Unusable(f"the record {lacking[0][:12]} of its network's own test set is not here")
    own = [known[name] for name in ids]
    return dropped(read(own, cases), outside, shared, (own[0].task.dataset, row[0].task.dataset))


def _attempt(row: list[Record], kind: Kind, compute: Callable[[], dict[str, Any]]) -> Diagnostic:
    try:
        return _made(row, kind, compute())
    except EdenError as error:
        return _made(row, kind, _nothing(kind, error))


def _nothing(kind: Kind, error: EdenError) -> dict[str, Any]:
    return {"title": _TITLES[kind], "formula": "", "sentences": (f"Not computed: {error}.",)}


def _made(row: list[Record], kind: Kind, fields: Mapping[str, Any]) -> Diagnostic:
    first = row[0]
    return Diagnostic(
        kind=kind,
        task=first.cell.task,
        shots=first.cell.shots,
        protocol=first.protocol,
        label=first.label,
        cells=tuple(record.id for record in row),
        marks=Marks.of(row).words,
        **fields,
    )
