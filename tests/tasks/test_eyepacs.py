"""EyePACS: layouts, grades, what is absent, the crop to the field of view, and pretraining on colour."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Context, Item
from eden_bench.errors import DataDamaged, DataMissing
from tasks.eyepacs import FIELD_LEVEL, LABELS, eyepacs
from tasks.phantom.fundus.patient import draw_eye
from tasks.phantom.fundus.rendering import render
from tasks.reading.fundus import cropped_to_field, field_box
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.lists import TWICE, field, names, numbers
from tests.tasks.hostile.pictures import JPEG_LIES
from tests.tasks.hostile.roles import ANY_TABLE, FEWER, GREY_ROWS, Role

RETINA = Path(__file__).parents[3] / "shared/data/fundus_cc0/retina.jpg"
TRAIN = {"10_left": 0, "10_right": 1, "13_left": 2, "15_left": 3, "15_right": 4}
TEST = {"1_left": 0, "1_right": 2}


def jpeg(path: Path, image: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((40, 60, 3), 90, np.uint8) if image is None else image).save(path, quality=95)


def lay(root: Path, *, test: bool = True, folder: str = "{}", end: str = ".jpeg") -> Path:
    for half, grades in (("train", TRAIN), ("test", TEST if test else {})):
        for name in grades:
            path = root / folder.format(half) / f"{name}{end}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    (root / "trainLabels.csv").write_text(table(TRAIN))
    if test:
        (root / "retinopathy_solution.csv").write_text(table(TEST, ",Usage", ",Private"))
    return root


def table(grades: dict[str, int], header: str = "", end: str = "") -> str:
    return "\n".join([f"image,level{header}", *(f"{name},{level}{end}" for name, level in grades.items())])


def item(path: Path) -> Item:
    return Item(id="10_left", patient="10", split="train", image=path)


# ── layouts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("eyepacs", "`image` in the csv has no extension", "found with and without")
def test_the_folders_are_the_split_and_the_number_is_the_patient(tmp_path):
    index = eyepacs.index(lay(tmp_path))
    assert {each.id: each.patient for each in index.split("train")} == {name: name.split("_")[0] for name in TRAIN}
    assert {each.id for each in index.split("test")} == set(TEST)
    assert index.expected_images == 88_702
    assert index.part == "7 of 88,702 images"
    assert [each.id for each in index.items] == sorted(each.id for each in index.items)


@pytest.mark.trap("eyepacs", "level 0 to 4", "four thresholds, in order; another level is damage")
def test_a_grade_is_four_thresholds(tmp_path):
    index = eyepacs.index(lay(tmp_path))
    assert index.label_names == LABELS == ("DR >= 1", "DR >= 2", "DR >= 3", "DR >= 4")
    assert {each.id: sum(each.labels) for each in index.items} == {**TRAIN, **TEST}
    assert all(list(each.labels) == sorted(each.labels, reverse=True) for each in index.items)


@pytest.mark.parametrize(("folder", "end"), [("{0}/{0}", ".jpeg"), ("{}", ".JPG"), ("{}", ".png")])
def test_nested_folders_and_conversions_are_read_alike(tmp_path, folder, end):
    assert len(eyepacs.index(lay(tmp_path, folder=folder, end=end)).items) == 7


@pytest.mark.trap("eyepacs", "`image` in the csv has no extension")
def test_the_csv_may_lie_in_a_folder_of_its_name_and_hold_extensions(tmp_path):
    lay(tmp_path, test=False)
    (tmp_path / "trainLabels.csv").unlink()
    (tmp_path / "trainLabels.csv").mkdir()
    (tmp_path / "trainLabels.csv/trainLabels.csv").write_text(table(TRAIN).replace("left,", "left.jpeg,"))
    assert [sum(each.labels) for each in eyepacs.index(tmp_path).items] == list(TRAIN.values())


@pytest.mark.trap("eyepacs", "35,126 and 53,576 images", "expected by folder; an absent `test/` is said")
def test_without_the_test_folder_the_training_set_is_whole_and_it_is_said(tmp_path):
    index = eyepacs.index(lay(tmp_path, test=False))
    assert index.expected_images == 35_126
    assert index.notes == ("eyepacs: test/ is absent; its 53,576 images are not needed for pretraining",)


def test_without_the_csv_there_are_images_and_no_grades(tmp_path):
    lay(tmp_path, test=False)
    (tmp_path / "trainLabels.csv").unlink()
    index = eyepacs.index(tmp_path)
    assert index.label_names == ()
    assert {each.labels for each in index.items} == {()}
    assert "trainLabels.csv is absent, so the images of train/ have no grades; pretraining needs none" in index.notes[0]


def test_images_without_a_row_and_rows_without_an_image_are_said(tmp_path):
    lay(tmp_path, test=False)
    (tmp_path / "train/99_left.jpeg").touch()
    (tmp_path / "train/10_left.jpeg").unlink()
    index = eyepacs.index(tmp_path)
    assert len(index.items) == 4
    assert "4 of the 5 images that trainLabels.csv names are here" in index.notes[0]
    assert "1 images of train/ are not in the csv and are left out, as 99_left" in index.notes[1]


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("eyepacs", "level 0 to 4")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (table({**TRAIN, "13_left": 5}), r"trainLabels\.csv row 4 has the level '5', expected 0, 1, 2, 3 or 4"),
        (table(TRAIN).replace(",2", ",mild"), r"row 4 has the level 'mild'"),
        (table(TRAIN) + "\n10_left,0", r"row 7 names 10_left again, expected each image once"),
        (table(TRAIN).replace("level", "grade"), r"has no column 'level'"),
        (table(TRAIN) + "\n11_left", r"row 7 has 1 fields"),
        ("\0", "holds zero bytes"),
        ("", "is empty"),
    ],
)
def test_a_wrong_csv_is_one_sentence(tmp_path, content, message):
    lay(tmp_path, test=False)
    (tmp_path / "trainLabels.csv").write_text(content)
    with pytest.raises(DataDamaged, match=message):
        eyepacs.index(tmp_path)


@pytest.mark.trap("eyepacs", "two eyes a patient", "one patient; on both sides of the split is damage")
def test_a_patient_in_both_folders_is_refused(tmp_path):
    lay(tmp_path)
    (tmp_path / "test/10_left.jpeg").touch()
    with (tmp_path / "retinopathy_solution.csv").open("a") as labels:
        labels.write("\n10_left,0,Public")
    with pytest.raises(DataDamaged, match=r"patient 10 is in train/ and in test/, expected one of them"):
        eyepacs.index(tmp_path)


def test_two_files_of_one_eye_are_refused(tmp_path):
    lay(tmp_path)
    (tmp_path / "train/10_left.png").touch()
    with pytest.raises(DataDamaged, match=r"10_left\.png is a second image of 10_left, expected only .*10_left\.jpeg"):
        eyepacs.index(tmp_path)


def test_an_empty_folder_and_one_without_training_images_say_what_was_expected(tmp_path):
    with pytest.raises(DataMissing, match=r"is empty, expected train/10_left\.jpeg … and trainLabels\.csv: unpack"):
        eyepacs.index(tmp_path)
    lay(tmp_path)
    for path in (tmp_path / "train").iterdir():
        path.unlink()
    with pytest.raises(DataMissing, match=r"train has no images that trainLabels\.csv names"):
        eyepacs.index(tmp_path)


def test_hostile_photographs_are_one_sentence_and_quick(tmp_path):
    jpeg(tmp_path / "cut.jpeg", np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8))
    (tmp_path / "cut.jpeg").write_bytes((tmp_path / "cut.jpeg").read_bytes()[:9000])
    content = bytearray((tmp_path / "cut.jpeg").read_bytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "bomb.jpeg").write_bytes(content)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "really.gif")
    (tmp_path / "really.gif").rename(tmp_path / "gif.jpeg")
    jpeg(tmp_path / "black.jpeg", np.zeros((40, 60, 3), np.uint8))
    begun = time.perf_counter()
    for name, message in (
        ("cut", "cannot be decoded"),
        ("bomb", "claims 65,535×65,535 pixels|claims more pixels"),
        ("gif", "is no such picture"),
        ("black", "is black all over, expected an image with content"),
        ("absent", "cannot be opened"),
    ):
        with pytest.raises(DataDamaged, match=rf"^eyepacs: .*{name}\.jpeg .*({message})"):
            eyepacs.read_image(item(tmp_path / f"{name}.jpeg"))
    assert time.perf_counter() - begun < 5


# ── the field of view ────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("eyepacs", "black borders", "cut away; captions in them do not count")
def test_the_box_around_the_field_is_found_to_a_pixel_or_two_whatever_lies_in_the_border():
    photograph = render(draw_eye(0, 3, "left"), 400).image
    frame = np.full((500, 900, 3), 3, np.uint8)
    frame[50:450, 300:700] = np.maximum(photograph, 3)
    frame[10:22, 10:90] = 250  # a caption
    assert field_box(frame, FIELD_LEVEL) == pytest.approx((50, 450, 300, 700), abs=3)
    assert cropped_to_field(frame, FIELD_LEVEL).base is frame


def test_a_photograph_without_border_stays_whole_and_a_dark_one_is_found_too():
    photograph = render(draw_eye(0, 3, "left"), 400).image
    assert cropped_to_field(photograph[60:340, 60:340], FIELD_LEVEL).shape == (280, 280, 3)
    dark = np.pad(photograph // 4, ((20, 20), (90, 90), (0, 0)))
    assert field_box(dark, FIELD_LEVEL) == pytest.approx((20, 420, 90, 490), abs=3)


@pytest.mark.skipif(not RETINA.is_file(), reason="the real fundus photograph is not beside the repository")
def test_a_real_photograph_decodes_and_keeps_its_field():
    image = eyepacs.read_image(item(RETINA))
    height, width = image.shape[:2]
    assert 1350 <= height <= 1411
    assert 1350 <= width <= 1411
    assert image[height // 2, 30].max() > 100
    assert image[height // 2, -30].max() > 100
    assert image[3, 3].max() < 30
    framed = np.pad(image, ((100, 50), (300, 500), (0, 0)))
    assert cropped_to_field(framed, FIELD_LEVEL).shape == pytest.approx(image.shape, abs=6)


# ── checking, and pretraining ────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("eyepacs")
    eyepacs.write_phantom(root, patients=5, seed=1)
    return root


@pytest.mark.trap(
    "eyepacs",
    "25,810 / 2,443 / 5,292 / 873 / 708 images a level",
    "`check` counts what is there; the published counts are not compared",
)
def test_check_is_content_with_the_phantom_and_counts_grades(phantom):
    findings = eyepacs.check(phantom)
    assert {finding.level for finding in findings} == {"ok"}
    assert any("grades 0 to 4 in train/" in finding.text for finding in findings)
    assert eyepacs.index(phantom).notes == ()


def test_check_names_a_broken_photograph(phantom, tmp_path):
    lay(tmp_path, test=False)
    errors = [finding.text for finding in eyepacs.check(tmp_path) if finding.level == "error"]
    assert len(errors) == 5
    assert "10_left.jpeg is empty" in errors[0]


@pytest.mark.trap("adam", "EyePACS pretraining: nothing was released", "chosen: the field of view, cut out")
@pytest.mark.trap("eyepacs", "two eyes a patient")
def test_pretraining_sees_whole_patients_in_colour_and_never_the_test_folder(phantom, tmp_path):
    pytest.importorskip("torch")
    from pretrain.engine.data import open_data

    index = eyepacs.index(phantom)
    data = open_data(index, Context(cache=tmp_path, dataset=eyepacs))
    assert data.pyramid.pixels.shape == (8, 1024**2 + 512**2 + 256**2, 3)
    assert set(data.pyramid.ids) == {each.id for each in index.split("train")}
    sides = [{data.pyramid.ids[row].split("_")[0] for row in rows} for rows in (data.train, data.validation)]
    assert not sides[0] & sides[1]
    red, _, blue = data.pyramid.levels(0)[-1][100:156, 100:156].reshape(-1, 3).mean(axis=0)
    assert red > 1.5 * blue


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────


ROLES = (
    Role("eyepacs", "train/1_left.jpeg", "item", (*FORMS, *PLACES, *JPEG_LIES), GREY_ROWS),
    Role(
        "eyepacs",
        "trainLabels.csv",
        "index",
        (*ANY_TABLE, *TWICE, *names(), *numbers(1), field("grade 5", 1, "5"), field("negative grade", 1, "-1")),
        {"cut to 40 bytes": FEWER, "folder": "grades are absent then, a note says so, and pretraining needs none"},
    ),
)
