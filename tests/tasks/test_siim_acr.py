import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.phantom.layouts.dicom import Ids, write_dicom
from tasks.siim_acr import SIDE_PX, STRUCTURE, read_rows, siim_acr, siim_acr_task
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.dicom import DICOM_LIES
from tests.tasks.hostile.lists import RUNS, names
from tests.tasks.hostile.roles import A_PART, ANY_TABLE, Role

HEADER = "ImageId, EncodedPixels"
ROWS = ("1.2.1,-1", "1.2.2, -1", "1.2.3, 2 3 1023 2", "1.2.4,0 5", "1.2.4, 3 4", "1.2.5,1048576 0")
"""No pneumothorax twice, one of one row, one of two rows that overlap; and a run of length 0 at the very end."""


def chest() -> np.ndarray:
    image = np.full((32, 32), 40, np.uint8)
    image[:, 10:-10] = 180
    return image


def lay(root: Path, *, rows=ROWS, header=HEADER, csv="train-rle.csv", flat=False, patients=None) -> Path:
    """Write a small SIIM-ACR: images 1.2.1 to 1.2.5 and 1.2.9, which no row names."""
    root.mkdir(exist_ok=True)
    for name in ("1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5", "1.2.9"):
        folder = root / ("images" if flat else f"dicom-images-train/study{name}/series{name}")
        patient = (patients or {}).get(name, f"patient{name}")
        write_dicom(folder / f"{name}.dcm", chest(), Ids(patient, "1.1", "1.1", name))
    (root / csv).write_text("\n".join([header, *rows, ""]))
    return root


def item(root: Path, name: str):
    return next(item for item in siim_acr.index(root).items if item.id == name)


# ── layouts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("siim-acr", "a space before `EncodedPixels`, before `-1` and before runs", "stripped")
def test_every_image_with_a_row_is_an_item_whatever_spaces_stand_in_the_csv(tmp_path):
    index = siim_acr.index(lay(tmp_path))
    assert [item.id for item in index.items] == ["1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5"]
    assert [len(item.drawn[STRUCTURE]) for item in index.items] == [0, 0, 1, 2, 1]
    assert index.part == "5 of 10,675 images"


@pytest.mark.trap(
    "siim-acr", "some 37 DICOM files have no row (reported)", "left out, and said: their truth is not known"
)
def test_a_dicom_without_row_is_left_out_and_said(tmp_path):
    notes = " ".join(siim_acr.index(lay(tmp_path)).notes)
    assert "1 images have no row in train-rle.csv, so their masks are not known and they are left out" in notes
    assert "1.2.9" in notes


@pytest.mark.trap("siim-acr", "folders by study and series, or flat", "both")
@pytest.mark.parametrize("header", [HEADER, "ImageId,EncodedPixels", "ImageId,  EncodedPixels "])
@pytest.mark.parametrize("csv", ["train-rle.csv", "stage_2_train.csv"])
@pytest.mark.parametrize("flat", [False, True])
def test_either_csv_and_either_tree_is_read(tmp_path, header, csv, flat):
    assert len(siim_acr.index(lay(tmp_path, header=header, csv=csv, flat=flat)).items) == 5


@pytest.mark.trap("siim-acr", "10,675 images in stage 1, 12,047 with its test set", "the longer csv is preferred")
def test_the_csv_of_stage_2_is_preferred(tmp_path):
    root = lay(tmp_path)
    (root / "stage_2_train.csv").write_text("ImageId,EncodedPixels\n1.2.9,-1\n1.2.1,-1\n")
    assert [item.id for item in siim_acr.index(root).items] == ["1.2.1", "1.2.9"]


def test_rows_without_image_are_said(tmp_path):
    root = lay(tmp_path, rows=(*ROWS, "1.2.77,-1"))
    assert "siim-acr: 5 of the 6 images that train-rle.csv names are here" in siim_acr.index(root).notes


def test_a_csv_that_names_more_images_than_are_published_says_how_many_to_expect(tmp_path):
    root = lay(tmp_path, rows=(*ROWS, *(f"1.3.{number},-1" for number in range(12_042))))
    assert siim_acr.index(root).part == "5 of 12,047 images"


