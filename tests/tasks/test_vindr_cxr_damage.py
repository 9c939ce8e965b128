"""Damaged tables and images of VinDr-CXR end in one sentence that names the file."""

import time

import pytest

from eden_bench.errors import DataDamaged, DataMissing
from tasks.vindr_cxr import vindr_cxr
from tests.tasks.test_vindr_cxr import (
    COLUMNS,
    IDS,
    lay,
    put,
    rows_of,
    texts,
)


@pytest.mark.parametrize("cell", ["2", "-1", "yes", "0.5", "1e0", "١"])
def test_a_cell_that_is_neither_0_nor_1_is_named(tmp_path, cell):
    rows = rows_of(lay(tmp_path))
    rows[3] = rows[3][:-1] + cell
    root = lay(tmp_path, train=rows)
    with pytest.raises(
        DataDamaged, match=rf"image_labels_train\.csv row 5 has '{cell}' in 'No finding', expected 0, 1"
    ):
        vindr_cxr.index(root)


@pytest.mark.parametrize("column", ["Pleural effusion", "Tuberculosis", "No finding", "Other diseases"])
def test_a_missing_column_is_named(tmp_path, column):
    with pytest.raises(DataDamaged, match=rf"image_labels_train\.csv has no column '{column}'"):
        vindr_cxr.index(lay(tmp_path, header=COLUMNS.replace(column, "Something")))


def test_a_reader_who_stands_twice_is_named(tmp_path):
    rows = rows_of(lay(tmp_path))
    with pytest.raises(DataDamaged, match=rf"row 14 names {IDS[0]} of reader R8 again, expected each once"):
        vindr_cxr.index(lay(tmp_path, train=[*rows, rows[0]]))


def test_an_image_that_the_consensus_names_twice_is_named(tmp_path):
    root = lay(tmp_path)
    path = root / "annotations/image_labels_test.csv"
    path.write_text(path.read_text() + f"{IDS[4]},0,0,0,0,0,0,1\n")
    with pytest.raises(DataDamaged, match=rf"image_labels_test\.csv row 4 names {IDS[4]} again"):
        vindr_cxr.index(root)


def test_an_image_in_both_tables_is_an_error(tmp_path):
    root = lay(tmp_path)
    path = root / "annotations/image_labels_test.csv"
    path.write_text(path.read_text() + f"{IDS[0]},0,0,0,0,0,0,1\n")
    with pytest.raises(
        DataDamaged, match=rf"image_labels_test\.csv names {IDS[0]}, expected no image of image_labels_tr"
    ):
        vindr_cxr.index(root)


@pytest.mark.parametrize("name", ["image_labels_train.csv", "image_labels_test.csv"])
def test_an_absent_table_is_named(tmp_path, name):
    root = lay(tmp_path)
    (root / "annotations" / name).unlink()
    with pytest.raises(DataMissing, match=f"has no {name}, expected train/ and test/ with DICOM"):
        vindr_cxr.index(root)


def test_a_folder_without_tables_or_images_is_missing(tmp_path):
    with pytest.raises(DataMissing, match="is empty, expected train/"):
        vindr_cxr.index(tmp_path)
    put(tmp_path / "a/train", IDS[0])
    with pytest.raises(DataMissing, match=r"has no image_labels_train\.csv and no train\.csv"):
        vindr_cxr.index(tmp_path / "a")
    for path in lay(tmp_path / "b").glob("*/*.dicom"):
        path.unlink()
    with pytest.raises(DataMissing, match="has none of the 6 images that its tables name"):
        vindr_cxr.index(tmp_path / "b")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00" * 40, b"image_id\n" * 3, b'"' * 200_000])
def test_a_table_that_is_none_ends_in_one_typed_error(tmp_path, content):
    root = lay(tmp_path)
    (root / "annotations/image_labels_train.csv").write_bytes(content)
    with pytest.raises(DataDamaged, match=r"vindr-cxr: .*image_labels_train\.csv "):
        vindr_cxr.index(root)


def test_a_table_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.reading.vindr._MOST_ROWS", 9)
    with pytest.raises(DataDamaged, match=r"image_labels_train\.csv row 10 stands there, expected at most 9 rows"):
        vindr_cxr.index(lay(tmp_path))


def test_damaged_dicom_files_are_named_quickly_and_the_rest_loads(tmp_path):
    root = lay(tmp_path)
    whole = (root / f"train/{IDS[0]}.dicom").read_bytes()
    (root / f"train/{IDS[0]}.dicom").write_bytes(whole[: len(whole) // 2])
    (root / f"train/{IDS[1]}.dicom").write_bytes(b"no DICOM")
    (root / f"test/{IDS[4]}.dicom").write_bytes(b"")
    started = time.monotonic()
    errors = texts(vindr_cxr.check(root), "error")
    assert time.monotonic() - started < 5
    assert [IDS[k] in error for k, error in zip((0, 1, 4), errors, strict=True)] == [True] * 3


def test_the_dataset_has_no_masks(tmp_path):
    with pytest.raises(DataMissing, match="has no mask of 'heart'"):
        vindr_cxr.read_mask(vindr_cxr.index(lay(tmp_path)).items[0], "heart")
