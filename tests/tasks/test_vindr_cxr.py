import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eden_bench.contracts import Context
from eden_bench.errors import DataDamaged
from tasks.phantom.layouts.dicom import Ids, write_dicom
from tasks.reading.vindr import ReaderBox, is_positive
from tasks.vindr_cxr import LABELS, VinDrCXR, vindr_cxr, vindr_cxr_task
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.dicom import DICOM_LIES
from tests.tasks.hostile.lists import TWICE, field, names, numbers
from tests.tasks.hostile.roles import A_PART, ANY_TABLE, Role
from tests.tasks.hostile.roles import KAGGLE as KAGGLE_LAYOUT

IDS = tuple(f"{number:032x}" for number in (0xA0, 0xA1, 0xA2, 0xA3, 0xB0, 0xB1))
"""Four training images, two test images."""
COLUMNS = "Aortic enlargement,Pleural effusion,Lung tumor,Pneumonia,Tuberculosis,Other diseases,No finding"
TRAIN = {
    IDS[0]: ("0,1,0,0,0,0,0", "0,0,0,0,0,1,0", "0,1,0,0,0,0,0"),
    IDS[1]: ("0,0,0,0,0,0,1", "0,0,0,0,0,0,1", "0,0,0,0,0,0,1"),
    IDS[2]: ("0,0,1,0,0,0,0", "0,0,,0,0,0,0", "0,0,0,0.0,1.0,NaN,0"),
    IDS[3]: ("1,0,0,1,0,0,0", "0,0,0,1,0,0,0", "1,0,0,0,0,0,1"),
}
TEST = {IDS[4]: "0,1,0,0,0,1,0", IDS[5]: "0,0,0,0,0,0,1"}
BOXES = (
    f"{IDS[0]},R1,Pleural effusion,-8.07,2.0,10.5,12",
    f"{IDS[1]},R1,No finding,,,,",
    f"{IDS[2]},R3,Lung tumor,4,4,9,9",
)
KAGGLE = (
    f"{IDS[0]},Pleural effusion,10,R1,2,2,9,9",
    f"{IDS[0]},Cardiomegaly,3,R2,2,2,9,9",
    f"{IDS[0]},Cardiomegaly,3,R2,2,3,9,9",
    f"{IDS[1]},No finding,14,R1,,,,",
    f"{IDS[1]},No finding,14,R2,,,,",
)


def chest() -> np.ndarray:
    image = np.full((40, 32), 40, np.uint8)
    image[:, 12:-12] = 180
    return image


def put(root: Path, name: str, pixels=None, suffix: str = ".dicom", **options) -> Path:
    path = root / f"{name}{suffix}"
    write_dicom(path, chest() if pixels is None else pixels, Ids(name, "2.25.1", "2.25.2", "2.25.3"), **options)
    return path


def table(path: Path, header: str, rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]))


def lay(root: Path, *, folder="annotations", suffix=".dicom", train=None, header=COLUMNS) -> Path:
    """Write PhysioNet's layout: three readers a training image, a consensus in the test set."""
    for number, name in enumerate(IDS):
        put(root / ("train" if number < 4 else "test"), name, suffix=suffix)
    rows = [f"{name},R{reader + 8},{row}" for name, said in TRAIN.items() for reader, row in enumerate(said)]
    table(root / folder / "image_labels_train.csv", f"image_id,rad_id,{header}", rows if train is None else train)
    consensus = COLUMNS.replace("Other diseases", "Other disease")
    table(root / folder / "image_labels_test.csv", f"image_id,{consensus}", (f"{k},{row}" for k, row in TEST.items()))
    table(root / folder / "annotations_train.csv", "image_id,rad_id,class_name,x_min,y_min,x_max,y_max", BOXES)
    return root


def lay_kaggle(root: Path, rows=KAGGLE) -> Path:
    for name in IDS[:2]:
        put(root / "train", name)
    put(root / "test", IDS[5])
    table(root / "train.csv", "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max", rows)
    return root


def rows_of(root: Path) -> list[str]:
    return (root / "annotations/image_labels_train.csv").read_text().splitlines()[1:]


def positives(index) -> dict[str, set[str]]:
    return {
        item.id: {name for name, value in zip(index.label_names, item.labels, strict=True) if value}
        for item in index.items
    }


def texts(findings, level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


# ── PhysioNet's layout ───────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "vindr-cxr",
    "the paper's six outputs and their order",
    "Pleural effusion, Lung tumor, Pneumonia, Tuberculosis, Other diseases, No finding",
)
def test_the_six_labels_stand_in_the_order_of_the_groups_lists():
    assert LABELS == ("Pleural effusion", "Lung tumor", "Pneumonia", "Tuberculosis", "Other diseases", "No finding")