# ── masks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("siim-acr", "runs are (gap since the last end, length)", "counted so, from 0, as loops do")
def test_runs_count_down_the_columns_from_the_end_of_the_run_before(tmp_path):
    root = lay(tmp_path)
    mask = siim_acr.read_mask(item(root, "1.2.3"), STRUCTURE)
    assert mask.shape == (SIDE_PX, SIDE_PX)
    assert sorted(zip(*np.nonzero(mask), strict=True)) == [(2, 0), (3, 0), (4, 0), (4, 1), (5, 1)]


@pytest.mark.trap("siim-acr", "several rows an image (up to 10), overlapping", "united")
def test_the_rows_of_an_image_are_united(tmp_path):
    mask = siim_acr.read_mask(item(lay(tmp_path), "1.2.4"), STRUCTURE)
    assert mask[:7, 0].all()
    assert mask.sum() == 7


def test_minus_one_is_an_empty_mask_and_so_is_a_run_of_no_length(tmp_path):
    root = lay(tmp_path)
    assert not any(siim_acr.read_mask(item(root, name), STRUCTURE).any() for name in ("1.2.1", "1.2.2", "1.2.5"))
    with pytest.raises(UsageError, match="unknown structure 'heart'"):
        siim_acr.read_mask(item(root, "1.2.1"), "heart")


# ── patients and split ───────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("siim-acr", "a patient has several films", "all on one side")
def test_patients_are_those_of_the_headers_and_stand_on_one_side(tmp_path):
    same = {"1.2.1": "A", "1.2.3": "A", "1.2.4": "A", "1.2.2": "B", "1.2.5": ""}
    index = siim_acr.index(lay(tmp_path, patients=same))
    assert [item.patient for item in index.items] == ["A", "B", "A", "A", "1.2.5"]
    assert len({item.split for item in index.items if item.patient == "A"}) == 1
    assert {item.split for item in index.items} == {"train", "test"}
    assert "1 images have no Patient ID and count as one patient each, for example 1.2.5" in " ".join(index.notes)
    tested = len({item.patient for item in index.split("test")})
    assert index.split_rule.startswith(f"{tested} of 3 patients are the test set, those whose hash")
    assert "patients may not be known" not in " ".join(index.notes)


def test_patients_that_are_all_different_are_doubted_aloud(tmp_path):
    root = lay(tmp_path)
    assert "a patient's films could stand in both train and test" in " ".join(siim_acr.index(root).notes)
    (doubt,) = [finding for finding in siim_acr.check(root) if "patients may not be known" in finding.text]
    assert doubt.level == "note"


def test_the_split_does_not_move_when_images_are_absent(tmp_path):
    root = lay(tmp_path)
    before = {item.id: item.split for item in siim_acr.index(root).items}
    shutil.rmtree(root / "dicom-images-train/study1.2.3")
    after = {item.id: item.split for item in siim_acr.index(root).items}
    assert after == {name: split for name, split in before.items() if name != "1.2.3"}


# ── hostile ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("1.2.5,1 2 3", "row 2 has 3 run lengths, expected pairs of gap and length, or -1: download it again"),
        ("1.2.5,", "row 2 has 0 run lengths"),
        ("1.2.5,5 -2", "row 2 has the run length '-2'"),
        ("1.2.5,5 nan", "row 2 has the run length 'nan'"),
        ("1.2.5,1048570 7", "row 2 has runs up to pixel 1,048,577, expected at most 1,048,576"),
        ("1.2.5,999999999 999999999", "row 2 has runs up to pixel 1,999,999,998"),
        ("../../etc/passwd,-1", "row 2 has the ImageId '../../etc/passwd', expected a DICOM file's name"),
        ("1.2.5", "row 2 has 1 fields, expected at least 2"),
        ("1.2.5,-1\n1.2.5,3 4", "row 3 contradicts another row of 1.2.5, expected -1 alone, or run lengths"),
        (f"1.2.5,{'1 ' * 200_000}", "row 2 cannot be parsed .field larger"),
    ],
)
def test_a_row_that_cannot_be_is_named(tmp_path, row, match):
    root = lay(tmp_path, rows=(row, *ROWS[:4]))
    with pytest.raises(DataDamaged, match=match) as caught:
        siim_acr.index(root)
    assert "train-rle.csv" in str(caught.value)
    assert siim_acr.check(root)[0].level == "error"


