import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Item
from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.scr import STRUCTURES, odd_numbered, scr

NAMES = [f"JPCLN{k:03d}" for k in range(1, 155)] + [f"JPCNN{k:03d}" for k in range(1, 94)]
ODD, EVEN = NAMES[::2], NAMES[1::2]


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def lay(
    root: Path, *, images="All247images/{}.IMG", masks="scratch/{}/masks/{}/{}.gif", folds=None, names=NAMES
) -> Path:
    """Lay all files of a whole SCR, empty: an index never looks into them."""
    for name in names:
        touch(root / images.format(name))
    for fold, members in (folds or {"fold1": ODD, "fold2": EVEN}).items():
        for structure in STRUCTURES:
            for name in members:
                touch(root / masks.format(fold, structure, name))
    return root


def drop(root: Path, pattern: str) -> None:
    for path in root.rglob(pattern):
        path.unlink()


# ── layouts ──────────────────────────────────────────────────────────────────────────────────────


def test_the_whole_release_is_247_images_of_which_fold_1_trains(tmp_path):
    index = scr.index(lay(tmp_path))
    assert [item.id for item in index.items] == sorted(NAMES)
    assert [item.id for item in index.split("train")] == sorted(ODD)
    assert [item.id for item in index.split("test")] == sorted(EVEN)
    assert (len(index.split("train")), len(index.split("test"))) == (124, 123)
    assert index.part == ""
    assert not index.phantom
    assert index.notes == ()
    assert len({item.patient for item in index.items}) == 247


def test_mask_folders_have_spaces_in_their_names(tmp_path):
    item = scr.index(lay(tmp_path)).items[0]
    assert item.masks["left lung"] == (tmp_path / "scratch/fold1/masks/left lung/JPCLN001.gif",)
    assert set(item.masks) == {*STRUCTURES, "lungs", "clavicles"}
    assert item.masks["clavicles"] == (item.masks["left clavicle"][0], item.masks["right clavicle"][0])


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("JSRT/All247images/{}.IMG", "{}/masks/{}/{}.gif"),
        ("{}.img", "SCR/scratch/{}/masks/{}/{}.GIF"),
        ("all247IMAGES/{}.IMG", "Scratch/{}/Masks/{}/{}.gif"),
        ("All247images/{}.png", "scratch/{}/masks/{}/{}.png"),
        ("images/{}.IMG.png", "scratch/{}/masks/{}/{}.gif"),
    ],
)
def test_common_nestings_and_cases_are_read_alike(tmp_path, images, masks):
    index = scr.index(lay(tmp_path, images=images, masks=masks))
    assert len(index.split("train")) == 124


def test_folder_names_may_differ_in_case_and_joints(tmp_path):
    lay(tmp_path, folds={"Fold_1": ODD, "Fold_2": EVEN})
    for path in sorted(tmp_path.rglob("left lung")):
        path.rename(path.with_name("Left_Lung"))
    assert len(scr.index(tmp_path).split("train")) == 124


def test_which_fold_is_odd_is_seen_from_the_names_and_fold_1_still_trains(tmp_path):
    index = scr.index(lay(tmp_path, folds={"fold1": EVEN, "fold2": ODD}))
    assert [item.id for item in index.split("train")] == sorted(EVEN)
    assert "fold1, the training set, holds the 123 even-numbered images" in index.notes[0]


def test_a_flat_copy_gets_its_folds_by_the_odd_even_rule(tmp_path):
    index = scr.index(lay(tmp_path, masks="masks{0:.0}/{1}/{2}.gif"))
    assert [item.id for item in index.split("train")] == sorted(ODD)
    assert "the masks lie in no folds, so odd-numbered images are the training set" in index.notes[0]


def test_folds_that_are_not_the_published_ones_are_said(tmp_path):
    index = scr.index(lay(tmp_path, folds={"fold1": NAMES[:124], "fold2": NAMES[124:]}))
    assert "the folds are not the published ones" in index.notes[0]


def test_the_numbering_runs_on_from_the_nodules_to_the_normals():
    assert [odd_numbered(name) for name in NAMES] == [k % 2 == 1 for k in range(1, 248)]
    assert (len(ODD), len(EVEN)) == (124, 123)


def test_an_original_is_preferred_to_its_conversion(tmp_path):
    lay(tmp_path)
    touch(tmp_path / "All247images/JPCLN001.png")
    touch(tmp_path / "A/JPCLN002.png")
    index = scr.index(tmp_path)
    assert {item.image.suffix for item in index.items} == {".IMG"}
    assert index.notes == ()


def test_conversions_to_png_are_said(tmp_path):
    assert "247 of 247 radiographs are conversions to PNG" in scr.index(lay(tmp_path, images="png/{}.png")).notes[0]


def test_what_archivers_and_other_tools_leave_is_passed_over(tmp_path):
    lay(tmp_path)
    for name in ("__MACOSX/fold1/masks/heart/._JPCLN001.gif", "fold1/masks/heart/.DS_Store", "fold1/masks/heart/x.pfs"):
        touch(tmp_path / name)
    assert len(scr.index(tmp_path).items) == 247


# ── half unpacked ────────────────────────────────────────────────────────────────────────────────


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(
        DataMissing, match=r"is empty, expected All247images with .* fold1 and fold2 .*: unpack scr\.zip"
    ):
        scr.index(tmp_path)


