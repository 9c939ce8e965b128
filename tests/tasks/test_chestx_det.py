import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Box
from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.chestx_det import DISEASE, LABELS, SIDE_PX, chestx_det, chestx_det_task, read_entries
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.lists import CHESTX_DET, JSONS
from tests.tasks.hostile.roles import A_PART, ANY_PNG, Role

REAL = Path(__file__).parents[3] / "shared/data/chestx_det/ChestX_Det_train.json"


def polygon(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def entry(name="36200.png", *drawn):
    """An entry of (label, left, top, right, bottom)."""
    return {
        "file_name": name,
        "syms": [label for label, *_ in drawn],
        "boxes": [list(box) for _, *box in drawn],
        "polygons": [polygon(*box) for _, *box in drawn],
    }


TRAIN = [
    entry("36200.png"),
    entry("36201.png", ("Diffuse Nodule", 100, 200, 300, 400), ("Effusion", 250, 350, 500, 600)),
    entry("36202.png", ("Effusion", 10, 20, 30, 40), ("Effusion", 600, 20, 1024, 40)),
]
TEST = [entry("36200.png", ("Pleural Thickening", 5, 5, 50, 60))]


def chest() -> Image.Image:
    image = np.full((32, 32), 40, np.uint8)
    image[:, 10:-10] = 180
    return Image.fromarray(image)


def lay(root: Path, train=TRAIN, test=TEST, folders=("train_data", "test_data")) -> Path:
    """Write a small ChestX-Det; the name 36200.png stands in both lists."""
    for folder, names in zip(folders, (("36200", "36201", "36202"), ("36200",)), strict=True):
        (root / folder).mkdir(parents=True)
        for name in names:
            chest().save(root / folder / f"{name}.png")
    (root / "ChestX_Det_train.json").write_text(json.dumps(train))
    (root / "ChestX_Det_test.json").write_text(json.dumps(test))
    return root


# ── layouts ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "chestx-det",
    "`file_name` is renumbered, and equal in both lists",
    "an image is named by its split too; no patient is guessed",
)
def test_the_official_lists_are_the_split_and_equal_names_stay_apart(tmp_path):
    index = chestx_det.index(lay(tmp_path))
    assert [(item.id, item.split) for item in index.items] == [
        ("test/36200.png", "test"),
        ("train/36200.png", "train"),
        ("train/36201.png", "train"),
        ("train/36202.png", "train"),
    ]
    assert index.part == "4 of 3,578 images"
    assert len({item.patient for item in index.items}) == 4


@pytest.mark.parametrize(
    "folders",
    [("train_data", "test_data"), ("train_data/train", "test_data/test"), ("images/train", "images/test")],
)
def test_images_are_found_in_nested_folders(tmp_path, folders):
    index = chestx_det.index(lay(tmp_path, folders=folders))
    assert [item.image.relative_to(tmp_path).parent.as_posix() for item in index.items] == [folders[1]] + 3 * [
        folders[0]
    ]


def test_images_without_entry_and_entries_without_image_are_said(tmp_path):
    root = lay(tmp_path)
    (root / "train_data/36200.png").rename(root / "train_data/99.png")
    notes = chestx_det.index(root).notes
    assert "chestx-det: 3 of the 4 images that the JSON files name are here" in notes
    assert "chestx-det: 1 images have no entry and are left out, for example train/99.png" in notes


def test_absent_files_are_missing(tmp_path):
    with pytest.raises(DataMissing, match=r"is empty, expected ChestX_Det_train.json"):
        chestx_det.index(tmp_path)
    root = lay(tmp_path / "det")
    (root / "ChestX_Det_test.json").rename(tmp_path / "test.json")
    with pytest.raises(DataMissing, match=r"has no ChestX_Det_test.json, expected it beside train_data"):
        chestx_det.index(root)
    (tmp_path / "test.json").rename(root / "ChestX_Det_test.json")
    (root / "test_data/36200.png").unlink()
    with pytest.raises(
        DataMissing, match=r"none of the images that ChestX_Det_test.json names, expected them in test_"
    ):
        chestx_det.index(root)


# ── masks ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("chestx-det", "13 names, two with a space", "held")
def test_the_thirteen_names_have_spaces_and_are_all_structures(tmp_path):
    assert len(LABELS) == 13
    assert {"Diffuse Nodule", "Pleural Thickening"} < set(LABELS)
    item = chestx_det.index(lay(tmp_path)).items[2]
    assert set(item.drawn) == {DISEASE, *LABELS}
    assert not chestx_det.read_mask(item, "Fracture").any()
    with pytest.raises(UsageError, match=r"unknown structure 'Pleural_Thickening'. Did you mean 'Pleural Thickening'"):
        chestx_det.read_mask(item, "Pleural_Thickening")


