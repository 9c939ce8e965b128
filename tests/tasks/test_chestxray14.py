import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Box, DatasetIndex
from eden_bench.errors import DataDamaged
from tasks.chestxray14 import LABELS, chestxray14
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.lists import BOXES_14, LISTS, TWICE, field, names, numbers
from tests.tasks.hostile.roles import ANY_PNG, ANY_TABLE, FEWER, Role

SHARED = Path(__file__).parents[3] / "shared/data"
real = pytest.mark.skipif(
    not (SHARED / "nih_chestxray14/images").is_dir(), reason="the real radiographs are not beside the repository"
)

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
ROWS = (
    "00000001_000.png,Cardiomegaly|Emphysema,0,1,57,M,PA,2682,2749,0.143,0.143",
    "00000001_001.png,No Finding,1,1,58,M,PA,2894,2729,0.143,0.143",
    "00000002_000.png,Pleural_Thickening,0,2,80,F,AP,2500,2048,0.168,0.168",
    "00000003_000.png,Hernia|Infiltration,0,3,74,F,AP,2500,2048,0.168,0.168",
)
BOXES = "Image Index,Finding Label,Bbox [x,y,w,h],,,\n00000003_000.png,Infiltrate,225.08,547.0,86.7,79.1\n"


def chest(size_px: int = 32) -> np.ndarray:
    image = np.full((size_px, size_px), 40, np.uint8)
    image[:, size_px // 3 : -size_px // 3] = 180
    return image


def lay(root: Path, *, rows=ROWS, header=HEADER, csv="Data_Entry_2017_v2020.csv", folder="images", end="\n") -> Path:
    """Write a small ChestX-ray14: two training patients, one test patient."""
    (root / folder).mkdir(parents=True)
    for row in ROWS:
        Image.fromarray(chest()).save(root / folder / row.partition(",")[0])
    (root / csv).write_text(end.join([header, *rows, ""]), newline="")
    (root / "train_val_list.txt").write_text(
        end.join(["00000001_000.png", "00000001_001.png", "00000002_000.png"]), newline=""
    )
    (root / "test_list.txt").write_text("00000003_000.png", newline="")
    (root / "BBox_List_2017.csv").write_text(BOXES)
    return root


def changed(number: int, old: str, new: str) -> list[str]:
    rows = list(ROWS)
    assert old in rows[number]
    rows[number] = rows[number].replace(old, new)
    return rows


# ── layouts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "chestxray14",
    "the csv's header has commas inside names, 11 fields",
    "columns are found by the pieces that are used",
)
@pytest.mark.trap(
    "chestxray14",
    "labels separated by a bar; `No Finding` alone",
    "14 zeros and ones; `No Finding` beside another is damage",
)
def test_the_csv_of_eleven_fields_gives_labels_patients_and_the_lists_give_splits(tmp_path):
    index = chestxray14.index(lay(tmp_path))
    assert [item.id for item in index.items] == [row.partition(",")[0] for row in ROWS]
    assert [item.patient for item in index.items] == ["00000001", "00000001", "00000002", "00000003"]
    assert [item.split for item in index.items] == ["train", "train", "train", "test"]
    assert index.label_names == LABELS
    assert len(LABELS) == 14
    assert [item.about for item in index.items] == [
        {"age": 57, "sex": "M", "view": "PA"},
        {"age": 58, "sex": "M", "view": "PA"},
        {"age": 80, "sex": "F", "view": "AP"},
        {"age": 74, "sex": "F", "view": "AP"},
    ]


@pytest.mark.trap(
    "chestxray14",
    "ages of the older csv are `058Y`, `005M`, `013D`, and some are beyond 120",
    "years; an age that nobody has reached is not known",
)
@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("057", 57),
        ("058Y", 58),
        ("005M", 0),
        ("026m", 2),
        ("013D", 0),
        ("411", None),
        ("", None),
        ("x", None),
        ("-1", None),
    ],
)
def test_ages_are_years_or_not_known(tmp_path, text, years):
    index = chestxray14.index(lay(tmp_path, rows=changed(0, ",57,M,PA,", f",{text},?,pa,")))
    assert index.items[0].about == {"age": years, "sex": "", "view": ""}


