import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.reading.splitting import by_patient, rule
from tasks.shenzhen import Reading, reading_of, shenzhen, shenzhen_task
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.lists import TEXTS
from tests.tasks.hostile.roles import A_PART, ANY_PNG, Role

SHARED = Path(__file__).parents[3] / "shared/data/shenzhen"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real radiographs are not beside the repository")

NAMES = tuple(f"CHNCXR_{number:04d}_{int(number >= 20)}" for number in range(14, 26))
"""The rule of the split tests 18 and 24."""


def chest(side_px: int = 32) -> np.ndarray:
    image = np.full((side_px, side_px + 6), 40, np.uint8)
    image[:, side_px // 3 : -side_px // 3] = 180
    return image


def lay(root: Path, names=NAMES, folder: str = "CXR_png") -> Path:
    """Write a small Shenzhen: six normal, six ill, in folders as they are unpacked; one mask; one reading."""
    for part in (folder, "ClinicalReadings", "mask"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(chest()).save(root / folder / f"{name}.png")
    Image.fromarray((chest() > 100).astype(np.uint8) * 255).save(root / "mask" / f"{NAMES[0]}_mask.png")
    (root / "ClinicalReadings" / f"{NAMES[0]}.txt").write_text("male 45yrs\r\nnormal\r\n")
    return root


def texts(findings, level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


def png_claiming(width: int, height: int) -> bytes:
    """Return a PNG of a few bytes whose header claims a size."""
    chunks = [(b"IHDR", width.to_bytes(4) + height.to_bytes(4) + b"\x08\0\0\0\0"), (b"IDAT", zlib.compress(b"\0" * 9))]
    parts = [len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


# ── layout, labels, split ────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("shenzhen", "the last digit of the name is the label", "0 or 1, or the file is named")
def test_the_last_digit_of_a_name_is_its_label_and_each_image_a_patient(tmp_path):
    index = shenzhen.index(lay(tmp_path))
    assert index.label_names == ("Tuberculosis",)
    assert [item.labels for item in index.items] == [(0.0,)] * 6 + [(1.0,)] * 6
    assert [item.patient for item in index.items] == [f"{number:04d}" for number in range(14, 26)]
    assert index.part == "12 of 662 images"


def test_the_split_is_the_fixed_rule_for_whole_patients(tmp_path):
    index = shenzhen.index(lay(tmp_path))
    tested = by_patient("shenzhen", {item.id: item.patient for item in index.items})
    assert {item.id for item in index.split("test")} == tested
    assert index.split_rule.startswith(f"{len(tested)} of 12 patients are the test set, those whose hash")


def test_the_split_of_a_part_is_that_of_the_whole(tmp_path):
    whole, part = shenzhen.index(lay(tmp_path / "a")), shenzhen.index(lay(tmp_path / "b", NAMES[3:]))
    tested = {item.id for item in whole.split("test")}
    assert {item.id for item in part.split("test")} == tested & {item.id for item in part.items}


@pytest.mark.trap("shenzhen", "326 normal, 336 ill", "with those counts the split holds both labels")
def test_about_a_fifth_of_the_662_is_tested_with_both_labels():
    names = {f"CHNCXR_{number:04d}_{int(number > 326)}": f"{number:04d}" for number in range(1, 663)}
    tested = by_patient("shenzhen", names)
    assert len(tested) == 115
    assert rule(names, tested).startswith("115 of 662 patients are the test set")
    assert any("115 of the 662" in note and "134 test images" in note for note in shenzhen.card.notes)
    assert 0.4 < np.mean([name.endswith("1") for name in tested]) < 0.6


@pytest.mark.trap("shenzhen", "unpacked in one folder more or less", "found anywhere")
@pytest.mark.parametrize("folder", ["CXR_png", "ChinaSet_AllFiles/CXR_png", "images", "ChinaSet_AllFiles/deep/CXR_png"])
def test_images_are_found_wherever_they_were_unpacked(tmp_path, folder):
    assert len(shenzhen.index(lay(tmp_path, folder=folder)).items) == 12


@pytest.mark.trap(
    "shenzhen", "566 lung masks in a separate release (reported)", "optional; an image without one says so when asked"
)
def test_masks_are_optional_and_known_by_their_name(tmp_path):
    index = shenzhen.index(lay(tmp_path))
    assert [sorted(item.masks) for item in index.items[:2]] == [["lungs"], []]
    assert "shenzhen: 1 of 12 images have a lung mask" in index.notes
    mask = shenzhen.read_mask(index.items[0], "lungs")
    assert mask.dtype == bool
    assert (mask == (chest() > 100)).all()
    with pytest.raises(DataMissing, match=r"CHNCXR_0015_0\.png has no lung mask, expected CHNCXR_0015_0_mask\.png"):
        shenzhen.read_mask(index.items[1], "lungs")
    with pytest.raises(UsageError, match=r"unknown structure 'lung'\. Did you mean 'lungs'\?"):
        shenzhen.read_mask(index.items[0], "lung")


def test_a_mask_without_image_and_a_second_copy_are_said(tmp_path):
    root = lay(tmp_path)
    Image.fromarray(chest()).save(root / "mask/CHNCXR_0400_1_mask.png")
    (root / "copy").mkdir()
    Image.fromarray(chest()).save(root / "copy" / f"{NAMES[1]}.png")
    notes = " ".join(shenzhen.index(root).notes)
    assert "1 lung masks have no image and are left out, for example CHNCXR_0400_1_mask.png" in notes
    assert "1 images or masks stand in two folders; the first is read" in notes


# ── pixels ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("shenzhen", "635 palette files, 27 RGB (reported)", "grey as it is shown")
def test_palette_and_rgb_files_read_as_grey(tmp_path):
    index = shenzhen.index(lay(tmp_path))
    indexed = Image.fromarray(255 - chest())
    indexed.putpalette([255 - k // 3 for k in range(768)])
    assert indexed.mode == "P"
    indexed.save(index.items[0].image)
    Image.fromarray(np.repeat(chest()[:, :, None], 3, axis=2)).save(index.items[1].image)
    assert (np.asarray(Image.open(index.items[0].image)) != chest()).all(), "the trap"
    for item in index.items[:2]:
        image = shenzhen.read_image(item)
        assert image.shape == chest().shape
        assert (image == chest()).all()


# ── readings ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("shenzhen", "readings in free text", "sex, age and the rest; nothing in it is an error")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("male 45yrs\r\nbilateral PTB\r\n", Reading("M", 45, "bilateral PTB")),
        ("Female  27 yrs,\nnormal", Reading("F", 27, "normal")),
        ("female, 33year \n\n right upper PTB", Reading("F", 33, "right upper PTB")),
        ("Male 8months\nSTB", Reading("M", 0, "STB")),
        ("normal", Reading("", None, "normal")),
        ("male\nnormal 5 mm nodule", Reading("M", None, "normal 5 mm nodule")),
        ("", Reading("", None, "")),
    ],
)
def test_readings_are_parsed_leniently(text, expected):
    assert reading_of(text) == expected


@pytest.mark.trap("shenzhen", "readings in free text")
@given(st.text(max_size=60))
def test_no_reading_is_an_error(text):
    assert reading_of(text).sex in ("", "F", "M")


def test_readings_go_by_image(tmp_path):
    assert shenzhen.readings(lay(tmp_path)) == {f"{NAMES[0]}.png": Reading("M", 45, "normal")}


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("shenzhen", "the last digit of the name is the label")
@pytest.mark.parametrize(("name", "label"), [("CHNCXR_0020_2", "2"), ("CHNCXR_0020_x", "X"), ("CHNCXR_0020_01", "01")])
def test_a_label_that_is_neither_0_nor_1_is_named(tmp_path, name, label):
    with pytest.raises(DataDamaged, match=rf"{name}\.png has the label '{label}', expected 0 or 1"):
        shenzhen.index(lay(tmp_path, (*NAMES, name)))


def test_a_patient_with_both_labels_is_damaged(tmp_path):
    with pytest.raises(DataDamaged, match=r"CHNCXR_0014_1\.png is of patient 0014 like CHNCXR_0014_0, expected one"):
        shenzhen.index(lay(tmp_path, (*NAMES, "CHNCXR_0014_1")))


def test_a_folder_without_images_is_missing(tmp_path):
    with pytest.raises(DataMissing, match=r"is empty, expected CXR_png/CHNCXR_0001_0\.png"):
        shenzhen.index(tmp_path)
    (tmp_path / "readme.txt").write_text("x")
    with pytest.raises(DataMissing, match="has no images, expected CXR_png"):
        shenzhen.index(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"GIF89a", "is no such picture"),
        (png_claiming(60_000, 60_000), "claims 60,000×60,000 pixels|more pixels than any radiograph"),
        (png_claiming(2_000, 2_000), "cannot be decoded"),
    ],
)
def test_a_broken_or_giant_png_is_named_quickly_and_the_rest_loads(tmp_path, content, message):
    index = shenzhen.index(lay(tmp_path))
    index.items[3].image.write_bytes(content)
    started = time.monotonic()
    with pytest.raises(DataDamaged, match=rf"CHNCXR_0017_0\.png.*({message})"):
        shenzhen.read_image(index.items[3])
    errors = texts(shenzhen.check(tmp_path), "error")
    assert time.monotonic() - started < 5
    assert len(errors) == 1
    assert "CHNCXR_0017_0.png" in errors[0]


def test_check_counts_and_finds_no_error(tmp_path):
    findings = shenzhen.check(lay(tmp_path))
    assert texts(findings, "error") == []
    assert "6 normal and 6 with tuberculosis" in texts(findings, "ok")
    assert "images decoded: 12 of 38×32 px" in texts(findings, "ok")
    assert "1 clinical readings, 1 with sex and age in years" in texts(findings, "ok")


@pytest.mark.trap(
    "shenzhen", "sizes vary, about 3000 × 2900", "each at its own size; a mask of another size is refused"
)
def test_check_names_masks_that_are_empty_or_of_another_size(tmp_path):
    root = lay(tmp_path)
    Image.fromarray(np.zeros_like(chest())).save(root / "mask" / f"{NAMES[0]}_mask.png")
    Image.fromarray(chest(16)).save(root / "mask" / f"{NAMES[1]}_mask.png")
    errors = texts(shenzhen.check(root), "error")
    assert "CHNCXR_0014_0_mask.png is an empty mask" in errors[0]
    assert "CHNCXR_0015_0_mask.png has 22×16 pixels, expected 38×32" in errors[1]


def test_check_says_when_one_label_is_absent(tmp_path):
    assert "6 normal and 0 with tuberculosis; only one of the two is in train" in " ".join(
        texts(shenzhen.check(lay(tmp_path, NAMES[:6])), "note")
    )


# ── task, phantom, real files ────────────────────────────────────────────────────────────────────


def test_the_task_is_one_label_scored_by_auc():
    assert (shenzhen_task.dataset, shenzhen_task.kind, shenzhen_task.score.name) == (
        "shenzhen",
        "classification",
        "auc",
    )


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.shenzhen; print(sorted({'torch', 'cv2', 'PIL', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@real
def test_the_seven_real_radiographs_are_normal_and_upright():
    index = shenzhen.index(SHARED)
    assert index.part == "7 of 662 images"
    assert {item.labels for item in index.items} == {(0.0,)}
    sizes = [shenzhen.read_image(item).shape for item in index.items]
    assert sizes[0] == (730, 750)
    assert not [text for text in texts(shenzhen.check(SHARED), "error") if "air is bright" in text]


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────

_FREE_TEXT = {
    **dict.fromkeys(
        (
            "cut to a byte",
            "cut to 40 bytes",
            "cut in half",
            "cut by a tenth",
            "random bytes of its length",
            "html page",
        ),
        "a reading is free text, and no task needs it",
    ),
    "folder": "not every image has a reading",
}

ROLES = (
    Role("shenzhen", "CXR_png/CHNCXR_0001_0.png", "item", ANY_PNG, A_PART),
    Role("shenzhen", "mask/CHNCXR_0001_0_mask.png", "item", ANY_PNG, {"folder": "not every image has a mask"}),
    Role("shenzhen", "ClinicalReadings/CHNCXR_0001_0.txt", "readings", (*FORMS, *PLACES, *TEXTS), _FREE_TEXT),
)
