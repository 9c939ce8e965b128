"""Records: whole or not there, exact to the last bit, and quick to read."""

import errno
import json
import math
import shutil
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eden_bench import records
from eden_bench.contracts import Outcome, ScoreDefinition
from eden_bench.digests import digest
from eden_bench.errors import EdenError, StoreFailed, UsageError
from eden_bench.files import atomic
from tests.eden_bench.stored import DICE, store


def outcome(dice=0.5, **columns):
    return Outcome({"dice": dice}, columns or {"case": ["a"], "dice": [dice]})


def rewrite(folder, content):
    """Put other content in a record's place."""
    (folder / "record.json").write_text(json.dumps(content))


def test_a_record_reads_back_as_it_was_written(tmp_path):
    record = store(tmp_path, "random", 0.1 + 0.2, 3)
    again = records.read(record.folder)
    assert again.content == record.content
    assert again.value == 0.1 + 0.2
    assert again.cell.id == record.id == record.folder.name
    assert again.score == DICE


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_case_scores_keep_every_bit(values):
    text = records.cases_csv({"case": range(len(values)), "x": np.array(values)}).decode()
    read = [float(line.split(",")[1]) for line in text.splitlines()[1:]]
    assert [math.copysign(1, x) for x in read] == [math.copysign(1, x) for x in values]
    assert read == values


def test_cases_are_read_with_text_ids_and_exact_numbers(tmp_path):
    record = store(tmp_path, "random", 1 / 3, 0)
    cases = record.cases()
    assert cases["patient"].tolist() == ["1"]
    assert cases["dice"].tolist() == [1 / 3]


def test_an_altered_case_file_is_refused(tmp_path):
    record = store(tmp_path, "random", 0.5, 0)
    (record.folder / "cases.csv").write_text("case,patient,dice\n1,1,0.9\n")
    with pytest.raises(records.RecordDamaged, match="not the file that was written"):
        record.cases()
    with pytest.raises(records.RecordDamaged, match="not the file that was written"):
        records.read(record.folder)


def test_what_is_stored_is_never_changed(tmp_path):
    first = store(tmp_path, "random", 0.5, 0)
    before = (first.folder / "record.json").read_bytes()
    store(tmp_path, "random", 0.9, 0)
    assert (first.folder / "record.json").read_bytes() == before


def test_a_damaged_record_is_left_out_and_named(tmp_path):
    good, bad = store(tmp_path, "random", 0.5, 0), store(tmp_path, "random", 0.5, 1)
    path = bad.folder / "record.json"
    path.write_text(path.read_text()[:100])
    lines = []
    assert [record.id for record in records.load(tmp_path, lines.append)] == [good.id]
    assert len(lines) == 1
    assert bad.id in lines[0]


@pytest.mark.parametrize("change", ["seed", "score_version"])
def test_a_record_whose_cell_was_altered_is_damaged(tmp_path, change):
    record = store(tmp_path, "random", 0.5, 0)
    content = json.loads((record.folder / "record.json").read_text())
    content["cell"][change] += 1
    rewrite(record.folder, records.seal(content))
    with pytest.raises(records.RecordDamaged, match="not the one it is named after"):
        records.read(record.folder)


def test_a_record_from_before_the_version_of_the_code_is_left_out_with_a_warning(tmp_path):
    record = store(tmp_path, "random", 0.5, 0)
    content = json.loads((record.folder / "record.json").read_text())
    del content["cell"]["code"]
    content["id"] = digest(content["cell"])
    rewrite(record.folder, records.seal(content))
    record.folder.rename(record.folder.with_name(content["id"]))
    lines = []
    assert records.load(tmp_path, lines.append) == []
    assert [content["id"] in line for line in lines] == [True]