def test_a_csv_without_age_sex_and_view_tells_none(tmp_path):
    rows = [",".join(row.split(",")[:4]) for row in ROWS]
    index = chestxray14.index(lay(tmp_path, rows=rows, header="Image Index,Finding Labels,Follow-up #,Patient ID"))
    assert {len(item.about) for item in index.items} == {0}
    named = [{LABELS[k] for k, value in enumerate(item.labels) if value} for item in index.items]
    assert named == [{"Cardiomegaly", "Emphysema"}, set(), {"Pleural_Thickening"}, {"Infiltration", "Hernia"}]
    assert all(len(item.labels) == 14 and set(item.labels) <= {0.0, 1.0} for item in index.items)


def test_the_labels_stand_in_the_benchmarks_order():
    assert LABELS[:5] == ("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass")
    assert LABELS[-3:] == ("Fibrosis", "Pleural_Thickening", "Hernia")


@pytest.mark.trap("chestxray14", "images in one folder or in twelve", "both are read, behind links too")
@pytest.mark.parametrize("folder", ["images", "images_001/images", "images_001", "images/images", "Images_012/images"])
def test_images_are_found_in_either_layout(tmp_path, folder):
    index = chestxray14.index(lay(tmp_path, folder=folder))
    assert len(index.items) == 4
    assert index.items[0].image == tmp_path / folder / "00000001_000.png"


@pytest.mark.trap("chestxray14", "images in one folder or in twelve")
def test_images_may_lie_in_twelve_folders_and_behind_links(tmp_path):
    root = lay(tmp_path / "nih", folder="images_001/images")
    (tmp_path / "elsewhere").mkdir()
    (root / "images_001/images/00000003_000.png").rename(tmp_path / "elsewhere/00000003_000.png")
    (root / "images_012").mkdir()
    (root / "images_012/images").symlink_to(tmp_path / "elsewhere")
    assert len(chestxray14.index(root).items) == 4


@pytest.mark.trap(
    "chestxray14", "the older csv: trailing comma, ages over 120 (reported)", "read; such an age counts as not known"
)
def test_the_older_csv_with_trailing_commas_and_impossible_ages_is_read(tmp_path):
    rows = [row.replace(",57,", ",414,") + "," for row in ROWS]
    index = chestxray14.index(lay(tmp_path, rows=rows, header=HEADER + ",", csv="Data_Entry_2017.csv"))
    assert len(index.items) == 4


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_other_systems_are_read(tmp_path, end):
    assert len(chestxray14.index(lay(tmp_path, end=end)).items) == 4


def test_images_that_are_absent_are_no_items_and_are_said(tmp_path):
    root = lay(tmp_path)
    (root / "images/00000001_001.png").unlink()
    index = chestxray14.index(root)
    assert len(index.items) == 3
    assert index.part == "3 of 112,120 images"
    assert "chestxray14: 3 of the 4 images that the csv names are here" in index.notes


def test_images_that_nothing_names_are_left_out_and_said(tmp_path):
    root = lay(tmp_path, rows=ROWS[1:])
    (root / "test_list.txt").write_text("00000009_000.png\n")
    index = chestxray14.index(root)
    assert [item.id for item in index.items] == ["00000001_001.png", "00000002_000.png"]
    notes = " ".join(index.notes)
    assert "1 images are not in the csv and are left out, for example 00000001_000.png" in notes
    assert (
        "1 images are not in train_val_list.txt or test_list.txt and are left out, for example 00000003_000.png"
        in notes
    )
    findings = chestxray14.check(root)
    assert [finding.text for finding in findings if finding.level == "error"] == []
    assert sum("are left out" in finding.text for finding in findings if finding.level == "note") == 2


def test_an_image_in_two_folders_is_read_once_and_said(tmp_path):
    root = lay(tmp_path)
    (root / "images_001").mkdir()
    Image.fromarray(chest()).save(root / "images_001/00000001_000.png")
    index = chestxray14.index(root)
    assert len(index.items) == 4
    assert "1 images stand in two folders" in " ".join(index.notes)


