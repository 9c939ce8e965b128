"""One reading of a cell's cases serves intervals, verdicts and diagnostics, and is let go of."""

from collections import Counter

import numpy as np
import pytest

from eden_bench.contracts import ScoreDefinition
from eden_bench.records import Record
from eden_bench.report.build import build
from eden_bench.report.cases import reader
from eden_bench.report.outputs import table_json
from eden_bench.statistics.ranking import auc
from tests.eden_bench.stored import PRETRAIN, patients, store

AUC = ScoreDefinition(name="auc", text="", statistic="auc")


def films(skill, seed, count=60):
    draw = np.random.default_rng((int(10 * skill), seed))
    target = np.arange(count) % 3 == 0
    probability = (1 / (1 + np.exp(-draw.normal(0, 1, count) - skill * target))).round(2)  # with ties
    cases = patients(
        [0.0] * count, "auc", probability_mass=probability.tolist(), target_mass=target.astype(int).tolist()
    )
    return auc(probability, target), cases


@pytest.fixture(scope="module")
def stored():
    """Two tasks; the untrained network stands beside two pretraining sets, so its cells count in two tables."""
    made = []
    for method, skill in (("adam", 2.0), ("densecl", 1.5), ("random", 0.5)):
        for seed in range(3):
            value, cases = films(skill, seed)
            made.append(store(None, method, value, seed, task="films", kind="classification", score=AUC, cases=cases))
            made.append(store(None, method, 0.5 + seed / 10, seed, cases=patients([0.5 + seed / 10] * 4)))
    value, cases = films(1.0, 0)
    other = {**PRETRAIN, "digest": "e" * 64}
    made += [store(None, "byol", value, 0, task="films", kind="classification", score=AUC, cases=cases, pretrain=other)]
    return made


def test_a_cell_is_read_once_a_table(stored, monkeypatch):
    read, tables = Counter(), Counter()
    columns = Record.columns
    monkeypatch.setattr(Record, "columns", lambda self, only=(): read.update([self.id]) or columns(self, only))
    report = build(stored, diagnosed=True)
    for table in report.tables:
        tables.update(record.id for row in table.rows for record in row.cells.values())
    assert read == tables
    assert len(report.diagnostics) > 3
    assert all(table.pairs for table in report.tables)


def test_cells_that_do_not_fit_are_read_again_with_the_same_result(stored, monkeypatch):
    whole = table_json.render(build(stored, diagnosed=True))
    monkeypatch.setattr(reader, "MOST_HELD", 0)
    assert table_json.render(build(stored, diagnosed=True)) == whole


def test_what_is_held_is_bounded_and_let_go_of(stored, monkeypatch):
    records = [record for record in stored if record.cell.task == "films"]
    size = sum(values.nbytes for values in records[0].columns().values())
    monkeypatch.setattr(reader, "MOST_HELD", 3 * size)
    cases = reader.CaseReader()
    for record in records[:5]:
        cases.read(record, AUC)
        assert len(cases._held) <= 3
    assert cases.read(records[4], AUC) is cases.read(records[4], AUC)
    cases.forget()
    assert not cases._held


def test_cells_of_the_same_patients_share_their_names(stored):
    cases = reader.CaseReader()
    first, second = (cases.read(record, AUC) for record in (stored[0], stored[2]))
    assert first.groups is second.groups
    changed = store(None, "adam", 0.5, 0, cases=patients([0.5] * 3))
    assert cases.read(changed, changed.score).groups.names.tolist() == ["p000", "p001", "p002"]
