"""Reference results stand beside a user's where everything but the method is alike; elsewhere the reason is said."""

import pytest

from benchmarks.reference import MOST_BYTES, pack, smallest, thinned
from eden_bench import records
from eden_bench.errors import UsageError
from eden_bench.report.build import build
from eden_bench.report.reference import ARCHIVE, beside, load
from tests.eden_bench.stored import patients, store, store_three


@pytest.fixture
def archive(tmp_path):
    """Return an archive of adam, densecl and random on three seeds."""
    path = tmp_path / "quick.tar.xz"
    path.write_bytes(pack(store_three(tmp_path / "shipped", cases=None)))
    return path


def reference(own, archive, tmp_path):
    return beside(own, tmp_path / "cache", archive)


def test_a_users_method_stands_beside_the_others(archive, tmp_path):
    own = [store(tmp_path / "mine", "mine", 0.9, seed) for seed in range(3)]
    found = reference(own, archive, tmp_path)
    assert sorted({record.label for record in found.records}) == ["adam", "densecl", "random"]
    (table,) = found.noted(build([*own, *found.records])).tables
    assert [row.label for row in table.rows] == ["mine", "adam", "densecl", "random"]
    (said,) = (note for note in table.notes if "reference results" in note)
    assert said.startswith("adam, densecl, random: reference results that travel with eden-bench, phantom at quick")


def test_a_method_that_the_user_ran_is_the_users_own(archive, tmp_path):
    own = [store(tmp_path / "mine", "adam", 0.9, seed, checkpoint="9" * 64) for seed in range(3)]
    found = reference(own, archive, tmp_path)
    assert sorted({record.label for record in found.records}) == ["densecl", "random"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "c" * 64}, "they are of other data cccccccccccc against aaaaaaaaaaaa"),
        ({"code": 3}, "they are of other numbers version 3 against"),
        ({"budget": "epochs"}, "they are of other protocol"),
        ({"shots": 6}, "there are none of this task and number of shots"),
        ({"task": "my-task"}, "there are none of this task and number of shots"),
    ],
)
def test_what_does_not_match_is_left_out_and_the_reason_said(archive, tmp_path, change, words):
    own = [store(tmp_path / "mine", "mine", 0.9, 0, **change)]
    found = reference(own, archive, tmp_path)
    assert found.records == []
    (table,) = found.noted(build(own)).tables
    (said,) = (note for note in table.notes if "no reference results beside these rows" in note)
    assert words in said


def test_rows_of_the_same_methods_have_no_reference(archive, tmp_path):
    own = store_three(tmp_path / "mine")
    found = reference(own, archive, tmp_path)
    assert found.left_out == {"scr-heart": "these rows are of the same methods"}


def test_the_archive_is_unpacked_once_and_records_are_whole(archive, tmp_path):
    first = load(tmp_path / "cache", archive)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert [record.id for record in load(tmp_path / "cache", archive)] == [record.id for record in first]
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    assert {record.value for record in first} == {record.value for record in records.load(tmp_path / "shipped")}


def test_an_archive_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UsageError, match=r"none.tar.xz is not there: install eden-bench again"):
        load(tmp_path, tmp_path / "none.tar.xz")


# ── making the archive ───────────────────────────────────────────────────────────────────────────


def test_only_the_columns_that_the_score_needs_are_kept_as_they_are(tmp_path):
    columns = patients([0.1, 0.30000000000000004], pixels=[5, 6], iou=[0.5, 0.25])
    record = store(tmp_path, "adam", 0.2, 0, cases=columns)
    thin = thinned(record)
    assert thin["cases.csv"] == b"case,patient,dice\np000,p000,0.1\np001,p001,0.30000000000000004\n"
    records.put(tmp_path / "thin", record.id, thin)
    (read,) = records.load(tmp_path / "thin", warn=pytest.fail)
    assert (read.cell, read.scores) == (record.cell, record.scores)
    assert read.cases()["dice"].tolist() == [0.1, 0.30000000000000004]


def test_equal_records_give_equal_bytes_and_too_large_an_archive_has_fewer_seeds(tmp_path):
    found = store_three(tmp_path, seeds=range(4))
    assert pack(found) == pack(found[::-1])
    whole = len(pack(found))
    sizes = list(smallest(found, whole - 1))
    assert sizes[0][0] == 4
    assert sizes[-1][0] < 4
    assert len(sizes[-1][1]) < whole


# ── what travels with the package ────────────────────────────────────────────────────────────────


def test_the_packages_records_are_whole_phantom_and_quick_and_small(tmp_path, capsys):
    found = load(tmp_path)
    assert capsys.readouterr().err == ""
    assert ARCHIVE.stat().st_size <= MOST_BYTES
    assert all(record.phantom and record.marks.quick and not record.facts.arrays for record in found)
    assert {"adam", "random"} <= {record.label for record in found}
    assert len({record.cell.task for record in found}) == 9
