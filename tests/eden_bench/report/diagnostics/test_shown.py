"""What stored probabilities say stands in every form of a report, with its marks, and as a figure."""

import json

from eden_bench.figures import for_report
from eden_bench.report.build import build
from eden_bench.report.diagnostics.collect import diagnostics
from eden_bench.report.html import page
from eden_bench.report.outputs import markdown, table_json
from eden_bench.report.tables import Report
from tests.eden_bench.report.diagnostics.test_diagnostics import predicted, record


def test_it_stands_in_markdown_json_page_and_figures():
    records = [record(predicted(), cell) for cell in (0, 1)]
    built = build(records)
    assert built.diagnostics == ()
    said = diagnostics(records)
    whole = Report(tables=built.tables, diagnostics=said)
    heading = f"Calibration: {records[0].label} on {records[0].cell.task}"
    assert heading in markdown.render(whole)
    assert heading in page.render(whole)
    (first, *_) = json.loads(table_json.render(whole))["diagnostics"]
    assert first["cells"] == list(said[0].cells)
    assert first["rows"] == [list(row) for row in said[0].rows]
    names = [figure.name for figure in for_report(whole)]
    assert any(name.startswith("reliability") for name in names)


def test_its_marks_are_those_of_the_table():
    records = [record(predicted(), cell) for cell in (0, 1)]
    (table,) = build(records).tables
    assert {each.marks for each in diagnostics(records)} == {table.marks.words}
    assert table.marks.words == ("PHANTOM", "QUICK")
