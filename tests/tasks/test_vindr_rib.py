import copy
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Context
from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.vindr_rib import RIBS, vindr_rib, vindr_rib_task
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.lists import JSONS, VINDR_RIB
from tests.tasks.hostile.roles import A_PART, ANY_PNG, Role

HEIGHT, WIDTH = 50, 40
SQUARE = [{"x": 10, "y": 10}, {"x": 19, "y": 10}, {"x": 19, "y": 19}, {"x": 10, "y": 19}]


def path_of(split: str, number: int) -> str:
    return f"data/{split}/img/VinDr_RibCXR_{split}_{number:03d}.png"


def ribs(split: str, count: int) -> dict:
    content = {"img": {str(k): path_of(split, k) for k in range(count)}}
    return content | {rib: {str(k): copy.deepcopy(SQUARE) for k in range(count)} for rib in RIBS}


def lay(root: Path, *, train=None, spelling: str = "Vindr", counts=(3, 2)) -> Path:
    """Write a small VinDr-RibCXR; train replaces the training file's content."""
    for split, count in zip(("train", "val"), counts, strict=True):
        (root / f"data/{split}/img").mkdir(parents=True, exist_ok=True)
        for number in range(count):
            image = np.full((HEIGHT, WIDTH), 40, np.uint8)
            image[:, 15:-15] = 180
            Image.fromarray(image).save(root / path_of(split, number))
        content = ribs(split, count) if train is None or split == "val" else train
        (root / f"data/{split}/{spelling}_RibCXR_{split}_mask.json").write_text(json.dumps(content))
    return root


def changed(rib: str, value) -> dict:
    content = ribs("train", 3)
    content[rib]["1"] = value
    return content


def texts(findings, level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


# ── layout and masks ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap(
    "vindr-rib",
    "196 and 49 images, a subset of VinDr-CXR's",
    "`val` is the test set; the overlap is a rule of the audit",
)
def test_train_trains_and_val_is_the_test_set(tmp_path):
    index = vindr_rib.index(lay(tmp_path))
    assert [item.id for item in index.split("train")] == [f"VinDr_RibCXR_train_{k:03d}" for k in range(3)]
    assert [item.id for item in index.split("test")] == ["VinDr_RibCXR_val_000", "VinDr_RibCXR_val_001"]
    assert "val images as the test set" in index.split_rule
    assert index.part == "5 of 245 images"
    assert index.items[0].image == tmp_path / path_of("train", 0)


@pytest.mark.trap("vindr-rib", "20 keys, R1 to R10 and L1 to L10", "each must be there")
def test_the_twenty_ribs_are_r1_to_r10_and_l1_to_l10():
    assert tuple(f"R{k}" for k in range(1, 11)) + tuple(f"L{k}" for k in range(1, 11)) == RIBS
    assert vindr_rib_task.structures == RIBS
    assert vindr_rib.card.expected_images == 196 + 49


@pytest.mark.trap("vindr-rib", "the JSON's name says `Vindr`, the images' `VinDr`", "either")
@pytest.mark.parametrize("spelling", ["Vindr", "VinDr"])
def test_both_spellings_of_the_json_file_are_read(tmp_path, spelling):
    assert len(vindr_rib.index(lay(tmp_path, spelling=spelling)).items) == 5


@pytest.mark.trap("vindr-rib", "sizes differ, about 2304 × 2880", "polygons are filled at each image's size")
def test_a_polygon_is_filled_at_the_images_size(tmp_path):
    mask = vindr_rib.read_mask(vindr_rib.index(lay(tmp_path)).items[0], "R1")
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[10:20, 10:20] = True
    assert mask.shape == (HEIGHT, WIDTH)
    assert (mask == expected).all()


@pytest.mark.trap("vindr-rib", "a missing rib is the string `'None'`", "an empty mask; `null` or `none` are damage")
def test_a_missing_rib_is_the_string_none_and_an_empty_mask(tmp_path):
    index = vindr_rib.index(lay(tmp_path, train=changed("L10", "None")))
    assert index.items[1].drawn["L10"] == ()
    assert not vindr_rib.read_mask(index.items[1], "L10").any()
    assert vindr_rib.read_mask(index.items[1], "L9").any()
    assert "100 ribs, of which 1 are missing, for example L10 of VinDr_RibCXR_train_001" in texts(
        vindr_rib.check(tmp_path), "ok"
    )