@pytest.mark.trap("chestx-det", "polygons overlap, also across classes", "united, they never cancel out")
def test_disease_is_the_union_of_overlapping_polygons_across_classes(tmp_path):
    item = chestx_det.index(lay(tmp_path)).items[2]
    nodule, effusion = (chestx_det.read_mask(item, name) for name in ("Diffuse Nodule", "Effusion"))
    union = chestx_det.read_mask(item, DISEASE)
    assert union.shape == (SIDE_PX, SIDE_PX)
    assert (nodule & effusion).sum() == 51 * 51
    assert np.array_equal(union, nodule | effusion)
    assert nodule[200:401, 100:301].all()


@pytest.mark.trap(
    "chestx-det", "547 and 64 images without finding", "empty masks, kept; the 547 counted on the real list"
)
def test_an_image_without_finding_has_an_empty_mask_and_a_polygon_is_cut_at_the_border(tmp_path):
    items = chestx_det.index(lay(tmp_path)).items
    assert not chestx_det.read_mask(items[1], DISEASE).any()
    cut = chestx_det.read_mask(items[3], "Effusion")
    assert cut[30, 1023]
    assert cut.sum() == 21 * 21 + 21 * (1024 - 600)


# ── hostile ──────────────────────────────────────────────────────────────────────────────────────


def with_(**changes):
    return [TRAIN[0], {**TRAIN[1], **changes}]


BOXES, POLYGONS = TRAIN[1]["boxes"], TRAIN[1]["polygons"]


@pytest.mark.trap("chestx-det", "a list of `file_name, syms, boxes, polygons`, paired by order")
@pytest.mark.trap("chestx-det", "boxes are x1, y1, x2, y2")
@pytest.mark.parametrize(
    ("entries", "match"),
    [
        (
            with_(syms=["Diffuse_Nodule", "Effusion"]),
            r"entry 1 \(36201.png\) has the finding 'Diffuse_Nodule' \(Did you",
        ),
        (with_(syms=["Effusion"]), "syms, boxes and polygons that are not paired"),
        (with_(syms=None), "syms, boxes and polygons that are not paired"),
        (
            with_(syms=["Mass, expected nothing", "Mass"]),
            "has the finding 'Mass, expected nothing'.*, expected one of Atelectasis, Calc.*: download",
        ),
        (with_(syms=[1, {}]), "has the finding 1, expected one of Atelectasis"),
        (with_(boxes=[[1, 2, 3, 4], [5, 6, 7]]), r"has the box \[5, 6, 7\], expected four numbers"),
        (with_(boxes=[[1, 2, 3, 4], [5, 6, 7, "8"]]), "expected four numbers x1, y1, x2, y2"),
        (with_(boxes=[[1, 2, 3, 4], [5, 6, math.nan, 8]]), "expected four numbers"),
        (with_(boxes=[[1, 2, 3, 4], [300, 6, 200, 8]]), "expected x1 < x2 and y1 < y2"),
        (with_(polygons=[POLYGONS[0], [[1, 2], [3, 4]]]), "is a polygon of 2 points"),
        (with_(polygons=[POLYGONS[0], [[1, 2], [3, 4], [5, 1e300]]]), "has the point"),
        (with_(polygons=[POLYGONS[0], "None"]), "is a polygon of 'None'"),
        (with_(file_name="../36201.png"), "entry 1 has the file_name '../36201.png'"),
        (with_(file_name=36201), "has the file_name 36201, expected a name such as"),
        ([TRAIN[0], TRAIN[0]], r"entry 1 \(36200.png\) names an image again, expected each once"),
        ([TRAIN[0], 5], "entry 1 is 5, expected file_name, syms, boxes, polygons"),
        ([{"file_name": "1.png"}], "entry 0 is .'file_name'"),
        ({"file_name": "1.png"}, "holds no list of entries"),
        ([], "holds no list of entries"),
    ],
)
def test_an_entry_that_cannot_be_is_named(tmp_path, entries, match):
    root = lay(tmp_path, train=entries)
    with pytest.raises(DataDamaged, match=match) as caught:
        chestx_det.index(root)
    assert str(caught.value).startswith(f"chestx-det: {root / 'ChestX_Det_train.json'} ")
    assert [finding.level for finding in chestx_det.check(root)] == ["error"]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"[" * 200_000, "is no JSON .maximum recursion depth"),
        (b'[{"file_name"', "is no JSON"),
        (b"[1" + b"0" * 5000 + b"]", "is no JSON .Exceeds the limit"),
        (b"\0\1\2", "holds zero bytes"),
        (b"", "is empty"),
    ],
)
def test_what_is_no_json_is_refused(tmp_path, content, match):
    path = tmp_path / "ChestX_Det_train.json"
    path.write_bytes(content)
    with pytest.raises(DataDamaged, match=match):
        read_entries(path)