@pytest.mark.trap(
    "vindr-cxr",
    "three readers an image in training",
    'a label holds where any reader gives it; `positive_if="vote"` takes the majority',
)
@pytest.mark.trap(
    "vindr-cxr", "one consensus row and no reader column in the test table (reported)", "read as one reader"
)
def test_a_label_is_given_where_any_reader_gives_it(tmp_path):
    assert positives(vindr_cxr.index(lay(tmp_path))) == {
        IDS[0]: {"Pleural effusion", "Other diseases"},
        IDS[1]: {"No finding"},
        IDS[2]: {"Lung tumor", "Tuberculosis"},
        IDS[3]: {"Pneumonia", "No finding"},
        IDS[4]: {"Pleural effusion", "Other diseases"},
        IDS[5]: {"No finding"},
    }


@pytest.mark.trap("vindr-cxr", "three readers an image in training")
def test_a_vote_asks_for_more_than_half_and_leaves_the_consensus_as_it_is(tmp_path):
    index = VinDrCXR(positive_if="vote").index(lay(tmp_path))
    assert [sorted(names) for names in positives(index).values()] == [
        ["Pleural effusion"],
        ["No finding"],
        [],
        ["Pneumonia"],
        ["Other diseases", "Pleural effusion"],
        ["No finding"],
    ]
    assert any("more than half of the readers" in note for note in index.notes)


@given(st.lists(st.sampled_from((0, 1, None)), max_size=5))
def test_the_policies_follow_their_words(said):
    ones, zeros = said.count(1), said.count(0)
    assert is_positive(said, "one") == (ones > 0)
    assert is_positive(said, "vote") == (ones > zeros)


def test_an_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="positive_if must be 'one' or 'vote', not 'any'"):
        VinDrCXR(positive_if="any")


def test_the_tables_are_the_official_split_and_every_image_is_a_patient(tmp_path):
    index = vindr_cxr.index(lay(tmp_path))
    assert [item.split for item in index.items] == ["train"] * 4 + ["test"] * 2
    assert [item.patient for item in index.items] == list(IDS)
    assert "vindr-cxr: the release names no patients, so every image counts as one" in index.notes


@pytest.mark.trap("vindr-cxr", "empty cells and NaN", "count for nobody, and are said")
def test_empty_cells_and_nan_count_for_nobody_and_are_said(tmp_path):
    assert (
        "vindr-cxr: 2 cells of the label tables are empty and count for nobody" in vindr_cxr.index(lay(tmp_path)).notes
    )


@pytest.mark.trap("vindr-cxr", "`Other diseases` in one table, `Other disease` in the other", "one label")
def test_both_spellings_of_other_diseases_are_read_in_either_table(tmp_path):
    index = vindr_cxr.index(lay(tmp_path, header=COLUMNS.replace("Other diseases", "Other disease")))
    assert "Other diseases" in positives(index)[IDS[0]]


@pytest.mark.trap("vindr-cxr", "PhysioNet's layout, wherever the tables lie", "read")
@pytest.mark.parametrize("suffix", [".dicom", ".dcm", ".DCM"])
@pytest.mark.parametrize("folder", ["annotations", ".", "physionet.org/files/vindr-cxr/1.0.0/annotations"])
def test_either_suffix_and_any_place_of_the_tables_will_do(tmp_path, suffix, folder):
    index = vindr_cxr.index(lay(tmp_path, folder=folder, suffix=suffix))
    assert len(index.items) == 6
    assert index.items[0].image == tmp_path / f"train/{IDS[0]}{suffix}"


def test_conversions_are_read_and_dicom_is_preferred(tmp_path):
    root = lay(tmp_path)
    for name in IDS[:2]:
        Image.fromarray(chest()).save(root / f"train/{name}.png")
    (root / f"train/{IDS[0]}.dicom").unlink()
    index = vindr_cxr.index(root)
    assert [item.image.suffix for item in index.items[:2]] == [".png", ".dicom"]
    assert "vindr-cxr: 1 of 6 images are conversions to PNG or JPEG" in index.notes
    assert (vindr_cxr.read_image(index.items[0]) == chest()).all()


def test_images_and_rows_without_partner_are_left_out_and_said(tmp_path):
    root = lay(tmp_path)
    (root / f"train/{IDS[1]}.dicom").unlink()
    put(root / "train", "c" * 32)
    index = vindr_cxr.index(root)
    assert len(index.items) == 5
    assert "vindr-cxr: 5 of the 6 images that the tables name are here" in index.notes
    assert f"vindr-cxr: 1 images are in no table and are left out, for example {'c' * 32}" in index.notes
    assert f"1 images are in no table and are left out, for example {'c' * 32}" in " ".join(
        texts(vindr_cxr.check(root), "note")
    )


