"""Cells without a score: their method keeps its row in the tables."""

import json

from eden_bench import api, records
from eden_bench.report.build import build
from eden_bench.report.missing import excused, failure_notes, with_absent
from eden_bench.report.outputs import grid, markdown, table_json
from tests.eden_bench.report.made import as_report


def test_a_method_without_weights_keeps_its_row(here):
    done = api.run("fake-random,fake-absent", "fake-heart", n_seeds=2, **here)
    assert done.exit_code == 0
    stored = records.failures(here["out"])
    assert excused(stored) == [("fake-absent", "fake-heart")]
    assert failure_notes(stored) == ["weights missing: fake-absent: get the weights from nowhere"]
    (table,) = with_absent(build(records.load(here["out"])).tables, excused(stored))
    assert table.absent == ("fake-absent",)
    assert grid.cells(table)[-1][:2] == ["fake-absent", "weights missing"]
    assert "| fake-absent | weights missing |" in markdown.render(as_report(table))
    assert json.loads(table_json.render(as_report(table)))["tables"][0]["weights_missing"] == ["fake-absent"]


def test_its_row_is_in_no_table_that_it_was_not_asked_for(here):
    api.run("fake-random", "fake-lung", n_seeds=1, **here)
    api.run("fake-random,fake-absent", "fake-heart", n_seeds=1, **here)
    stored = records.failures(here["out"])
    tables = with_absent(build(records.load(here["out"])).tables, excused(stored))
    assert {table.task: table.absent for table in tables} == {"fake-heart": ("fake-absent",), "fake-lung": ()}


def test_weights_that_have_come_are_missed_no_more(here, fakes, monkeypatch):
    api.run("fake-random,fake-absent", "fake-heart", n_seeds=1, **here)
    monkeypatch.setattr(fakes.FakeAbsent, "weights_digest", lambda self: "a" * 64)
    done = api.run("fake-random,fake-absent", "fake-heart", n_seeds=1, only_failed=True, **here)
    assert [slot.state for slot in done.slots if slot.backbone.method == "fake-absent"] == ["ran"]
    assert records.failures(here["out"]) == {}