def test_a_csv_without_end_is_refused_soon(tmp_path):
    path = tmp_path / "train-rle.csv"
    path.write_text(HEADER + "\n" + "a,-1\n" * 100_001)
    with pytest.raises(DataDamaged, match="goes on after row 100,000"):
        read_rows(path)
    path.write_text("".join([HEADER, *(f"\na,{gap} 1" for gap in range(101))]))
    with pytest.raises(DataDamaged, match="row 102 is one more of a, expected at most 100 rows of an image"):
        read_rows(path)
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(DataDamaged, match="is too large, expected at most 16,777,216 bytes"):
        read_rows(path)


def test_a_missing_column_is_named(tmp_path):
    with pytest.raises(DataDamaged, match="has no column 'EncodedPixels'"):
        siim_acr.index(lay(tmp_path, header="ImageId,Pixels"))


def test_an_empty_folder_an_absent_csv_and_absent_images_are_missing(tmp_path):
    with pytest.raises(DataMissing, match="is empty, expected dicom-images-train"):
        siim_acr.index(tmp_path)
    root = lay(tmp_path / "siim")
    (root / "train-rle.csv").rename(tmp_path / "train-rle.csv")
    with pytest.raises(DataMissing, match=r"has no train-rle.csv, expected it beside the images"):
        siim_acr.index(root)
    shutil.rmtree(root / "dicom-images-train")
    (tmp_path / "train-rle.csv").rename(root / "train-rle.csv")
    with pytest.raises(DataMissing, match=r"has 0 DICOM files and none of the 5 images that train-rle.csv names"):
        siim_acr.index(root)


def test_one_damaged_image_is_named_and_the_others_are_read(tmp_path):
    root = lay(tmp_path)
    bad = root / "dicom-images-train/study1.2.3/series1.2.3/1.2.3.dcm"
    bad.write_bytes(b"\0" * 500)
    index = siim_acr.index(root)
    assert len(index.items) == 5
    findings = siim_acr.check(root)
    errors = [finding.text for finding in findings if finding.level == "error" and "1.2.3.dcm" in finding.text]
    assert errors == [f"siim-acr: {bad} is no DICOM file, expected one: download it again"]
    assert any(finding.text.endswith("images decoded: 4 of 32×32 px") for finding in findings)


@pytest.mark.trap("siim-acr", "1024², 8 bits, MONOCHROME2")
def test_an_image_that_is_not_square_fits_no_run_lengths(tmp_path):
    root = lay(tmp_path)
    write_dicom(item(root, "1.2.1").image, chest()[:20], Ids("p", "1.1", "1.1", "1.2.1"))
    with pytest.raises(DataDamaged, match="has 32×20 pixels, expected 1024×1024"):
        siim_acr.read_image(item(root, "1.2.1"))


# ── check ────────────────────────────────────────────────────────────────────────────────────────


def test_check_counts_rows_masks_and_splits(tmp_path):
    texts = [f"{finding.level}: {finding.text}" for finding in siim_acr.check(lay(tmp_path, rows=(*ROWS, ROWS[3])))]
    assert "note: 5 of 10,675 images" in texts
    assert "ok: 1 images have several rows, up to 2; their masks are united" in texts
    assert "note: 1 rows stand twice, for example of 1.2.4" in texts
    assert any(text.endswith("train images show a pneumothorax") for text in texts)


@pytest.mark.trap(
    "siim-acr",
    "78 % of the masks are empty",
    "the score's text says what counts; Dice is told apart for empty and other masks",
)
def test_the_task_scores_dice_and_says_what_empty_masks_count():
    assert siim_acr_task.score.name == "dice"
    assert "1 where both are empty" in siim_acr_task.score.text
    assert siim_acr_task.structures == (STRUCTURE,)


def test_importing_the_dataset_stays_light():
    heavy = ("torch", "pandas", "cv2", "pydicom", "scipy")
    code = f"import sys, tasks.siim_acr; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────


ROLES = (
    Role("siim-acr", "dicom-images-train/*/*/*.dcm", "item", (*FORMS, *PLACES, *DICOM_LIES), A_PART),
    Role(
        "siim-acr",
        "train-rle.csv",
        "index",
        (*ANY_TABLE, *names(), *RUNS),
        {"cut in half": "the cut falls between two pairs, which nobody can see; images without a row are told"},
    ),
)