def test_a_json_without_end_is_not_read(tmp_path):
    path = tmp_path / "ChestX_Det_train.json"
    with path.open("wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(DataDamaged, match="is too large, expected at most 16,777,216 bytes"):
        read_entries(path)


def test_one_damaged_image_is_named_and_the_others_are_read(tmp_path):
    root = lay(tmp_path)
    (root / "train_data/36201.png").write_bytes(b"\x89PNG")
    errors = [finding.text for finding in chestx_det.check(root) if finding.level == "error"]
    assert len(errors) == 1
    assert "36201.png is no such picture, expected a whole PNG picture" in errors[0]


def test_an_image_that_is_not_square_fits_no_polygon(tmp_path):
    root = lay(tmp_path)
    chest().crop((0, 0, 32, 20)).save(root / "train_data/36200.png")
    with pytest.raises(DataDamaged, match="has 32×20 pixels, expected 1024×1024"):
        chestx_det.read_image(chestx_det.index(root).items[1])


# ── check ────────────────────────────────────────────────────────────────────────────────────────


def test_check_counts_findings_and_names_those_that_leave_the_image(tmp_path):
    texts = [f"{finding.level}: {finding.text}" for finding in chestx_det.check(lay(tmp_path))]
    counts = "Diffuse Nodule 1, Effusion 3, Pleural Thickening 1"
    assert f"ok: 5 findings ({counts}); 1 images without finding" in texts
    assert "note: 1 findings leave the image and are cut off, for example on train/36202.png" in texts
    assert not [text for text in texts if text.startswith("error")]


@pytest.mark.trap("chestx-det", "a list of `file_name, syms, boxes, polygons`, paired by order")
def test_check_finds_boxes_and_polygons_in_another_order(tmp_path):
    root = lay(tmp_path, train=with_(boxes=BOXES[::-1]))
    said = [finding.text for finding in chestx_det.check(root) if "boxes" in finding.text and finding.level == "note"]
    assert len(said) == 1
    assert said[0].startswith("2 boxes are more than 10 px off their polygons, for example on train/36201.png")


@pytest.mark.trap(
    "chestx-det",
    "a list of `file_name, syms, boxes, polygons`, paired by order",
    "unpaired lists are damage; boxes far from their polygons are a note of `check`",
)
@pytest.mark.trap("chestx-det", "boxes are x1, y1, x2, y2", "read so; x2 ≤ x1 is damage")
def test_instances_pair_labels_boxes_and_polygons(tmp_path):
    drawn = chestx_det.instances(lay(tmp_path))["train/36201.png"]
    assert [one.label for one in drawn] == ["Diffuse Nodule", "Effusion"]
    assert drawn[1].box == (250, 350, 500, 600)
    assert drawn[1].polygon[:4] == (250, 350, 500, 350)


def test_an_item_has_its_boxes_in_its_own_pixels_cut_off_at_the_border(tmp_path):
    root = lay(tmp_path)
    entries = json.loads((root / "ChestX_Det_train.json").read_text())
    entry = next(one for one in entries if one["file_name"] == "36201.png")
    entry["boxes"][0] = [-10, 100, 300, 1100]
    (root / "ChestX_Det_train.json").write_text(json.dumps(entries))
    item = next(one for one in chestx_det.index(root).items if one.id == "train/36201.png")
    with Image.open(item.image) as picture:
        share = picture.width / 1024
    assert item.boxes == (
        Box("Diffuse Nodule", 0, 100 * share, 300 * share, 1024 * share),
        Box("Effusion", 250 * share, 350 * share, 500 * share, 600 * share),
    )


def test_the_task_is_one_mask_of_all_findings_scored_by_mean_iou():
    assert chestx_det_task.structures == (DISEASE,)
    assert chestx_det_task.score.name == "iou_thresholds"
    assert "0.55 … 0.95" in chestx_det_task.score.text


def test_importing_the_dataset_stays_light():
    heavy = ("torch", "pandas", "cv2", "pydicom", "scipy")
    code = f"import sys, tasks.chestx_det; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ── the real list ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("chestx-det", "547 and 64 images without finding")
@pytest.mark.skipif(not REAL.is_file(), reason="the real list of ChestX-Det is not beside the repository")
def test_all_7905_instances_of_the_real_training_list_parse():
    entries = read_entries(REAL)
    instances = [one for drawn in entries.values() for one in drawn]
    assert len(entries) == 3025
    assert len(instances) == 7905
    assert sum(not drawn for drawn in entries.values()) == 547
    assert {one.label for one in instances} == set(LABELS)
    assert max(max(one.polygon) for one in instances) < SIDE_PX


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────


ROLES = (
    Role("chestx-det", "train_data/36200.png", "item", ANY_PNG, A_PART),
    Role("chestx-det", "ChestX_Det_train.json", "index", (*FORMS, *PLACES, *JSONS, *CHESTX_DET)),
)