def test_a_polygon_that_leaves_the_image_is_cut_at_its_border(tmp_path):
    outside = [{"x": -5, "y": -5.5}, {"x": 3, "y": -5}, {"x": 3, "y": 4}, {"x": -5, "y": 4}]
    mask = vindr_rib.read_mask(vindr_rib.index(lay(tmp_path, train=changed("R2", outside))).items[1], "R2")
    assert mask[:5, :4].all()
    assert mask.sum() == 20


def test_polygons_of_another_image_are_found_by_check(tmp_path):
    far = [{"x": 500 * point["x"], "y": point["y"]} for point in SQUARE]
    errors = texts(vindr_rib.check(lay(tmp_path, train=changed("R2", far))), "error")
    assert len(errors) == 1
    assert "train_001.png has 40×50 px, and its ribs reach to 9500×19" in errors[0]
    assert "download" not in errors[0]


@pytest.mark.trap("vindr-rib", "paths inside the JSON", "the file name counts, folders are not followed")
def test_folders_in_the_json_file_are_not_followed(tmp_path):
    content = ribs("train", 3)
    content["img"]["0"] = "/etc/../elsewhere/VinDr_RibCXR_train_000.png"
    content["img"]["1"] = "data\\train\\img\\VinDr_RibCXR_train_001.png"
    index = vindr_rib.index(lay(tmp_path, train=content))
    assert [item.image for item in index.items[:2]] == [tmp_path / path_of("train", k) for k in range(2)]


def test_an_unknown_rib_is_named_with_its_nearest(tmp_path):
    with pytest.raises(UsageError, match=r"unknown structure 'R11'\. Did you mean 'R1"):
        vindr_rib.read_mask(vindr_rib.index(lay(tmp_path)).items[0], "R11")


def test_images_without_ribs_and_ribs_without_image_are_said(tmp_path):
    root = lay(tmp_path)
    (root / path_of("train", 2)).rename(root / "data/train/img/VinDr_RibCXR_train_009.png")
    index = vindr_rib.index(root)
    assert len(index.items) == 4
    assert "vindr-rib: 4 of the 5 images that the JSON files name are here" in index.notes
    assert (
        "vindr-rib: 1 images are in no JSON file and are left out, for example vindr_ribcxr_train_009.png"
        in index.notes
    )


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("vindr-rib", "a missing rib is the string `'None'`")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (SQUARE[:2], "is a polygon of 2 points"),
        ("none", "is a polygon of 'none'"),
        (None, "is a polygon of None"),
        ({"x": 1, "y": 2}, "is a polygon of {"),
        ([*SQUARE, {"x": 1}], r"has the point \{'x': 1\}"),
        ([*SQUARE, {"x": 1, "y": "2"}], r"has the point \[1, '2'\]"),
        ([*SQUARE, {"x": True, "y": 2}], r"has the point \[True, 2\]"),
        ([*SQUARE, {"x": float("nan"), "y": 2}], r"has the point \[nan, 2\]"),
        ([*SQUARE, {"x": 1e300, "y": 2}], r"has the point \[1e\+300, 2\]"),
        ([*SQUARE, 7], "has the point 7"),
        (SQUARE * 40_000, "is a polygon of 160,000 points"),
    ],
)
def test_what_is_no_polygon_is_named_with_file_rib_and_image(tmp_path, value, message):
    root = lay(tmp_path, train=changed("L3", value))
    with pytest.raises(DataDamaged, match=rf"^vindr-rib: .*train_mask\.json L3 of img '1' {message}.*, expected "):
        vindr_rib.index(root)


