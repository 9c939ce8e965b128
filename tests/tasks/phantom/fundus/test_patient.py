"""The fundus phantom: anatomy, retinopathy, photographs, and the layouts of EyePACS and DRIVE."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from eden_bench.errors import EdenError, UsageError
from tasks.phantom import FUNDUS_VERSION
from tasks.phantom.fundus.patient import LESIONS, SEVERE_PER_QUADRANT, Lesion, draw_eye, graded
from tasks.phantom.fundus.rendering import STRUCTURES, View, render
from tasks.phantom.fundus.vessels import THINNEST, branching_angle
from tasks.phantom.layouts import eyepacs as eyepacs_writer
from tasks.phantom.layouts.drive import FIELD_PX, SIZE_PX, second_observer, write_drive
from tasks.phantom.layouts.eyepacs import framed, write_eyepacs
from tasks.phantom.sheets.fundus import write_fundus_sheet


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def shown():
    return render(draw_eye(0, 7, "right", grade=0), 320)


@pytest.fixture(scope="module")
def eyepacs(tmp_path_factory):
    root = tmp_path_factory.mktemp("eyepacs")
    write_eyepacs(root, patients=4, seed=5)
    return root


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    root = tmp_path_factory.mktemp("drive")
    write_drive(root, patients=5, seed=5)
    return root


@pytest.fixture
def one_tree(monkeypatch):
    """Give every eye the same few vessels, where a test is not about them."""
    few = draw_eye(0, 1, "left").vessels[:16]
    monkeypatch.setattr("tasks.phantom.fundus.patient.grow", lambda *arguments: few)


# ── the eye ──────────────────────────────────────────────────────────────────────────────────────


def test_branches_obey_murrays_law():
    vessels = draw_eye(0, 1, "left").vessels
    trunks = [number for number, vessel in enumerate(vessels) if vessel.order == 0]
    forks = [branch for branch in vessels if branch.parent in trunks]
    assert len(forks) > 20
    for branch in forks:
        parent = vessels[branch.parent]
        before, after = parent.radii[branch.fork - 1], parent.radii[branch.fork]
        assert before**3 == pytest.approx(after**3 + branch.radii[0] ** 3)
        assert np.array_equal(parent.points[branch.fork], branch.points[0])


def test_a_branch_leaves_at_the_angle_of_least_work():
    assert np.degrees(branching_angle(1.0, 0.5 ** (1 / 3), 0.5 ** (1 / 3))) == pytest.approx(37.47, abs=0.01)
    assert branching_angle(1, 0.3, (1 - 0.3**3) ** (1 / 3)) > branching_angle(1, 0.7, (1 - 0.7**3) ** (1 / 3))


def test_vessels_thin_from_the_disc_outwards_and_spare_the_fovea():
    for vessel in draw_eye(0, 2, "left").vessels:
        assert (np.diff(vessel.radii) <= 1e-12).all()
        assert vessel.radii[0] >= THINNEST
        if vessel.order:
            assert np.hypot(*vessel.points[2:].T).min(initial=1) > 0.08


def test_a_persons_eyes_share_pigment_and_calibre_and_differ_in_their_vessels():
    right, left = (draw_eye(3, 8, side) for side in ("right", "left"))
    assert (right.retina.pigment, right.retina.calibre) == (left.retina.pigment, left.retina.calibre)
    assert right.retina.disc != left.retina.disc
    assert len(right.vessels) != len(left.vessels) or right.vessels[0].points.shape != left.vessels[0].points.shape
    assert np.abs(right.vessels[0].points[20] - left.vessels[0].points[20]).max() < 0.15


def test_the_disc_is_on_the_nasal_side_of_either_eye():
    for side, sign in (("right", 1), ("left", -1)):
        for number in range(3):
            marks = render(draw_eye(1, number, side), 64).landmarks
            assert sign * (marks["optic disc"][0] - marks["fovea"][0]) > 15


def test_people_differ_between_cameras_and_in_pigment():
    assert draw_eye(0, 1, "left", camera="drive").retina != draw_eye(0, 1, "left").retina
    assert np.std([draw_eye(0, number, "left").retina.pigment for number in range(40)]) > 0.15


# ── retinopathy ──────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_the_grade_drawn_is_the_grade_its_lesions_have(number, grade):
    assert draw_eye(0, number, "left", grade=grade).grade == grade


def test_grades_by_hand():
    def sign(kind, x=0.5, y=0.5):
        return Lesion(kind, x, y, 0.01, 0)

    assert graded(()) == 0
    assert graded((sign("microaneurysm"),)) == 1
    for kind in ("haemorrhage", "hard exudate", "cotton-wool spot"):
        assert graded((sign("microaneurysm"), sign(kind))) == 2
    quadrants = [(x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)] * SEVERE_PER_QUADRANT
    bleeding = tuple(sign("haemorrhage", *place) for place in quadrants)
    assert graded(bleeding) == 3
    assert graded(bleeding[1:]) == 2
    assert graded((*bleeding, sign("neovascular tuft"))) == 4


def test_a_grade_beyond_the_scale_is_refused():
    with pytest.raises(ValueError, match="grade must be 0 to 4, not 5"):
        draw_eye(0, 1, "left", grade=5)


def test_lesions_change_the_picture_where_they_lie_and_nowhere_else():
    healthy, sick = (render(draw_eye(0, 9, "left", grade=grade), 320) for grade in (0, 3))
    change = np.abs(healthy.image.astype(int) - sick.image).max(axis=2)
    extent = np.any([sick.masks[kind] for kind in LESIONS], axis=0)
    assert change[extent].mean() > 20
    assert np.median(change[~extent]) == 0
    green = {kind: sick.image[sick.masks[kind], 1].mean() for kind in ("haemorrhage", "hard exudate")}
    assert green["haemorrhage"] < healthy.image[sick.masks["haemorrhage"], 1].mean() - 15
    assert green["hard exudate"] > healthy.image[sick.masks["hard exudate"], 1].mean() + 15


# ── the photograph ───────────────────────────────────────────────────────────────────────────────


def test_vessels_are_darker_in_green_than_what_is_beside_them_and_the_disc_is_bright(shown):
    vessels, field, disc = (shown.masks[name] for name in ("vessels", "field of view", "optic disc"))
    green = shown.image[..., 1].astype(float)
    assert green[vessels & ~disc].mean() < 0.8 * green[field & ~vessels & ~disc].mean()
    assert green[disc & ~vessels].mean() > 1.2 * green[field & ~disc].mean()
    red, _, blue = shown.image[field].mean(axis=0)
    assert red > 1.5 * blue


def test_masks_are_of_plausible_size_and_within_each_other(shown):
    masks = shown.masks
    assert set(STRUCTURES) | set(LESIONS) == set(masks)
    assert 0.06 < masks["vessels"].sum() / masks["field of view"].sum() < 0.2
    assert np.array_equal(masks["vessels"], masks["arteries"] | masks["veins"])
    assert masks["optic cup"].sum() < masks["optic disc"].sum()
    assert not (masks["optic cup"] & ~masks["optic disc"]).any()
    assert not any((mask & ~masks["field of view"]).any() for mask in masks.values())


def test_the_picture_is_black_outside_the_field_and_the_macula_darker_than_around(shown):
    assert shown.image[~shown.field].max() <= 128  # half-covered pixels of the soft border
    assert (shown.image[~shown.field] == 0).mean() > 0.95
    x, y = (round(value) for value in shown.landmarks["fovea"])
    green = shown.image[..., 1]
    assert green[y - 8 : y + 9, x - 8 : x + 9].mean() < 0.85 * np.median(green[shown.field & ~shown.masks["vessels"]])


def test_pixels_and_the_retina_are_mapped_there_and_back():
    view = View(draw_eye(2, 3, "left"), 256)
    places = view.retina(1)[:, 100, 30]
    assert view(places) == pytest.approx([30, 100], abs=1e-3)
    assert view.retina(1, (100, 104, 30, 32))[:, 0, 0] == pytest.approx(places, abs=1e-6)


def test_the_same_eye_is_drawn_the_same_at_any_size():
    eye = draw_eye(0, 4, "left")
    large, small = (render(eye, size).masks["vessels"] for size in (640, 320))
    assert small.mean() == pytest.approx(large.mean(), rel=0.15)
    assert (small & ~large.reshape(320, 2, 320, 2).any(axis=(1, 3))).mean() < 0.002


@pytest.mark.parametrize("size", [60, 66])
def test_odd_sizes_are_refused(size):
    with pytest.raises(ValueError, match=f"size_px must be a multiple of 4 and at least 64, not {size}"):
        render(draw_eye(0, 1, "left"), size)


# ── EyePACS on the disk ──────────────────────────────────────────────────────────────────────────


def test_eyepacs_has_two_eyes_a_patient_and_a_grade_each(eyepacs):
    for half, name, header in (
        ("train", "trainLabels.csv", ["image", "level"]),
        ("test", "retinopathy_solution.csv", ["image", "level", "Usage"]),
    ):
        first, *rows = csv.reader((eyepacs / name).read_text().splitlines())
        assert first == header
        assert sorted(row[0] for row in rows) == sorted(path.stem for path in (eyepacs / half).iterdir())
        for image, level, *_ in rows:
            number, side = image.split("_")
            assert draw_eye(5, int(number), side).grade == int(level)
    assert len(list((eyepacs / "train").iterdir())) == 6


def test_the_frame_is_black_and_an_inverted_eye_is_turned_by_half(monkeypatch, one_tree):
    monkeypatch.setattr(eyepacs_writer, "FIELDS_PX", (96,))
    eyes = [draw_eye(0, number, "left") for number in range(40)]
    assert 1 <= sum(eye.photograph.inverted for eye in eyes) <= 12
    eye = next(eye for eye in eyes if eye.photograph.inverted)
    upright = framed(replace(eye, photograph=replace(eye.photograph, inverted=False)))
    assert np.array_equal(framed(eye), upright[::-1, ::-1])
    assert framed(eye)[:, 0].max() <= 3
    assert len({framed(eye).shape for eye in eyes[:12]}) > 2


def test_the_default_eyepacs_phantom_has_every_grade_in_useful_number():
    grades = [draw_eye(0, number, side).grade for number in range(1, 121) for side in ("left", "right")]
    assert min(np.bincount(grades, minlength=5)) >= 12
    assert np.bincount(grades).argmax() == 0


# ── DRIVE on the disk ────────────────────────────────────────────────────────────────────────────


def picture(path):
    with Image.open(path) as opened:
        return np.array(opened)


def test_drive_is_laid_out_as_the_older_copies_are(drive):
    names = {str(path.relative_to(drive)) for path in drive.rglob("*.*") if path.suffix in (".tif", ".gif")}
    half = {f"test/images/{k:02d}_test.tif" for k in (1, 2)} | {
        f"training/images/{k}_training.tif" for k in (21, 22, 23)
    }
    assert half <= names
    assert {
        "test/2nd_manual/01_manual2.gif",
        "training/1st_manual/21_manual1.gif",
        "test/mask/02_test_mask.gif",
    } <= names
    assert len(names) == 5 * 3 + 2
    for name in names:
        with Image.open(drive / name) as opened:
            assert opened.size == SIZE_PX[::-1]


def test_observer_1_has_0_and_255_and_observer_2_a_palette_of_0_and_1(drive):
    assert set(np.unique(picture(drive / "test/1st_manual/01_manual1.gif"))) == {0, 255}
    assert set(np.unique(picture(drive / "test/2nd_manual/01_manual2.gif"))) == {0, 1}


def test_a_few_vessel_pixels_lie_outside_the_field_of_view(drive):
    outside = []
    for path in sorted(drive.glob("*/1st_manual/*.gif")):
        (field,) = drive.glob(f"*/mask/{path.name[:2]}_*")
        outside.append(int(((picture(path) > 0) & (picture(field) == 0)).sum()))
    assert 0 < max(outside) <= 78


def test_the_observers_agree_mostly():
    eye = draw_eye(0, 1, "left", camera="drive")
    first, second = render(eye, FIELD_PX).masks["vessels"], second_observer(eye)
    assert 0.75 < 2 * (first & second).sum() / (first.sum() + second.sum()) < 0.98


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(eyepacs, drive, tmp_path):
    write_eyepacs(tmp_path / "e", patients=4, seed=5)
    write_drive(tmp_path / "d", patients=5, seed=5)
    assert files(tmp_path / "e") == files(eyepacs)
    assert files(tmp_path / "d") == files(drive)
    assert draw_eye(5, 1, "left").retina != draw_eye(6, 1, "left").retina


def test_the_seals_carry_the_fundus_version(eyepacs, drive):
    for root, name, patients, images in ((eyepacs, "eyepacs", 4, 8), (drive, "drive", 5, 5)):
        assert json.loads((root / "PHANTOM.json").read_text()) == {
            "phantom": name, "version": FUNDUS_VERSION, "seed": 5, "patients": patients, "images": images
        }  # fmt: skip


@pytest.mark.parametrize("write", [write_eyepacs, write_drive])
def test_too_few_patients_and_a_blocked_folder_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="patients must be at least 4, not 3"):
        write(tmp_path, patients=3)
    (tmp_path / "file").write_text("")
    with pytest.raises(EdenError, match=r"cannot be written .*: choose a folder you may write to"):
        write(tmp_path / "file", patients=4)


def test_drive_has_no_more_than_forty_numbers(tmp_path):
    with pytest.raises(UsageError, match="phantom drive: 41 patients, expected at most 40"):
        write_drive(tmp_path, patients=41)


def test_the_contact_sheet_is_drawn(tmp_path, monkeypatch, one_tree):
    monkeypatch.setattr("tasks.phantom.sheets.fundus._SIDE_PX", 64)
    monkeypatch.setattr("tasks.phantom.sheets.fundus.FIELD_PX", 64)
    monkeypatch.setattr("tasks.phantom.sheets.fundus.second_observer", lambda eye: np.zeros((64, 64), bool))
    monkeypatch.setattr(eyepacs_writer, "FIELDS_PX", (64,))
    write_fundus_sheet(tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 2304


def test_the_command_asks_for_a_sheet():
    done = subprocess.run([sys.executable, "-m", "tasks.phantom"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name at least one of --sheet and --fundus-sheet" in done.stderr
