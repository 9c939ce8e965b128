import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.scr import STRUCTURES, odd_numbered, scr
from tests.tasks.hostile.content import FORMS, PLACES, instead, to_bytes, to_text
from tests.tasks.hostile.lists import TEXTS
from tests.tasks.hostile.pictures import picture as broken_picture
from tests.tasks.hostile.roles import ANY_GIF, Role

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


@pytest.mark.trap(
    "scr", "fold 1 holds the 124 odd, fold 2 the 123 even images", "counted; which fold is odd is seen from the names"
)
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


@pytest.mark.trap("scr", "mask folders with spaces, or with underscores", "both")
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


@pytest.mark.trap("scr", "mask folders with spaces, or with underscores")
def test_folder_names_may_differ_in_case_and_joints(tmp_path):
    lay(tmp_path, folds={"Fold_1": ODD, "Fold_2": EVEN})
    for path in sorted(tmp_path.rglob("left lung")):
        path.rename(path.with_name("Left_Lung"))
    assert len(scr.index(tmp_path).split("train")) == 124


@pytest.mark.trap("scr", "fold 1 holds the 124 odd, fold 2 the 123 even images")
def test_which_fold_is_odd_is_seen_from_the_names_and_fold_1_still_trains(tmp_path):
    index = scr.index(lay(tmp_path, folds={"fold1": EVEN, "fold2": ODD}))
    assert [item.id for item in index.split("train")] == sorted(EVEN)
    assert "fold1, the training set, holds the 123 even-numbered images" in index.notes[0]


@pytest.mark.trap("scr", "copies without folds", "folds by the odd-even rule, and said")
def test_a_flat_copy_gets_its_folds_by_the_odd_even_rule(tmp_path):
    index = scr.index(lay(tmp_path, masks="masks{0:.0}/{1}/{2}.gif"))
    assert [item.id for item in index.split("train")] == sorted(ODD)
    assert "the masks lie in no folds, so odd-numbered images are the training set" in index.notes[0]


def test_folds_that_are_not_the_published_ones_are_said(tmp_path):
    index = scr.index(lay(tmp_path, folds={"fold1": NAMES[:124], "fold2": NAMES[124:]}))
    assert "the folds are not the published ones" in index.notes[0]


@pytest.mark.trap("scr", "154 nodule and 93 normal names", "one numbering, nodules first")
def test_the_numbering_runs_on_from_the_nodules_to_the_normals():
    assert [odd_numbered(name) for name in NAMES] == [k % 2 == 1 for k in range(1, 248)]
    assert (len(ODD), len(EVEN)) == (124, 123)


@pytest.mark.trap("scr", "JSRT converted to PNG")
def test_an_original_is_preferred_to_its_conversion(tmp_path):
    lay(tmp_path)
    touch(tmp_path / "All247images/JPCLN001.png")
    touch(tmp_path / "A/JPCLN002.png")
    index = scr.index(tmp_path)
    assert {item.image.suffix for item in index.items} == {".IMG"}
    assert index.notes == ()


@pytest.mark.trap("scr", "JSRT converted to PNG", "read and said; the original is preferred")
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


def test_check_of_half_unpacked_data_is_one_error(tmp_path):
    assert [finding.level for finding in scr.check(tmp_path)] == ["error"]


def test_importing_the_dataset_stays_light():
    code = "import sys, tasks.scr; print(sorted({'torch', 'cv2', 'PIL', 'pandas', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


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


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────

_CLINICAL = (
    to_text("a line of two fields", lambda text: "JPCLN001.IMG\t4\n" + text),
    to_text("text for a number", lambda text: text.replace("\t4\t", "\tfour\t", 1)),
)
_SITE = "the cut falls into a site, which is any text, and nothing says how many lines there were"
_IMG = (
    to_bytes("two bytes more", lambda content: content + b"\0\0"),
    to_bytes("little endian", lambda content: np.frombuffer(content, "<u2").byteswap().tobytes()),
    instead("PNG under its name", lambda: broken_picture((2048, 2048))),
)

ROLES = (
    Role("scr", "All247images/JPCLN001.IMG", "item", (*FORMS, *PLACES, *_IMG)),
    Role("scr", "scratch/fold1/masks/heart/JPCLN001.gif", "item", ANY_GIF),
    Role(
        "scr",
        "Clinical_Information/CLNDAT_EN.txt",
        "nodules",
        (*FORMS, *PLACES, *TEXTS, *_CLINICAL),
        {"cut by a tenth": _SITE},
    ),
)
