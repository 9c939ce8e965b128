"""Damaged and half-copied folders of ChestX-ray14 end in one sentence that names the file."""

import os
from pathlib import Path

import pytest

from eden_bench.errors import DataDamaged, DataMissing
from tasks.chestxray14 import chestxray14
from tests.tasks.test_chestxray14 import HEADER, changed, lay


@pytest.mark.trap(
    "chestxray14", "`Pleural_Thickening` with an underscore", "another spelling is named with the nearest"
)
def test_a_label_never_seen_before_is_named_with_file_row_and_nearest(tmp_path):
    root = lay(tmp_path, rows=changed(2, "Pleural_Thickening", "Pleural Thickening"))
    expected = (
        r"^chestxray14: .*Data_Entry_2017_v2020\.csv row 4 has the label 'Pleural Thickening' "
        r"\(Did you mean 'Pleural_Thickening'\?\), expected one of Atelectasis, .* or No Finding: download"
    )
    with pytest.raises(DataDamaged, match=expected):
        chestxray14.index(root)


@pytest.mark.trap("chestxray14", "labels separated by a bar; `No Finding` alone")
@pytest.mark.parametrize(
    ("number", "old", "new", "message"),
    [
        (
            0,
            "Cardiomegaly|",
            "No Finding|",
            r"row 2 has the labels 'No Finding\|Emphysema', expected 'No Finding' alone",
        ),
        (0, "Cardiomegaly|Emphysema", "", "row 2 has the label '', expected one of"),
        (1, "00000001_001", "00000001_000", r"row 3 names 00000001_000\.png again, expected each image once"),
        (3, "0,3,74", "0,three,74", "row 5 has the Patient ID 'three', expected a number"),
        (3, "0,3,74", "0," + "3" * 9999 + ",74", "row 5 has the Patient ID '3{20}', expected a number"),
        (3, "0,3,74", "0,-3,74", "row 5 has the Patient ID '-3', expected a number"),
        (3, ",Hernia|Infiltration,0,3,74,F,AP,2500,2048,0.168,0.168", "", "row 5 has 1 fields, expected at least 7"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path, number, old, new, message):
    with pytest.raises(DataDamaged, match=message):
        chestxray14.index(lay(tmp_path, rows=changed(number, old, new)))


@pytest.mark.parametrize("column", ["Image Index", "Finding Labels", "Patient ID"])
def test_a_missing_column_is_named(tmp_path, column):
    with pytest.raises(DataDamaged, match=rf"Data_Entry_2017_v2020\.csv has no column '{column}'"):
        chestxray14.index(lay(tmp_path, header=HEADER.replace(column, "Something")))


@pytest.mark.trap(
    "chestxray14", "the lists (86,524 and 25,596 names) are patient-disjoint", "checked, or refused; on real files too"
)
def test_a_patient_in_both_lists_is_an_error(tmp_path):
    root = lay(tmp_path, rows=changed(3, "0,3,74", "0,2,74"))
    with pytest.raises(DataDamaged, match=r"test_list\.txt names 00000003_000\.png of patient 00000002, expected no"):
        chestxray14.index(root)


def test_an_image_in_both_lists_is_an_error(tmp_path):
    root = lay(tmp_path)
    (root / "test_list.txt").write_text("00000001_000.png\n")
    with pytest.raises(DataDamaged, match=r"test_list\.txt names 00000001_000\.png, expected no image of train"):
        chestxray14.index(root)


@pytest.mark.parametrize("name", ["Data_Entry_2017_v2020.csv", "train_val_list.txt", "test_list.txt"])
def test_an_absent_csv_or_list_is_named(tmp_path, name):
    root = lay(tmp_path)
    (root / name).unlink()
    with pytest.raises(DataMissing, match=f"has no {name}, expected it beside the images"):
        chestxray14.index(root)


def test_an_empty_list_is_damaged(tmp_path):
    root = lay(tmp_path)
    (root / "test_list.txt").write_text("")
    with pytest.raises(DataDamaged, match=r"test_list\.txt is empty"):
        chestxray14.index(root)


def test_a_folder_that_is_empty_or_without_images_is_missing(tmp_path):
    with pytest.raises(DataMissing, match="is empty, expected images/ or images_001/images/"):
        chestxray14.index(tmp_path)
    root = lay(tmp_path / "nih")
    for path in root.glob("images/*"):
        path.unlink()
    with pytest.raises(DataMissing, match="none of the 4 images that its csv and lists name, expected them in images/"):
        chestxray14.index(root)


def test_a_truncated_png_is_damaged(tmp_path):
    root = lay(tmp_path)
    path = root / "images/00000001_000.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataDamaged, match=r"chestxray14: .*00000001_000\.png cannot be decoded"):
        chestxray14.read_image(chestxray14.index(root).items[0])


def test_the_dataset_has_no_masks(tmp_path):
    with pytest.raises(DataMissing, match="has no mask of 'heart'"):
        chestxray14.read_mask(chestxray14.index(lay(tmp_path)).items[0], "heart")


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    root = lay(tmp_path / "nih")

    listdir = os.listdir

    def refuse(path):
        if Path(path).name == "images":
            raise PermissionError(13, "Permission denied", str(path))
        return listdir(path)

    monkeypatch.setattr("tasks.chestxray14.os.listdir", refuse)
    with pytest.raises(DataDamaged, match=r"chestxray14: .*images cannot be read \(Permission denied\)"):
        chestxray14.index(root)


def test_an_extension_in_capitals_is_the_image_of_the_csv(tmp_path):
    root = lay(tmp_path)
    (root / "images/00000002_000.png").rename(root / "images/00000002_000.PNG")
    index = chestxray14.index(root)
    assert "00000002_000.png" in [item.id for item in index.items]
    assert not any("not in the csv" in note for note in index.notes)


@pytest.mark.trap("inputs", "semicolons, tabs, UTF-16; renamed folders, JPEG copies, `.PNG`")
@pytest.mark.parametrize(
    ("folder", "suffix", "message"),
    [
        ("images-224", ".png", r"rename images-224/, which holds 0000000\d_00\d.png, to images/"),
        ("images", ".jpg", r"images/ holds copies such as 0000000\d_00\d.jpg; use the original PNG files"),
    ],
)
def test_images_under_another_name_are_not_called_absent(tmp_path, folder, suffix, message):
    root = lay(tmp_path)
    for file in (root / "images").iterdir():
        file.rename(file.with_suffix(suffix))
    (root / "images").rename(root / folder)
    with pytest.raises(DataMissing, match=message):
        chestxray14.index(root)