@pytest.mark.trap("vindr-rib", "20 keys, R1 to R10 and L1 to L10")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("L7"), "has no column 'L7'"),
        (lambda c: c.pop("img"), "has no column 'img'"),
        (lambda c: c.update(R1=[1, 2]), r"has \[1, 2\] for 'R1'"),
        (lambda c: c["R4"].pop("2"), "has no R4 of img '2'"),
        (lambda c: c["img"].update({"2": 7}), "has 7 for img '2'"),
        (
            lambda c: c["img"].update({"2": "data/train/img/other.png"}),
            "has 'data.*' for img '2', expected a path",
        ),
        (lambda c: c["img"].update({"2": c["img"]["1"]}), r"names vindr_ribcxr_train_001\.png again at '2'"),
        (lambda c: c["img"].update({"2": path_of("val", 0)}), r"names vindr_ribcxr_val_000\.png, expected no image of"),
    ],
)
def test_a_table_that_cannot_be_is_named(tmp_path, change, message):
    content = ribs("train", 3)
    change(content)
    with pytest.raises(DataDamaged, match=rf"_mask\.json {message}"):
        vindr_rib.index(lay(tmp_path, train=content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("[" * 200_000, "is no JSON"),
        ('{"img": ' * 100_000, "is no JSON"),
        ('{"img": {"0": ', "is no JSON"),
        ("[1, 2]", "holds a list"),
        ("\0\0", "holds zero bytes"),
        (" " * ((32 << 20) + 1), "has 33,554,433 bytes, expected at most"),
    ],
)
def test_a_file_that_is_no_json_ends_in_one_typed_error_quickly(tmp_path, content, message):
    root = lay(tmp_path)
    (root / "data/train/Vindr_RibCXR_train_mask.json").write_text(content)
    started = time.monotonic()
    with pytest.raises(DataDamaged, match=rf"train_mask\.json {message}"):
        vindr_rib.index(root)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("split", ["train", "val"])
def test_an_absent_json_file_is_named(tmp_path, split):
    root = lay(tmp_path)
    (root / f"data/{split}/Vindr_RibCXR_{split}_mask.json").unlink()
    with pytest.raises(DataMissing, match=f"has no Vindr_RibCXR_{split}_mask.json, expected data/train/img"):
        vindr_rib.index(root)


def test_an_empty_folder_and_one_without_images_are_missing(tmp_path):
    with pytest.raises(DataMissing, match="is empty, expected data/train/img"):
        vindr_rib.index(tmp_path)
    for path in lay(tmp_path).glob("data/train/img/*"):
        path.unlink()
    with pytest.raises(DataMissing, match=r"has none of the 3 images of Vindr_RibCXR_train_mask\.json"):
        vindr_rib.index(tmp_path)


def test_a_truncated_image_is_one_error_and_the_rest_loads(tmp_path):
    root = lay(tmp_path)
    path = root / path_of("train", 0)
    path.write_bytes(path.read_bytes()[:60])
    errors = texts(vindr_rib.check(root), "error")
    assert len(errors) == 1
    assert "train_000.png cannot be decoded" in errors[0]


# ── check, task ──────────────────────────────────────────────────────────────────────────────────


def test_check_counts_and_finds_no_error(tmp_path):
    findings = vindr_rib.check(lay(tmp_path))
    assert texts(findings, "error") == []
    assert "3 training and 2 test images of 3 and 2 patients, none in both" in texts(findings, "ok")
    assert "100 ribs, of which 0 are missing" in texts(findings, "ok")


def test_the_paper_trains_this_task_by_adam_at_a_thousandth():
    paper = vindr_rib_task.protocol("paper")
    assert (paper.optimiser, paper.lr, paper.weight_decay) == ("adam", 1e-3, 0.0)
    assert (paper.loss, paper.size_px, paper.epochs) == ("dice", 224, 200)


def test_the_task_opens_with_a_channel_a_rib_and_an_empty_one_where_a_rib_is_missing(tmp_path):
    index = vindr_rib.index(lay(tmp_path, train=changed("L10", "None")))
    protocol = replace(vindr_rib_task.protocol("quick"), size_px=32, score_px=32)
    opened = vindr_rib_task.open(index, protocol, Context(cache=tmp_path / "cache", dataset=vindr_rib))
    assert opened.data["structures"] == list(RIBS)
    drawn = opened.masks(np.arange(5)).sum(dim=(2, 3)) > 0
    assert drawn.shape == (5, 20)
    assert not drawn[1, RIBS.index("L10")]
    assert int(drawn.sum()) == 99


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.vindr_rib; print(sorted({'torch', 'cv2', 'PIL', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────


ROLES = (
    Role("vindr-rib", "data/train/img/VinDr_RibCXR_train_000.png", "item", ANY_PNG, A_PART),
    Role("vindr-rib", "data/train/Vindr_RibCXR_train_mask.json", "index", (*FORMS, *PLACES, *JSONS, *VINDR_RIB)),
)