# ── pixels, boxes, check ─────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("chestxray14", "1 % of the PNG are RGBA, R = G = B", "read as grey, real files too")
def test_rgba_images_become_grey(tmp_path):
    root = lay(tmp_path)
    grey = chest()
    picture = Image.fromarray(np.dstack([grey, grey, grey, np.full_like(grey, 255)]))
    assert picture.mode == "RGBA"
    picture.save(root / "images/00000001_000.png")
    image = chestxray14.read_image(chestxray14.index(root).items[0])
    assert image.shape == (32, 32)
    assert (image == grey).all()


@pytest.mark.trap("chestxray14", "the boxes say `Infiltrate`, the csv `Infiltration`", "taken for the same")
@pytest.mark.trap(
    "chestxray14",
    "box header `Bbox [x,y,w,h],,,`; floats in 1024-px coordinates",
    "read as x, y, width, height; one that leaves the image is a note of `check`",
)
def test_infiltrate_in_the_boxes_is_infiltration(tmp_path):
    ((image, box),) = chestxray14.boxes(lay(tmp_path))
    assert image == "00000003_000.png"
    assert box == pytest.approx(Box("Infiltration", 225.08, 547.0, 225.08 + 86.7, 547.0 + 79.1))


def test_an_item_has_its_boxes_in_its_own_pixels(tmp_path):
    items = {item.id: item.boxes for item in chestxray14.index(lay(tmp_path)).items}
    (box,) = items["00000003_000.png"]
    share = 32 / 1024  # the films here have 32 px, the boxes are of 1024
    assert box.label == "Infiltration"
    assert box[1:] == pytest.approx((225.08 * share, 547.0 * share, (225.08 + 86.7) * share, (547.0 + 79.1) * share))
    assert items["00000001_000.png"] is None


def test_a_box_list_that_is_absent_or_damaged_leaves_the_boxes_unknown_and_the_index_whole(tmp_path):
    root = lay(tmp_path)
    (root / "BBox_List_2017.csv").write_text(BOXES + "00000003_000.png,Mass,1,2,x,4\n")
    assert [item.boxes for item in chestxray14.index(root).items] == [None] * 4
    (root / "BBox_List_2017.csv").unlink()
    assert [item.boxes for item in chestxray14.index(root).items] == [None] * 4


def test_a_box_that_leaves_the_image_is_no_box_of_its_item(tmp_path):
    root = lay(tmp_path)
    (root / "BBox_List_2017.csv").write_text(BOXES + "00000003_000.png,Mass,1000,2,30,4\n")
    (item,) = chestxray14.index(root).split("test")
    assert [box.label for box in item.boxes or ()] == ["Infiltration"]


def test_a_box_without_four_numbers_is_named(tmp_path):
    root = lay(tmp_path)
    (root / "BBox_List_2017.csv").write_text(BOXES + "00000003_000.png,Mass,1,2,x,4\n")
    with pytest.raises(DataDamaged, match=r"BBox_List_2017\.csv row 3 has the box 1, 2, x, 4, expected four numbers"):
        chestxray14.boxes(root)


@pytest.mark.trap("chestxray14", "box header `Bbox [x,y,w,h],,,`; floats in 1024-px coordinates")
@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_box_that_is_no_number_leaves_the_image(tmp_path, number):
    root = lay(tmp_path)
    (root / "BBox_List_2017.csv").write_text(BOXES + f"00000003_000.png,Mass,1,{number},3,4\n")
    notes = [finding.text for finding in chestxray14.check(root) if finding.level == "note"]
    expected = "1 boxes leave the 1024 px they refer to, for example on 00000003_000.png; they are left out"
    assert expected in notes


def test_check_counts_and_finds_no_error(tmp_path):
    findings = chestxray14.check(lay(tmp_path))
    assert [finding for finding in findings if finding.level == "error"] == []
    texts = [finding.text for finding in findings]
    assert "3 training and 1 test images of 2 and 1 patients, none in both" in texts
    assert "images decoded: 4 of 32×32 px" in texts
    assert "1 boxes on 1 images, of which 1 are here" in texts
    assert "4 of 112,120 images" in texts


