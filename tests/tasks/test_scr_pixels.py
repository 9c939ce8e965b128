"""Pixels, masks and ``data check`` of SCR, on small real files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Item
from eden_bench.errors import DataDamaged, UsageError
from tasks.scr import STRUCTURES, scr
from tests.tasks.test_scr import NAMES

# ── pixels ───────────────────────────────────────────────────────────────────────────────────────


def chest(size_px: int = 256) -> np.ndarray:
    """Air dark beside the neck, a bright middle."""
    image = np.full((size_px, size_px), 60, np.uint8)
    image[:, size_px * 2 // 5 : size_px * 3 // 5] = 200
    return image


def mask_at(x: int) -> np.ndarray:
    mask = np.zeros((1024, 1024), np.uint8)
    mask[400:600, x : x + 100] = 255
    return mask


def small(root: Path, **images: np.ndarray) -> Path:
    """A phantom-sized SCR of real files: PNG radiographs and 1024-px GIF masks, patient's left on the right."""
    for number, (name, image) in enumerate(images.items(), 1):
        (root / "All247images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / f"All247images/{name}.png")
        for structure in STRUCTURES:
            path = root / f"scratch/fold{2 - number % 2}/masks/{structure}/{name}.gif"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask_at(200 if structure.startswith("right") else 700)).save(path)
    (root / "PHANTOM.json").write_text("{}")
    return root


@pytest.fixture
def four(tmp_path: Path) -> Path:
    return small(tmp_path, **{name: chest() for name in NAMES[:4]})


@pytest.mark.trap("scr", "air is bright", "inverted")
def test_img_files_are_read_as_films(tmp_path):
    raw = np.full((2048, 2048), 4095, ">u2")
    raw[1000:] = 0
    (tmp_path / "JPCLN001.IMG").write_bytes(raw.tobytes())
    image = scr.read_image(Item(id="a", patient="a", split="train", image=tmp_path / "JPCLN001.IMG"))
    assert image.shape == (2048, 2048)
    assert (image[0, 0], image[-1, 0]) == (0, 255)


@pytest.mark.trap("scr", "a conversion with a reversed palette", "not inverted")
def test_a_png_with_a_reversed_palette_is_not_inverted(tmp_path, four):
    picture = Image.fromarray(255 - chest()).convert("P")
    picture.putpalette([255 - k // 3 for k in range(768)])
    picture.save(four / "All247images/JPCLN001.png")
    assert (np.array(Image.open(four / "All247images/JPCLN001.png")) != chest()).all(), "the trap"
    assert (scr.read_image(scr.index(four).items[0]) == chest()).all()


@pytest.mark.trap("scr", '"left" is the patient\'s left', "held; swapped folders are refused")
def test_left_is_the_patients_left(four):
    item = scr.index(four).items[0]
    assert np.nonzero(scr.read_mask(item, "left lung"))[1].mean() > 512
    assert np.nonzero(scr.read_mask(item, "right lung"))[1].mean() < 512


def test_a_union_covers_both_sides(four):
    item = scr.index(four).items[0]
    both = scr.read_mask(item, "clavicles")
    assert both.dtype == bool
    assert (both == (scr.read_mask(item, "left clavicle") | scr.read_mask(item, "right clavicle"))).all()
    assert both.sum() == 2 * 200 * 100


def test_an_unknown_structure_is_named_with_its_nearest(four):
    with pytest.raises(UsageError, match=r"unknown structure 'left lungs'\. Did you mean 'left lung'\?"):
        scr.read_mask(scr.index(four).items[0], "left lungs")


@pytest.mark.trap("scr", "masks of 1024², 0 and 255", "another size is damage")
def test_a_mask_of_another_size_is_damaged(four):
    Image.fromarray(mask_at(0)[::2, ::2]).save(four / "scratch/fold1/masks/heart/JPCLN001.gif")
    with pytest.raises(DataDamaged, match=r"scr: .*heart/JPCLN001\.gif has 512×512 pixels, expected 1024×1024"):
        scr.read_mask(scr.index(four).items[0], "heart")


# ── check ────────────────────────────────────────────────────────────────────────────────────────


def texts(findings, level: str) -> list[str]:
    return [finding.text for finding in findings if finding.level == level]


def test_check_of_whole_data_has_no_error_and_counts_everything(four):
    told = []
    findings = scr.check(four, lambda *what: told.append(what))
    assert texts(findings, "error") == []
    assert "4 images" in texts(findings, "ok")
    assert "2 training and 2 test images of 2 and 2 patients, none in both" in texts(findings, "ok")
    assert "images decoded: 4 of 256×256 px" in texts(findings, "ok")
    assert "the training fold holds the odd-numbered images" in texts(findings, "ok")
    assert any(text.startswith("20 masks: each of 1024×1024 px") for text in texts(findings, "ok"))
    assert told[-1] == ("checking scr", 4, 4)


def test_check_names_every_damaged_file_and_goes_on(four):
    (four / "All247images/JPCLN002.png").write_bytes(b"\x89PNG")
    (four / "scratch/fold1/masks/heart/JPCLN003.gif").write_bytes(b"")
    errors = texts(scr.check(four), "error")
    assert len(errors) == 2
    assert "JPCLN002.png" in errors[0]
    assert "heart/JPCLN003.gif is empty" in errors[1]


@pytest.mark.trap("scr", '"left" is the patient\'s left')
def test_check_finds_empty_masks_and_swapped_sides(four):
    Image.fromarray(mask_at(0) * 0).save(four / "scratch/fold1/masks/heart/JPCLN001.gif")
    Image.fromarray(mask_at(100)).save(four / "scratch/fold2/masks/left lung/JPCLN002.gif")
    errors = texts(scr.check(four), "error")
    assert len(errors) == 2
    assert "heart/JPCLN001.gif is an empty mask" in errors[0]
    assert "left lung/JPCLN002.gif lies on the patient's other side" in errors[1]


def test_check_finds_inverted_images(tmp_path):
    root = small(tmp_path, **{name: 255 - chest() for name in NAMES[:4]})
    notes = texts(scr.check(root), "note")
    assert any(text.startswith("air is bright in 4 of 4 images, expected dark: where they are") for text in notes)


def test_many_problems_are_counted_and_not_all_listed(tmp_path):
    root = small(tmp_path, **{name: chest(32) for name in NAMES[:4]})
    for path in root.rglob("*.gif"):
        path.write_bytes(b"")
    errors = texts(scr.check(root), "error")
    assert len(errors) == 11
    assert errors[-1] == "and 10 problems more"


def test_the_phantom_is_read_and_checked_like_the_real_one(tmp_path):
    scr.write_phantom(tmp_path, patients=4, seed=1)
    index = scr.index(tmp_path)
    assert index.phantom
    assert index.part == ""
    assert (len(index.split("train")), len(index.split("test"))) == (2, 2)
    assert texts(scr.check(tmp_path), "error") == []
    assert len(scr.nodules(tmp_path / "Clinical_Information/CLNDAT_EN.txt")) == sum(
        "JPCLN" in i.id for i in index.items
    )
