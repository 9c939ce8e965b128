"""Looking over a folder: nothing is read twice, and nothing that changed is believed."""

import json
import os
import signal
import time
from unittest import mock

import pytest

from eden_bench import preemption, records
from eden_bench.contracts import Cell
from eden_bench.errors import Preempted
from eden_bench.records import RecordDamaged, glance, overview
from eden_bench.records.overview import INDEX, Glanced
from tests.eden_bench.stored import store, store_three


@pytest.fixture
def settled(tmp_path, monkeypatch):
    """A folder whose records have been looked at, and are old enough to be noted."""
    monkeypatch.setattr("eden_bench.records.overview._SETTLED_NS", 0)
    store_three(tmp_path)
    store(tmp_path, "random", 0.4, 0, task="scr-lung", shots=3)
    time.sleep(0.02)
    glance(tmp_path, pytest.fail)
    return tmp_path


def reads(out):
    """How many records a look reads."""
    with mock.patch("eden_bench.records.overview.read", wraps=overview.read) as read:
        glance(out, pytest.fail)
    return read.call_count


def test_what_a_plan_asks_is_what_the_records_say(settled):
    read, found = records.load(settled, pytest.fail), glance(settled, pytest.fail)
    assert len(found) == len(read) == 10
    assert {type(record) for record in found} == {Glanced}
    for mine, theirs in zip(found, read, strict=True):
        assert (mine.id, mine.cell, mine.protocol, mine.seconds) == (
            theirs.id, theirs.cell, theirs.protocol, theirs.seconds,
        )  # fmt: skip
        assert mine.cell.id == mine.id == mine.folder.name
        assert (mine.content, mine.scores, mine.value) == (theirs.content, theirs.scores, theirs.value)


def test_a_second_look_opens_no_record(settled, monkeypatch):
    monkeypatch.setattr("eden_bench.records.overview.read", lambda folder: pytest.fail(f"{folder} was read"))
    assert len(glance(settled, pytest.fail)) == 10


@pytest.mark.parametrize("name", ["record.json", "cases.csv"])
@pytest.mark.trap(
    "crashes", "a record edited without its size or time changing", "read again: the time of its status tells"
)
def test_an_edit_of_the_same_size_and_time_is_seen(settled, name):
    folder = next((settled / "records").iterdir())
    before = (folder / name).stat()
    (folder / name).write_bytes((folder / name).read_bytes().replace(b"0", b"1", 1))
    os.utime(folder / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    lines = []
    assert folder.name not in {record.id for record in glance(settled, lines.append)}
    assert len(lines) == 1
    assert folder.name in lines[0]


def test_a_record_that_came_or_went_is_seen(settled):
    new = store(settled, "adam", 0.9, 7)
    gone = next(folder for folder in (settled / "records").iterdir() if folder.name != new.id)
    gone.rename(settled / "elsewhere")
    assert {record.id for record in glance(settled, pytest.fail)} == {f.name for f in (settled / "records").iterdir()}


def test_young_records_are_read_again_for_an_edit_could_leave_the_same_stamps(tmp_path):
    store_three(tmp_path)
    glance(tmp_path, pytest.fail)
    assert reads(tmp_path) == 9
    assert json.loads((tmp_path / INDEX).read_text())["cells"] == {}


def test_a_dry_run_writes_nothing(tmp_path):
    store_three(tmp_path)
    assert len(glance(tmp_path, pytest.fail, keep=False)) == 9
    assert not (tmp_path / INDEX).exists()


def test_a_copied_folder_is_read_anew(settled, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    os.system(f"cp -r {settled}/records {settled}/{INDEX} {copy}")
    assert reads(copy) == 10


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "null", '{"format": "0"}', '{"format": "1, schema 3", "kinds": [[{}, 1]], "cells": {}}']
)
def test_a_damaged_file_is_passed_over(settled, content):
    (settled / INDEX).write_text(content)
    assert reads(settled) == 10
    assert reads(settled) == 0


def test_cells_whose_ids_another_version_makes_otherwise_are_read(settled, monkeypatch):
    assert reads(settled) == 0
    monkeypatch.setattr(Cell, "id_by", lambda self, serialise: "f" * 64)
    lines = []
    assert glance(settled, lines.append) == []
    assert len(lines) == 10


def test_what_rotted_on_the_disk_is_named_when_it_is_asked_for(settled, monkeypatch):
    (record,) = (each for each in glance(settled, pytest.fail) if each.cell.task == "scr-lung")
    (record.folder / "record.json").write_text((record.folder / "record.json").read_text().replace("0.4", "0.5"))
    with pytest.raises(RecordDamaged, match="was edited after it was written"):
        _ = record.value


def test_a_look_by_several_processes_finds_what_one_finds_and_notes_it(settled, monkeypatch):
    alone = [(record.folder, record.cell, record.protocol, record.seconds) for record in glance(settled, pytest.fail)]
    (settled / INDEX).unlink()
    (alone[3][0] / "record.json").write_text("{}")
    monkeypatch.setattr("eden_bench.records.processes.FEW", 2)
    monkeypatch.setattr("eden_bench.records.processes._BLOCK", 3)
    monkeypatch.setattr("eden_bench.records.processes.processes", lambda **beside: 2)
    lines = []
    found = glance(settled, lines.append)
    assert [(record.folder, record.cell, record.protocol, record.seconds) for record in found] == alone[:3] + alone[4:]
    assert len(lines) == 1
    assert alone[3][0].name in lines[0]
    monkeypatch.undo()
    with mock.patch("eden_bench.records.overview.read", wraps=overview.read) as read:
        assert len(glance(settled, lines.append)) == 9
    assert [call.args[0] for call in read.call_args_list] == [alone[3][0]]


def test_a_look_over_many_ends_when_the_system_asks(tmp_path):
    store_three(tmp_path)
    with preemption.heeded():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Preempted):
            glance(tmp_path, pytest.fail)
    assert len(glance(tmp_path, pytest.fail)) == 9