# ── pixels and boxes ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("vindr-cxr", "VOI LUT or window, MONOCHROME1", "applied, as pydicom does")
def test_monochrome1_and_window_are_applied(tmp_path):
    root, film = lay(tmp_path), chest()
    put(root / "train", IDS[0], 255 - film, monochrome1=True)
    stored = 600 + film.astype(np.uint16) * 6
    stored[-2:] = 4095
    put(root / "train", IDS[1], stored, bits=12, window=(600 + 765.5, 1531.0))
    index = vindr_cxr.index(root)
    assert (vindr_cxr.read_image(index.items[0]) == film).all()
    shown = vindr_cxr.read_image(index.items[1])
    assert np.abs(shown[:-2].astype(int) - film[:-2]).max() <= 1
    assert (shown[-2:] == 255).all()


@pytest.mark.trap("vindr-cxr", "negative box corners (−8.07)", "moved to the border")
def test_negative_corners_are_moved_to_the_border_and_no_finding_has_no_box(tmp_path):
    assert vindr_cxr.boxes(lay(tmp_path)) == (
        ReaderBox(IDS[0], "R1", "Pleural effusion", 0.0, 2.0, 10.5, 12.0),
        ReaderBox(IDS[2], "R3", "Lung tumor", 4.0, 4.0, 9.0, 9.0),
    )


@pytest.mark.parametrize("corner", ["", "nan", "inf", "left", "1e300", "--1"])
def test_a_finding_without_four_numbers_is_named_with_file_and_row(tmp_path, corner):
    root = lay(tmp_path)
    path = root / "annotations/annotations_train.csv"
    path.write_text(path.read_text() + f"{IDS[0]},R2,ILD,1,2,{corner},9\n")
    with pytest.raises(DataDamaged, match=rf"annotations_train\.csv row 5 has the coordinate '{corner}', expected a"):
        vindr_cxr.boxes(root)
    assert any("row 5 has the coordinate" in note for note in texts(vindr_cxr.check(root), "note"))


@pytest.mark.trap("inputs", "boxes of VinDr-CXR against resized images", "a note, for no task needs them")
def test_boxes_that_hold_no_pixel_are_a_note_for_no_task_needs_them(tmp_path):
    root = lay(tmp_path)
    path = root / "annotations/annotations_train.csv"
    path.write_text(path.read_text() + f"{IDS[0]},R2,ILD,40,2,50,9\n{IDS[0]},R2,ILD,9,2,5,9\n")
    note = next(text for text in texts(vindr_cxr.check(root), "note") if "boxes hold" in text)
    assert note.startswith("2 boxes hold no pixel of their image, for example one from 40, 2")
    assert "download" not in note
    assert texts(vindr_cxr.check(root), "error") == []


# ── check, task ──────────────────────────────────────────────────────────────────────────────────


def test_check_counts_and_finds_no_error(tmp_path):
    findings = vindr_cxr.check(lay(tmp_path))
    assert texts(findings, "error") == []
    assert "readers: 4 training images by 3, expected 3 each" in texts(findings, "ok")
    assert "readers differ about 3 images" in texts(findings, "ok")
    assert "2 boxes, of which 2 are on images that are here" in texts(findings, "ok")
    assert "6 of 18,000 images" in texts(findings, "note")


def test_check_says_when_an_image_has_fewer_readers(tmp_path):
    rows = rows_of(lay(tmp_path))
    notes = texts(vindr_cxr.check(lay(tmp_path, train=rows[1:])), "note")
    assert "readers: 1 training images by 2, 3 training images by 3, expected 3 each" in notes


def test_the_task_takes_an_index_with_all_six_labels(tmp_path):
    index = vindr_cxr.index(lay(tmp_path))
    protocol = replace(vindr_cxr_task.protocol("quick"), size_px=32, source_px=32)
    opened = vindr_cxr_task.open(index, protocol, Context(cache=tmp_path / "cache", dataset=vindr_cxr))
    assert opened.data["labels"] == list(LABELS)
    assert (opened.data["train"], opened.data["test"]) == (3, 2)


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.vindr_cxr; print(sorted({'torch', 'cv2', 'PIL', 'pydicom', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────

VOTES_17, VOTES_18 = (
    tuple(change for change in numbers(column) if not change.name.startswith(("NaN", "nothing"))) for column in (17, 18)
)
"""An empty cell, or NaN, is a reader who said nothing."""


ROLES = (
    Role("vindr-cxr", "train/*.dicom", "item", (*FORMS, *PLACES, *DICOM_LIES), A_PART),
    Role("vindr-cxr", "annotations/image_labels_train.csv", "index", (*ANY_TABLE, *TWICE, *names(), *VOTES_18)),
    Role("vindr-cxr", "annotations/image_labels_test.csv", "index", (*FORMS, *PLACES, *TWICE, *names(), *VOTES_17)),
    Role(
        "vindr-cxr",
        "annotations/annotations_train.csv",
        "boxes",
        (*ANY_TABLE, *names(), *numbers(4)),
        {"folder": "boxes are read from whichever of the two tables are there, and no task needs them"},
    ),
    Role(
        KAGGLE_LAYOUT,
        "train.csv",
        "index",
        (*ANY_TABLE, *names(), *numbers(2), field("unknown class", 1, "Mass"), *numbers(5)),
    ),
)
