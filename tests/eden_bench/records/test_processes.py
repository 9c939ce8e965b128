"""Records read by several processes are those read by one, with columns that were parsed on the way."""

import os

import numpy as np
import pytest

from eden_bench import records
from eden_bench.records import RecordDamaged, store
from eden_bench.records.processes import each_read, each_told, read_by
from eden_bench.report.cases.wanted import wanted_ahead
from tests.eden_bench.stored import patients
from tests.eden_bench.stored import store as stored


@pytest.fixture
def folders(tmp_path):
    draw = np.random.default_rng(0)
    for seed in range(12):
        stored(tmp_path, "adam", 0.5, seed, cases=patients(draw.normal(0.5, 0.1, 5 + seed % 2)))
    return store.folders(tmp_path / "records")


def test_they_say_the_same_and_give_their_columns_bit_for_bit(folders, monkeypatch):
    monkeypatch.setattr("eden_bench.records.processes._BLOCK", 3)
    alone = list(each_read(folders, records.read))
    several = list(read_by(2, folders, records.read, wanted_ahead))
    assert several == alone
    assert len({record.shared for record in several}) == 1
    for one, other in zip(several, alone, strict=True):
        assert set(one.ahead) == {"patient", "dice"}
        for name, column in other.columns(("patient", "dice")).items():
            assert one.ahead[name].tolist() == column.tolist()
            assert one.ahead[name].dtype == column.dtype
            assert one.columns((name,))[name] is one.ahead[name]
    for one, other in zip(several, alone, strict=True):
        assert one.columns(("case",))["case"].tolist() == other.columns(("case",))["case"].tolist()


def test_equal_names_of_patients_are_held_once(folders):
    found = list(read_by(2, folders, records.read, wanted_ahead))
    assert len({id(record.ahead["patient"]) for record in found}) == 2


def test_a_damaged_one_is_told_in_its_place(folders):
    (folders[4] / "cases.csv").write_text("case,dice\n")
    found = list(read_by(2, folders, records.read, wanted_ahead))
    assert [isinstance(one, RecordDamaged) for one in found] == [place == 4 for place in range(12)]
    assert str(found[4]) == str(list(each_read(folders, records.read))[4])


def test_columns_that_cannot_be_parsed_are_left_to_whoever_asks(folders):
    def fails(record):
        raise ValueError("no")

    found = list(read_by(2, folders, records.read, fails))
    assert [record.ahead for record in found] == [{}] * 12
    assert found[0].columns(("dice",))["dice"].shape == found[0].columns()["dice"].shape


def test_a_large_folder_is_read_by_several(folders, monkeypatch):
    monkeypatch.setattr(store, "FEW", 10)
    monkeypatch.setattr(store, "processes", lambda: 2)
    out = folders[0].parents[1]
    (folders[0] / "record.json").write_text("{}")
    lines = []
    found = records.load(out, lines.append, ahead=wanted_ahead)
    assert [record.folder for record in found] == folders[1:]
    assert all(record.ahead for record in found)
    assert len(lines) == 1
    assert lines[0].endswith("it is left out")


def test_what_is_asked_of_many_is_told_in_order_by_several(folders, monkeypatch):
    (folders[4] / "record.json").write_text("{}")
    alone = [one if isinstance(one, RecordDamaged) else one.value for one in each_read(folders, records.read)]
    assert list(each_told(folders, records.read, lambda record: record.value)) == [*map(_sentence, alone)]
    monkeypatch.setattr("eden_bench.records.processes.FEW", 10)
    monkeypatch.setattr("eden_bench.records.processes._BLOCK", 3)
    monkeypatch.setattr("eden_bench.records.processes.processes", lambda **beside: 2)
    found = list(each_told(folders, records.read, lambda record: (record.value, os.getpid())))
    assert [one if isinstance(one, str) else one[0] for one in found] == [*map(_sentence, alone)]
    assert len({one[1] for one in found if not isinstance(one, str)} - {os.getpid()}) == 2


def _sentence(one):
    return str(one) if isinstance(one, RecordDamaged) else one
