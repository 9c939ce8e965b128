"""DRIVE: both copies, the truth's traps, the task's recipe, and a run that learns."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eden_bench.contracts import Context
from eden_bench.errors import DataDamaged, DataMissing, UsageError
from tasks.drive import FIELD, OBSERVER_2, VESSELS, drive, drive_task, in_test_half
from tests.tasks.hostile.content import FORMS, PLACES
from tests.tasks.hostile.pictures import TIFF_LIES
from tests.tasks.hostile.roles import ANY_GIF, Role

NUMBERS = [f"{k:02d}" for k in range(1, 41)]


def lay(root: Path, *, folder: str = "{}", labelled: bool = True, second: bool = True) -> Path:
    """Lay all files of a copy, empty: an index never looks into them."""
    for number in NUMBERS:
        half = "test" if in_test_half(number) else "training"
        names = [f"images/{number}_{half}.tif", f"mask/{number}_{half}_mask.gif"]
        names += [f"1st_manual/{number}_manual1.gif"] if labelled or half == "training" else []
        names += [f"2nd_manual/{number}_manual2.gif"] if second and labelled and half == "test" else []
        for name in names:
            path = root / folder.format(half) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return root


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.array(opened)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    root = tmp_path_factory.mktemp("drive")
    drive.write_phantom(root, patients=10, seed=1)
    return root


# ── copies ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("drive", "older copies label both halves", "the official halves")
@pytest.mark.parametrize("folder", ["{}", "DRIVE/{}", "datasets/DRIVE/{}"])
def test_an_older_copy_has_the_official_halves(tmp_path, folder):
    index = drive.index(lay(tmp_path, folder=folder))
    assert [item.id for item in index.split("test")] == [f"{k:02d}_test" for k in range(1, 21)]
    assert [item.id for item in index.split("train")] == [f"{k}_training" for k in range(21, 41)]
    assert index.split_rule == "the dataset's own train and test lists"
    assert (index.notes, index.part, index.phantom) == ((), "", False)
    assert all(set(item.masks) == {VESSELS, FIELD, OBSERVER_2} for item in index.split("test"))
    assert all(set(item.masks) == {VESSELS, FIELD} for item in index.split("train"))
    assert len({item.patient for item in index.items}) == 40


@pytest.mark.trap(
    "drive", "current downloads label only the training half", "runs on it, and says so in rule, note and split digest"
)
def test_a_current_copy_runs_on_its_labelled_half_and_never_passes_as_official(tmp_path):
    index = drive.index(lay(tmp_path, labelled=False))
    assert [item.id for item in index.items] == [f"{k}_training" for k in range(21, 41)]
    assert 8 <= len(index.split("test")) <= 12
    assert index.split("test") == drive.index(tmp_path).split("test")
    assert index.part == "20 of 40 images"
    assert index.split_rule.startswith("not the official split, whose test half has no masks here")
    assert "9 of 20 patients are the test set, those whose hash of dataset and patient is below 50%" in index.split_rule
    assert "drive: test/1st_manual is absent" in index.notes[0]


@pytest.mark.trap("drive", "current downloads label only the training half")
def test_the_splits_digest_of_a_current_copy_is_another(tmp_path):
    from tasks.finetuning.splits import split

    halves = [split(drive.index(lay(tmp_path / name, labelled=name == "old")), 0.1) for name in ("old", "new")]
    assert halves[0].digest != halves[1].digest
    assert (len(halves[0].train), len(halves[0].validation), len(halves[0].test)) == (18, 2, 20)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("training/1st_manual/3*", r"training/1st_manual has 10 files, expected 20 \(30_manual1.gif is missing\)"),
        ("training/mask/21*", r"training/mask has 19 files, expected 20 \(.* is missing\)"),
        ("test/images/*", r"test/images has 0 files, expected 20 \(01_test.tif is missing\)"),
        ("test/1st_manual/01*", r"test/1st_manual has 19 files, expected 20 \(.* is missing\)"),
    ],
)
def test_a_half_unpacked_copy_says_what_is_absent(tmp_path, pattern, message):
    lay(tmp_path)
    for path in tmp_path.glob(pattern):
        path.unlink()
    with pytest.raises(DataMissing, match=f"{message}: unpack DRIVE again"):
        drive.index(tmp_path)


def test_two_files_of_one_kind_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(DataMissing, match="is empty, expected training/ and test/"):
        drive.index(tmp_path)
    lay(tmp_path)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/21_training.tif").touch()
    with pytest.raises(DataDamaged, match=r"is a second 21_training\.tif, expected only"):
        drive.index(tmp_path)


# ── pixels ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.trap("drive", "observer 2 as palette 0 and 1, observer 1 as 0 and 255", "above 0 is vessel")
def test_masks_of_0_and_1_and_of_0_and_255_read_alike(phantom, tmp_path):
    item = drive.index(phantom).split("test")[0]
    first, second, field = (drive.read_mask(item, name) for name in (VESSELS, OBSERVER_2, FIELD))
    assert first.dtype == second.dtype == bool
    assert first.shape == (584, 565)
    assert 2 * (first & second).sum() / (first.sum() + second.sum()) > 0.7
    assert field.mean() > 0.6
    raw = [picture(item.masks[name][0]) for name in (VESSELS, OBSERVER_2)]
    assert [pixels.max() for pixels in raw] == [255, 1]
    assert all(np.array_equal(pixels > 0, mask) for pixels, mask in zip(raw, (first, second), strict=True))


@pytest.mark.trap(
    "drive", "up to 78 vessel pixels outside the field of view", "they stay; `dice_region` leaves them out"
)
def test_vessels_outside_the_field_of_view_stay(phantom):
    items = drive.index(phantom).items
    outside = [(drive.read_mask(item, VESSELS) & ~drive.read_mask(item, FIELD)).sum() for item in items]
    assert max(outside) > 0


@pytest.mark.trap("drive", "565 × 584 RGB", "another size is damage")
def test_photographs_are_in_colour(phantom):
    image = drive.read_image(drive.index(phantom).items[0])
    assert image.shape == (584, 565, 3)
    assert image[..., 0].mean() > 1.5 * image[..., 2].mean()


def test_an_unknown_structure_is_named(phantom):
    with pytest.raises(UsageError, match="vessel"):
        drive.read_mask(drive.index(phantom).items[0], "vessel")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_hostile_files_are_one_sentence_and_quick(phantom, tmp_path):
    item = drive.index(phantom).items[0]
    tif, gif = item.image.read_bytes(), item.masks[VESSELS][0].read_bytes()
    begun = time.perf_counter()
    for name, content, message in (
        ("cut.tif", tif[: len(tif) // 2], "cannot be decoded|is no such picture"),
        ("text.tif", b"II*\0nonsense", "cannot be decoded|is no such picture"),
        ("empty.tif", b"", "is empty"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataDamaged, match=rf"^drive: .*{name} .*({message})"):
            drive.read_image(replace(item, image=tmp_path / name))
    for name, content, message in (
        ("cut.gif", gif[:2000], "cannot be decoded"),
        ("bomb.gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "claims 65,535×65,535 pixels|claims more pixels"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataDamaged, match=rf"^drive: .*{name} .*({message})"):
            drive.read_mask(replace(item, masks={VESSELS: (tmp_path / name,)}), VESSELS)
    assert time.perf_counter() - begun < 5


@pytest.mark.trap("drive", "565 × 584 RGB")
def test_another_size_is_refused(phantom, tmp_path):
    item = drive.index(phantom).items[0]
    Image.linear_gradient("L").resize((512, 512)).convert("RGB").save(tmp_path / "small.tif")
    with pytest.raises(DataDamaged, match=r"small\.tif has 512×512 pixels, expected 565×584"):
        drive.read_image(replace(item, image=tmp_path / "small.tif"))


# ── checking ─────────────────────────────────────────────────────────────────────────────────────


def test_check_is_content_with_the_phantom_and_compares_the_observers(phantom):
    findings = drive.check(phantom)
    assert {finding.level for finding in findings} == {"ok"}
    text = "\n".join(finding.text for finding in findings)
    assert "25 masks, each of 565×584 px" in text
    assert "the second observer agrees with the first by a Dice of" in text
    assert "vessel pixels of an image lie outside its field of view" in text


def test_check_tells_inverted_and_broken_masks(phantom, tmp_path):
    shutil.copytree(phantom, tmp_path / "drive")
    path = tmp_path / "drive/training/1st_manual/21_manual1.gif"
    Image.fromarray(255 - picture(path)).save(path)
    (tmp_path / "drive/training/mask/22_training_mask.gif").write_bytes(b"")
    errors = [finding.text for finding in drive.check(tmp_path / "drive") if finding.level == "error"]
    assert any("21_manual1.gif covers 9" in error and "expected 2% to 30%" in error for error in errors)
    assert any("22_training_mask.gif is empty" in error for error in errors)


def test_check_of_nothing_is_one_error(tmp_path):
    (finding,) = drive.check(tmp_path)
    assert (finding.level, "is empty" in finding.text) == ("error", True)


# ── the task ─────────────────────────────────────────────────────────────────────────────────────


def test_the_recipe_is_the_released_codes():
    paper = drive_task.protocol("paper")
    assert (paper.size_px, paper.score_px, paper.loss, paper.batch_size) == (512, 512, "bce", 16)
    assert (paper.intensity_p, paper.distortion_p, paper.crop_p) == (0, 0, 0)
    assert (paper.lr, paper.optimiser, paper.epochs, paper.patience) == (2e-4, "adamw", 200, 20)
    assert (paper.mean, paper.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (drive_task.channels, drive_task.structures, drive_task.region) == (3, (VESSELS,), FIELD)


@pytest.fixture(scope="module")
def outcome(phantom, tmp_path_factory):
    from eden_bench import protocols, registry

    quick = protocols.load("quick")
    random = registry.methods.get("random")
    encoder = random(quick.method_config("random", random.Config())).load_encoder(0)
    protocol = replace(drive_task.protocol("quick"), size_px=96, score_px=128, max_steps=40, precision="fp32")
    context = Context(cache=tmp_path_factory.mktemp("cache"), dataset=drive)
    return drive_task.open(drive.index(phantom), protocol, context).run(encoder, 0)


def test_a_random_network_learns_vessels_beyond_the_floor_of_marking_everything(outcome):
    cases = outcome.cases
    pixels = 128 * 128
    floor = np.mean([2 * true / (true + pixels) for true in cases["true_px"]])
    assert floor < 0.2
    assert outcome.scores["dice"] > floor + 0.1


@pytest.mark.trap("drive", "up to 78 vessel pixels outside the field of view")
def test_dice_counts_all_pixels_and_dice_region_those_in_the_field_of_view(outcome):
    assert set(outcome.cases) >= {"dice", "dice_region"}
    assert outcome.scores["dice_region"] == pytest.approx(outcome.scores["dice"], abs=0.1)
    assert len(outcome.cases["case"]) == 5
    assert outcome.cases["case"][0] == "01_test"


def test_a_copy_without_its_test_half_runs_on_the_other_and_says_so(tmp_path):
    whole = drive.index(lay(tmp_path, labelled=False))
    shutil.rmtree(whole.root / "test")
    index = drive.index(whole.root)
    assert (index.items, index.part) == (whole.items, "20 of 40 images")
    assert index.notes[0].startswith("drive: test/ is absent: the labelled training images are split")


# ── broken files (tests.tasks.hostile) ──────────────────────────────────────────────────────────────


ROLES = (
    Role("drive", "training/images/21_training.tif", "item", (*FORMS, *PLACES, *TIFF_LIES)),
    Role("drive", "training/1st_manual/21_manual1.gif", "item", ANY_GIF),
    Role("drive", "training/mask/21_training_mask.gif", "item", ANY_GIF),
)