def test_a_record_of_another_schema_says_so(tmp_path):
    record = store(tmp_path, "random", 0.5, 0)
    content = {**record.content, "schema": 99}
    (record.folder / "record.json").write_text(json.dumps(content))
    with pytest.raises(records.RecordDamaged, match="schema 99"):
        records.read(record.folder)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (outcome(math.nan), "score 'dice' is nan"),
        (outcome(1.5), r"score 'dice' is 1.5, expected a number in \[0, 1\]"),
        (Outcome({"iou": 0.5}, {"case": ["a"]}), "expected its primary 'dice'"),
        (outcome(case=["a", "b"], iou=[0.5]), "columns of lengths"),
        (outcome(dice_of_case=[0.5]), "a column 'case'"),
    ],
)
def test_an_outcome_that_no_report_could_use_is_refused(made, message):
    with pytest.raises(EdenError, match=message):
        records.check_outcome(made, ScoreDefinition(name="dice", text=""))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "_flush", full)
    with pytest.raises(StoreFailed, match="No space left on device"):
        store(tmp_path, "random", 0.5, 0)
    assert list((tmp_path / "records").iterdir()) == []


def test_a_prefix_finds_one_record(tmp_path):
    first = store(tmp_path, "random", 0.5, 0)
    assert records.find(tmp_path, first.id[:8]).id == first.id
    with pytest.raises(UsageError, match="no such record"):
        records.find(tmp_path, "0" * 20)
    with pytest.raises(UsageError, match="4 to 64 hex digits"):
        records.find(tmp_path, "../x")


def test_a_superseded_record_is_kept_aside(tmp_path):
    for value in (0.1, 0.2, 0.3):
        records.supersede(tmp_path, store(tmp_path, "random", value, 0).id)
    kept = sorted((tmp_path / "superseded").iterdir())
    assert [json.loads((folder / "record.json").read_text())["scores"]["dice"] for folder in kept] == [0.1, 0.2, 0.3]


def test_two_runs_merge_by_copying(tmp_path):
    store(tmp_path / "a", "random", 0.5, 0)
    store(tmp_path / "b", "random", 0.5, 1)
    shutil.copytree(tmp_path / "b", tmp_path / "a", dirs_exist_ok=True)
    assert sorted(record.cell.seed for record in records.load(tmp_path / "a")) == [0, 1]


def test_thousands_of_records_load_in_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_flush", lambda path: None)
    for seed in range(1000):
        store(tmp_path, "random", 0.5, seed)
    started = time.process_time()
    assert len(records.load(tmp_path)) == 1000
    assert time.process_time() - started < 1.5


def test_an_unreadable_failure_is_passed_over(tmp_path):
    records.write_failure(tmp_path, "a" * 64, {"error": "x"})
    (tmp_path / "failures" / "b.json").write_text("{")
    assert list(records.failures(tmp_path)) == ["a" * 64]
    records.clear_failure(tmp_path, "a" * 64)
    assert records.failures(tmp_path) == {}


@pytest.mark.parametrize(
    ("section", "content"),
    [
        ("cell", []),
        ("score", {"name": "other"}),
        ("score", 3),
        ("scores", {}),
        ("scores", {"dice": "high"}),
        ("provenance", {}),
        ("marks", {"phantom": True}),
        ("marks", None),
        ("task", {}),
        ("cases", {}),
        ("checkpoint", "none"),
    ],
)
def test_a_record_that_lacks_what_is_used_later_is_left_out_and_named(tmp_path, section, content):
    path = store(tmp_path, "random", 0.5, 0).folder / "record.json"
    rewrite(path.parent, records.seal({**json.loads(path.read_text()), section: content}))
    lines = []
    assert records.load(tmp_path, lines.append) == []
    assert path.parent.name in lines[0]


@pytest.mark.parametrize("text", ["3", "[]", "[" * 100_000])
def test_a_record_of_another_shape_is_left_out(tmp_path, text):
    path = store(tmp_path, "random", 0.5, 0).folder / "record.json"
    path.write_text(text)
    lines = []
    assert records.load(tmp_path, lines.append) == []
    assert len(lines) == 1


def test_a_record_without_its_cases_is_left_out(tmp_path):
    folder = store(tmp_path, "random", 0.5, 0).folder
    (folder / "cases.csv").unlink()
    with pytest.raises(records.RecordDamaged, match=r"cases.csv is not the file that was written \(No such file"):
        records.read(folder)
