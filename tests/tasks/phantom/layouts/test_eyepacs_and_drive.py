"""EyePACS and DRIVE of the fundus phantom, as they lie on the disk."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eden_bench.errors import EdenError, UsageError
from tasks.phantom import FUNDUS_VERSION
from tasks.phantom.fundus.patient import draw_eye
from tasks.phantom.fundus.rendering import render
from tasks.phantom.layouts import eyepacs as eyepacs_writer
from tasks.phantom.layouts.drive import FIELD_PX, SIZE_PX, second_observer, write_drive
from tasks.phantom.layouts.eyepacs import framed, write_eyepacs
from tasks.phantom.sheets.fundus import write_fundus_sheet


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


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


@pytest.mark.trap(
    "eyepacs",
    "some eyes inverted",
    "kept: nothing in the files says which; the reader has no test of it, the phantom writes some",
)
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
    sizes = {}
    for form, ending in (("PNG", "png"), ("JPEG", "jpg")):
        write_fundus_sheet(tmp_path / f"sheet.{ending}")
        with Image.open(tmp_path / f"sheet.{ending}") as sheet:
            assert (sheet.width, sheet.format) == (2304, form)
            sizes[form] = np.asarray(sheet.convert("RGB"), float)
    assert np.abs(sizes["JPEG"] - sizes["PNG"]).mean() < 3


def test_the_command_asks_for_a_sheet():
    done = subprocess.run([sys.executable, "-m", "tasks.phantom"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "name at least one of --sheet and --fundus-sheet" in done.stderr