def test_check_goes_on_without_boxes_and_past_damage(tmp_path):
    root = lay(tmp_path)
    (root / "BBox_List_2017.csv").unlink()
    (root / "images/00000002_000.png").write_bytes(b"no picture")
    findings = chestxray14.check(root)
    errors = [finding.text for finding in findings if finding.level == "error"]
    assert len(errors) == 1
    assert "00000002_000.png is no such picture" in errors[0]
    assert any("has no BBox_List_2017.csv" in finding.text for finding in findings if finding.level == "note")


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.chestxray14; print(sorted({'torch', 'cv2', 'PIL', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ── the real files ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def nih(tmp_path_factory) -> Path:
    """The real csv and lists, with the 1024-px and the 512-px images behind two links, as a user would join them."""
    root = tmp_path_factory.mktemp("nih")
    for file in (*SHARED.glob("nih_chestxray14/*.csv"), *SHARED.glob("nih_chestxray14/*.txt")):
        (root / file.name).symlink_to(file)
    for number, name in enumerate(("nih_chestxray14", "nih_chestxray14_512"), 1):
        (root / f"images_{number:03d}").mkdir()
        (root / f"images_{number:03d}/images").symlink_to(SHARED / name / "images")
    return root


@pytest.fixture(scope="module")
def nih_index(nih) -> DatasetIndex:
    return chestxray14.index(nih)


@pytest.mark.trap("chestxray14", "the lists (86,524 and 25,596 names) are patient-disjoint")
@real
def test_the_511_real_radiographs_are_a_part_patient_disjoint(nih_index):
    assert nih_index.part == "511 of 112,120 images"
    train, test = ({item.patient for item in nih_index.split(name)} for name in ("train", "test"))
    assert len(train) + len(test) == 511
    assert not train & test


@pytest.mark.trap("chestxray14", "984 boxes on 880 images, all in the test list", "read from the real file")
@real
def test_the_real_boxes_are_984_on_880_images_of_the_test_list(nih):
    boxes = chestxray14.boxes(nih)
    assert len(boxes) == 984
    images = {image for image, _ in boxes}
    assert len(images) == 880
    assert images <= set((nih / "test_list.txt").read_text().split())
    assert {box.label for _, box in boxes} <= set(LABELS)


@pytest.mark.trap("chestxray14", "1 % of the PNG are RGBA, R = G = B")
@real
def test_real_rgba_files_are_read_as_grey(nih_index):
    rgba = 0
    for item in nih_index.items:
        with Image.open(item.image) as picture:
            if picture.mode == "RGBA":
                assert (chestxray14.read_image(item) == np.array(picture)[..., 0]).all()
                rgba += 1
    assert rgba == 4


def test_the_phantom_is_read_and_checked_like_the_real_one(tmp_path):
    chestxray14.write_phantom(tmp_path, patients=4, seed=1)
    index = chestxray14.index(tmp_path)
    assert index.phantom
    assert index.part == ""
    assert len({item.patient for item in index.items}) == 4
    assert [finding.text for finding in chestxray14.check(tmp_path) if finding.level == "error"] == []


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────

_NO_BOX = dict.fromkeys(("header alone", "cut to 40 bytes"), "a list without boxes is one, as of a small phantom")

ROLES = (
    Role("chestxray14", "images/00000001_000.png", "item", ANY_PNG),
    Role(
        "chestxray14",
        "Data_Entry_2017_v2020.csv",
        "index",
        (
            *ANY_TABLE,
            *TWICE,
            *names(),
            field("unknown label", 1, "Infiltratoin"),
            field("label of 100,000 letters", 1, "x" * 100_000),
            field("no finding and one", 1, "No Finding|Mass"),
            *numbers(3),
        ),
    ),
    Role("chestxray14", "train_val_list.txt", "index", (*FORMS, *PLACES, *LISTS), {"cut in half": FEWER}),
    Role("chestxray14", "test_list.txt", "index", (*FORMS, *PLACES, *LISTS), {"cut to 40 bytes": FEWER}),
    Role("chestxray14", "BBox_List_2017.csv", "boxes", (*ANY_TABLE, *BOXES_14), _NO_BOX),
)
