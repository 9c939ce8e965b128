"""Analyse a report's tables: intervals over patients, claims of probes, and verdicts on pairs, one table at a time.

Each cell's cases are read once, for all of these and for the diagnostics, and let go of after its row; what is left of
them is a number a patient until its table is done. p-values are corrected over all tables at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from eden_bench.forking import each_of
from eden_bench.report import claims
from eden_bench.report.cases.patient_scores import PatientScores, patient_scores
from eden_bench.report.cases.patients import Sources, sources_of
from eden_bench.report.cases.reader import CaseReader
from eden_bench.report.diagnostics.collect import Diagnoses
from eden_bench.report.diagnostics.diagnostic import Diagnostic
from eden_bench.report.pairs import paired
from eden_bench.report.pairs.paired import Family
from eden_bench.report.tables import Table
from eden_bench.report.workers import workers

_ADDED = ("patients", "claims", "pairs", "best")
"""What is added to a table."""
_Said = tuple[dict[str, Any], Mapping[int, list[Diagnostic]]]


def analysed(tables: Sequence[Table], family: Family, diagnoses: Diagnoses | None = None) -> list[Table]:
    """Add to tables what their cells' cases say.

    Args:
        tables: all of a report, since p-values are corrected over all of them.
        family: of its tests.
        diagnoses: computed on the way, for whoever wants them.
    """
    resamples = claims.resamples_of(tables)

    def analyse(table: Table) -> _Said:
        cases = CaseReader(diagnosed=diagnoses is not None)
        sources, scores = _read(table, resamples[table.kind == "probe"], family, cases, diagnoses)
        claimed = claims.resampled(table, sources, resamples[table.kind == "probe"])
        found = paired.paired(claimed, scores, family)
        told = diagnoses.of(record for row in table.rows for record in row.cells.values()) if diagnoses else {}
        return {name: getattr(found, name) for name in _ADDED}, told

    made = []
    for table, (added, told) in zip(tables, each_of(tables, analyse, workers(tables)), strict=True):
        made.append(replace(table, **added))
        if diagnoses is not None:
            diagnoses.take(told)
    return paired.decided_tables(claims.decided_tables(made))


def _read(
    table: Table, resamples: int, family: Family, cases: CaseReader, diagnoses: Diagnoses | None
) -> tuple[Mapping[str, Sources | str], Mapping[str, PatientScores]]:
    """Read a table's cells row by row: what is resampled of each row, and its scores by patient if it is compared."""
    sources: dict[str, Sources | str] = {}
    scores: dict[str, PatientScores] = {}
    for row in table.rows:
        sources[row.label] = sources_of(row, table.score, table.kind, resamples, cases)
        if family.compares(table):
            scores[row.label] = patient_scores(row, table.score, cases)
        if diagnoses is not None:
            diagnoses.add(row.cells.values(), cases)
        cases.forget()
    return sources, scores
