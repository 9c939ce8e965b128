"""A report as CSV: one line a row of every table, scores as stored (% as a share), unrounded."""

from __future__ import annotations

import csv
import io
from typing import Any

from eden_bench.printable import csv_cell
from eden_bench.report import claim_text
from eden_bench.report.outputs.table_json import identity, identity_of, test_json
from eden_bench.report.tables import Report, Row, Table, ranges

_BEST = ("low", "high", "verdict", "note")


def render(report: Report) -> str:
    """Render a report; a test stands in the tested method's line, and no cell is a formula to a spreadsheet."""
    lines = [_line(table, row) for table in report.tables for row in table.rows]
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    return text.getvalue()


def _line(table: Table, row: Row) -> dict[str, Any]:
    comparison = next((each for each in table.comparisons if each.row is row), None)
    test = {f"test_{name}": value for name, value in test_json(comparison).items() if name not in ("test", "method")}
    patients = {f"patients_{name}": value for name, value in claim_text.patients_json(table, row).items()}
    claim = {f"claim_{name}": value for name, value in claim_text.claim_json(table, row).items()}
    found = table.best.get(row.label)
    best = {f"best_{name}": getattr(found, name, None) for name in _BEST}
    named = {**identity(table), "shots": "full" if table.shots is None else table.shots}
    line = {**named, **identity_of(row), "seeds": ranges(row.seeds), **test, **patients, **claim, **best}
    return {name: csv_cell(value) for name, value in line.items()}