def test_a_folder_without_masks_says_so(tmp_path):
    lay(tmp_path)
    drop(tmp_path, "*.gif")
    with pytest.raises(DataMissing, match="scr: masks/heart has 0 masks, expected 247: unpack"):
        scr.index(tmp_path)


def test_an_empty_structure_folder_says_its_count_in_the_words_of_the_release(tmp_path):
    lay(tmp_path)
    drop(tmp_path, "fold1/masks/heart/*.gif")
    expected = r"^scr: fold1/masks/heart has 0 masks, expected 124: unpack scr\.zip again into EDEN_BENCH_DATA/scr$"
    with pytest.raises(DataMissing, match=expected):
        scr.index(tmp_path)


@pytest.mark.parametrize(("fold", "expected"), [(1, 124), (2, 123)])
def test_a_fold_that_is_absent_is_counted_by_the_other_ones_names(tmp_path, fold, expected):
    lay(tmp_path)
    drop(tmp_path, f"fold{fold}/masks/*/*.gif")
    with pytest.raises(DataMissing, match=f"fold{fold}/masks/heart has 0 masks, expected {expected}:"):
        scr.index(tmp_path)


def test_one_mask_too_few_is_found(tmp_path):
    lay(tmp_path)
    drop(tmp_path, "right clavicle/JPCNN092.gif")
    with pytest.raises(DataMissing, match="fold2/masks/right clavicle has 122 masks, expected 123"):
        scr.index(tmp_path)


def test_an_image_too_few_is_named(tmp_path):
    lay(tmp_path)
    drop(tmp_path, "JPCNN042.IMG")
    with pytest.raises(DataMissing, match=r"All247images has 246 radiographs, expected 247 \(JPCNN042 is missing\)"):
        scr.index(tmp_path)


def test_no_images_at_all_is_said(tmp_path):
    lay(tmp_path)
    drop(tmp_path, "*.IMG")
    with pytest.raises(DataMissing, match=r"has 0 radiographs, expected 247 \(JPCLN001 is missing\)"):
        scr.index(tmp_path)


def test_half_of_both_is_no_whole(tmp_path):
    with pytest.raises(DataMissing, match="has 100 masks, expected 124"):
        scr.index(lay(tmp_path, names=NAMES[:150], folds={"fold1": ODD[:100], "fold2": EVEN[:50]}))


def test_a_patient_in_both_folds_is_an_error(tmp_path):
    lay(tmp_path, folds={"fold1": [*ODD[:123], "JPCLN002"], "fold2": EVEN})
    with pytest.raises(DataDamaged, match="JPCLN002 is in fold1 and in fold2, expected one of them"):
        scr.index(tmp_path)


def test_a_second_mask_of_one_image_is_an_error(tmp_path):
    lay(tmp_path)
    touch(tmp_path / "copy/fold1/masks/heart/JPCLN001.gif")
    with pytest.raises(DataDamaged, match=r"is a second mask of JPCLN001, expected only .*: remove one"):
        scr.index(tmp_path)


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


def test_img_files_are_read_as_films(tmp_path):
    raw = np.full((2048, 2048), 4095, ">u2")
    raw[1000:] = 0
    (tmp_path / "JPCLN001.IMG").write_bytes(raw.tobytes())
    image = scr.read_image(Item(id="a", patient="a", split="train", image=tmp_path / "JPCLN001.IMG"))
    assert image.shape == (2048, 2048)
    assert (image[0, 0], image[-1, 0]) == (0, 255)


def test_a_png_with_a_reversed_palette_is_not_inverted(tmp_path, four):
    picture = Image.fromarray(255 - chest()).convert("P")
    picture.putpalette([255 - k // 3 for k in range(768)])
    picture.save(four / "All247images/JPCLN001.png")
    assert (np.array(Image.open(four / "All247images/JPCLN001.png")) != chest()).all(), "the trap"
    assert (scr.read_image(scr.index(four).items[0]) == chest()).all()


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


def test_check_of_half_unpacked_data_is_one_error(tmp_path):
    assert [finding.level for finding in scr.check(tmp_path)] == ["error"]


def test_many_problems_are_counted_and_not_all_listed(tmp_path):
    root = small(tmp_path, **{name: chest(32) for name in NAMES[:4]})
    for path in root.rglob("*.gif"):
        path.write_bytes(b"")
    errors = texts(scr.check(root), "error")
    assert len(errors) == 11
    assert errors[-1] == "and 10 problems more"


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.scr; print(sorted({'torch', 'cv2', 'PIL', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


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


def test_a_link_that_leads_to_itself_is_named_where_it_is_read_and_spoils_nothing_else(tmp_path):
    (lay(tmp_path) / "loop").symlink_to("loop")
    item, *others = scr.index(tmp_path).items
    item.image.unlink()
    item.image.symlink_to(item.image.name)
    with pytest.raises(
        DataDamaged, match=rf"scr: .*{item.id}.* cannot be opened \(Too many levels of symbolic links\)"
    ):
        scr.read_image(scr.index(tmp_path).items[0])
    assert scr.index(tmp_path).items[1:] == tuple(others)


def test_more_patients_than_names_have_digits_are_refused(tmp_path):
    with pytest.raises(UsageError, match="1,000 patients, expected at most 999"):
        scr.write_phantom(tmp_path, patients=1000, seed=0)
