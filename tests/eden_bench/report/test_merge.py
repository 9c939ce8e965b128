"""Merging results folders: equal records are one, contradictions stop it before anything is written."""

import json

import pytest

from eden_bench import records
from eden_bench.errors import DataDamaged, UsageError
from eden_bench.records import store as record_store
from eden_bench.report.merge import merge
from tests.eden_bench.stored import store, store_three


def test_records_of_two_machines_are_one_folder(tmp_path):
    store_three(tmp_path / "a", seeds=[0, 1])
    store_three(tmp_path / "b", seeds=[1, 2])
    done = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert (done.total, done.shared) == (9, 3)
    assert list(done.copied.values()) == [6, 3]
    merged = {record.id: record for record in records.load(tmp_path / "c", warn=pytest.fail)}
    for folder in ("a", "b"):
        for record in records.load(tmp_path / folder):
            assert merged[record.id].content["scores"] == record.content["scores"]
            assert merged[record.id].cases_bytes() == record.cases_bytes()


def test_merging_again_changes_nothing(tmp_path):
    store_three(tmp_path / "a", seeds=[0])
    merge([tmp_path / "a"], tmp_path / "c")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*") if path.is_file()}
    done = merge([tmp_path / "a"], tmp_path / "c")
    assert (done.total, done.shared, list(done.copied.values())) == (3, 3, [0])
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "c").rglob("*") if path.is_file()}


def test_one_cell_with_two_scores_is_an_error_that_names_both_and_nothing_is_written(tmp_path):
    first = store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "a", "densecl", 0.7, 0)
    second = store(tmp_path / "b", "adam", 0.81, 0)
    assert first.id == second.id
    with pytest.raises(DataDamaged) as error:
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert str(first.folder) in str(error.value)
    assert str(second.folder) in str(error.value)
    assert "other scores, cases" in str(error.value)
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize("section", ["scores", "cases", "data", "marks", "checkpoint", "training"])
def test_a_contradiction_in_any_section_that_numbers_rest_on_is_found(tmp_path, section):
    record = store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "adam", 0.8, 0)
    edit = {
        "scores": {"dice": 0.8, "iou": 0.5},
        "cases": {**record.content["cases"], "columns": ["case", "patient", "iou"]},
        "data": {**record.content["data"], "test": 122},
        "marks": {**record.content["marks"], "phantom": False},
        "checkpoint": {**record.content["checkpoint"], "card": {"seed": 1}},
        "training": {"steps_planned": 81},
    }[section]
    rewritten(tmp_path / "b", record.id, **{section: edit})
    with pytest.raises(DataDamaged, match=f"with other {section}"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")


def test_machine_time_command_and_path_of_a_file_may_differ(tmp_path):
    record = store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "adam", 0.8, 0)
    told = {**record.content["checkpoint"], "file": "/elsewhere/mine.pth"}
    rewritten(
        tmp_path / "b", record.id, provenance={"seconds": 99.0}, command="eden-bench run --out b", checkpoint=told
    )
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c").total == 1


def rewritten(out, cell_id, **sections):
    """Replace sections of a stored record and seal it again, as another version would have written it."""
    path = out / "records" / cell_id / "record.json"
    content = json.loads(path.read_text()) | sections
    path.write_text(record_store.to_json(record_store.seal(content)))


def test_a_damaged_record_is_left_out_and_named_and_a_whole_one_takes_its_place(tmp_path):
    record = store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "adam", 0.8, 0)
    (record.folder / "cases.csv").write_text("case\n")
    said = []
    assert merge([tmp_path / "b"], tmp_path / "a", said.append).total == 1
    assert len(said) == 1
    assert str(record.folder) in said[0]
    assert records.read(record.folder).value == 0.8


def test_phantom_and_real_stay_two_cells(tmp_path):
    store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "adam", 0.9, 0, phantom=False, data="c" * 64)
    assert merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c").total == 2


def test_a_folder_without_records_is_refused(tmp_path):
    store(tmp_path / "a", "adam", 0.8, 0)
    with pytest.raises(UsageError, match="nothing holds no records"):
        merge([tmp_path / "a", tmp_path / "nothing"], tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_failures_come_along_unless_another_folder_has_the_record(tmp_path):
    done = store(tmp_path / "a", "adam", 0.8, 0)
    store(tmp_path / "b", "densecl", 0.8, 0)
    records.write_failure(tmp_path / "b", done.id, {"what": "adam"})
    records.write_failure(tmp_path / "b", "f" * 64, {"what": "dira"})
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c")
    assert list(records.failures(tmp_path / "c")) == ["f" * 64]


def test_audits_come_along_and_a_second_one_of_a_dataset_is_named(tmp_path):
    for name, image in (("a", 1), ("b", 2)):
        store(tmp_path / name, "adam", 0.8, 0)
        (tmp_path / name / "audit").mkdir()
        audit = {"format": 2, "dataset": "scr", "images": image, "together_with": {}, "findings": []}
        (tmp_path / name / "audit" / "scr.json").write_text(json.dumps(audit))
    said = []
    merge([tmp_path / "a", tmp_path / "b"], tmp_path / "c", said.append)
    assert json.loads((tmp_path / "c/audit/scr.json").read_text())["images"] == 1
    assert said == [f"the audit of scr in {tmp_path / 'b'} differs from {tmp_path / 'c/audit/scr.json'}, which is kept"]
