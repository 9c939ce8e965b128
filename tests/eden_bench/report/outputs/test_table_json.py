"""JSON: every number has a formula that is explained, and cells that exist; nothing is rounded."""

import json

from eden_bench.report.formulas import FORMULAS
from eden_bench.report.outputs import table_json
from eden_bench.report.tables import Report
from tests.eden_bench.report.made import full, tables_of
from tests.eden_bench.report.test_claims import five

_NO_RESULTS = {"confidence", "level", "thresholds", "target"}


def numbers(content, formula=None, cells=None, path=()):
    """Yield each floating number's path, with the formula and the cells that hold for it."""
    if isinstance(content, dict):
        formula, cells = content.get("formula", formula), content.get("cells", cells)
        for name, value in content.items():
            if name not in _NO_RESULTS:
                own = formula.get(name, formula) if isinstance(formula, dict) else formula
                yield from numbers(value, own, cells, (*path, name))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from numbers(value, formula, cells, (*path, place))
    elif isinstance(content, float):
        yield path, formula, cells


def parsed(report):
    return json.loads(table_json.render(report))


def traced(report):
    """Return a report's JSON with the ids of cells wherever it names the rows or tables that they are of."""
    content = parsed(report)
    for table in content["tables"]:
        rows = {row["label"]: row for row in table["rows"]}
        blocks = (*table["pairs"], *table["tests"], *(row["best"] for row in table["rows"] if "best" in row))
        for block in blocks:
            block["cells"] = [name for label in block["cells_of"] for name in rows[label]["cells"]]
            assert set(block["cells"]) == table_json.cells_behind(table, block)
    for found in content["across"]:
        found["cells"] = [
            name
            for table in content["tables"]
            if table["heading"] in found["tables"]
            for row in table["rows"]
            for name in row["cells"]
        ]
    return content


def test_every_number_has_a_formula_that_is_explained_and_cells_of_the_report():
    report = full()
    known = {record.id for table in report.tables for row in table.rows for record in row.cells.values()}
    found = list(numbers(traced(report)))
    assert len(found) > 200
    wrong = [path for path, formula, cells in found if formula not in FORMULAS or not cells or not set(cells) <= known]
    assert wrong == []


def test_claims_of_probes_have_formulas_too():
    found = list(numbers(traced(Report(tables=tables_of(stored=five())))))
    assert {formula for path, formula, _ in found if "claim" in path} >= {"skill", "holm", "paired-patient-bootstrap"}
    assert [path for path, formula, cells in found if formula not in FORMULAS or not cells] == []


def test_the_walk_finds_a_number_without_formula():
    assert list(numbers({"a": [{"b": 0.5}]})) == [(("a", 0, "b"), None, None)]


def test_a_rows_cells_are_its_records_and_a_pairs_those_of_both_rows():
    table = parsed(full())["tables"][0]
    rows = {row["label"]: set(row["cells"]) for row in table["rows"]}
    assert {len(cells) for cells in rows.values()} == {3}
    for pair in table["pairs"]:
        assert table_json.cells_behind(table, pair) == rows[pair["row"]] | rows[pair["other"]]


def test_findings_are_told_as_they_are():
    report = full()
    (pair, *_) = parsed(report)["tables"][0]["pairs"]
    found = report.tables[0].pairs[0].checkpoints
    assert {name: pair["checkpoints"][name] for name in ("low", "high", "verdict", "covers", "margin")} == {
        name: getattr(found, name) for name in ("low", "high", "verdict", "covers", "margin")
    }
    (across,) = parsed(report)["across"]
    assert across["mean_ranks"]["values"] == report.across[0].mean_ranks
    assert across["profiles"]["of"]["adam"]["high"] == [1.0, 0.1]
    assert parsed(report)["family"] == report.family
