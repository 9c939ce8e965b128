"""The phantom on the disk: the layouts of JSRT, SCR and ChestX-ray14 with all their traps."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from eden_bench.errors import EdenError
from tasks.phantom import SCR_VERSION, render, write_chestxray14, write_scr
from tasks.phantom.chest.rendering import ORGANS
from tasks.phantom.layouts.chestxray14 import _shots
from tasks.phantom.layouts.scr import _films, raw

SCR_PATIENTS = 5
NIH_PATIENTS = 6


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def scr(tmp_path_factory):
    root = tmp_path_factory.mktemp("scr")
    write_scr(root, patients=SCR_PATIENTS, seed=9)
    return root


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    root = tmp_path_factory.mktemp("nih")
    write_chestxray14(root, patients=NIH_PATIENTS, seed=9)
    return root


def lines(path):
    return path.read_text().splitlines()


# ── SCR ──────────────────────────────────────────────────────────────────────────────────────────


def test_scr_images_are_big_endian_twelve_bit_with_bright_air(scr):
    patient = _films(SCR_PATIENTS, 9)[0].patient
    pixels = np.fromfile(scr / "All247images/JPCLN001.IMG", ">u2").reshape(2048, 2048)
    assert pixels.max() <= 4095
    brightness = render(patient, 2048).brightness
    assert np.allclose(1 - pixels / 4095, brightness, atol=1 / 4095)
    heart, lung = (render(patient, 2048).mask(name) for name in ("heart", "right lung"))
    assert pixels[lung].mean() > pixels[heart].mean()


def test_scr_landmarks_are_where_a_film_of_half_the_size_shows_them(scr):
    """Counted from edges, as points are, a place doubles with the film; counted from centres it would not."""
    half = render(_films(SCR_PATIENTS, 9)[0].patient, 1024).landmarks
    rows = [line.split(",") for line in lines(scr / "landmarks.csv") if line.startswith("JPCLN001,")]
    found = {name: (float(x), float(y)) for _, name, x, y in rows}
    assert found == {name: pytest.approx((2 * (x + 0.5), 2 * (y + 0.5)), abs=1e-3) for name, (x, y) in half.items()}


def test_the_raw_form_inverts_brightness():
    assert raw(np.array([[0.0, 1.0]], np.float32)).tolist() == [[4095, 0]]
    assert raw(np.zeros((1, 1), np.float32)).tobytes() == b"\x0f\xff"


def test_scr_masks_lie_in_two_folds_and_hold_0_and_255(scr):
    for fold, expected in ((1, 3), (2, 2)):
        for organ in ORGANS:
            folder = sorted((scr / f"scratch/fold{fold}/masks/{organ}").glob("*.gif"))
            assert len(folder) == expected
            with Image.open(folder[0]) as picture:
                assert picture.size == (1024, 1024)
                assert set(np.unique(np.asarray(picture))) == {0, 255}


def test_the_whole_scr_phantom_has_the_names_and_folds_of_the_real_one():
    films = _films(247, 0)
    names = [film.name for film in films]
    assert names == [f"JPCLN{k:03d}" for k in range(1, 155)] + [f"JPCNN{k:03d}" for k in range(1, 94)]
    first = [film.name for film in films if film.fold == 1]
    assert len(first) == 124
    assert all(int(name[-3:]) % 2 for name in first)
    assert all((film.patient.labels == ("Nodule",)) == ("CLN" in film.name) for film in films)


@pytest.mark.parametrize("patients", [4, 5, 7, 20, 60])
def test_odd_names_are_in_the_first_fold_whatever_the_number_of_patients(patients):
    assert all(film.fold == 2 - int(film.name[-3:]) % 2 for film in _films(patients, 0))


def test_clinical_text_ends_its_lines_in_cr_alone(scr):
    content = (scr / "Clinical_Information/CLNDAT_EN.txt").read_bytes()
    assert b"\n" not in content
    assert content.endswith(b"\r")
    rows = [row.split("\t") for row in content.decode().split("\r")[:-1]]
    assert [row[0] for row in rows] == ["JPCLN001.IMG", "JPCLN002.IMG", "JPCLN003.IMG", "JPCLN004.IMG"]
    assert all(len(row) == 9 and row[7] in ("malignant", "benign") for row in rows)


def test_the_clinical_text_points_at_the_nodule(scr):
    rows = (scr / "Clinical_Information/CLNDAT_EN.txt").read_bytes().decode().split("\r")[:-1]
    for row, film in zip(rows, _films(SCR_PATIENTS, 9), strict=False):
        _, mask = render(film.patient, 512).lesion_masks[0]
        x, y = (int(value) // 4 for value in row.split("\t")[5:7])
        assert mask[y, x]


# ── ChestX-ray14 ─────────────────────────────────────────────────────────────────────────────────


def test_the_entry_csv_has_eleven_header_fields_and_a_row_an_image(nih):
    header, *rows = lines(nih / "Data_Entry_2017_v2020.csv")
    assert header == (
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
    )
    assert all(len(row.split(",")) == 11 for row in [header, *rows])
    assert [row.split(",")[0] for row in rows] == sorted(path.name for path in (nih / "images").iterdir())
    assert all(re.fullmatch(r"\d{8}_\d{3}\.png", row.split(",")[0]) for row in rows)


def test_nih_images_are_grey_1024_pixels(nih):
    for path in (nih / "images").iterdir():
        with Image.open(path) as picture:
            assert picture.size == (1024, 1024)
            assert picture.mode in ("L", "RGBA")


def test_lists_are_patient_disjoint_and_cover_all_images(nih):
    train, test = (set(lines(nih / name)) for name in ("train_val_list.txt", "test_list.txt"))
    assert {name[:8] for name in train}.isdisjoint({name[:8] for name in test})
    assert train | test == {path.name for path in (nih / "images").iterdir()}


def test_all_boxed_images_are_in_the_test_list_and_have_the_label(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.phantom.layouts.chestxray14.IMAGE_PX", 64)
    write_chestxray14(tmp_path, patients=80, seed=1)
    header, *rows = lines(tmp_path / "BBox_List_2017.csv")
    labels = {row.split(",")[0]: row.split(",")[1] for row in lines(tmp_path / "Data_Entry_2017_v2020.csv")}
    assert header == "Image Index,Finding Label,Bbox [x,y,w,h],,,"
    assert {row.split(",")[0] for row in rows} <= set(lines(tmp_path / "test_list.txt"))
    assert "Infiltrate" in {row.split(",")[1] for row in rows}
    for name, kind, *box in (row.split(",") for row in rows):
        assert kind.replace("Infiltrate", "Infiltration") in labels[name].split("|")
        assert len(box) == 4
        assert all(float(value) >= 0 for value in box)


def test_the_default_phantom_is_about_400_films_of_320_people():
    shots = _shots(320, 0)
    assert 370 <= len(shots) <= 430
    assert 0.2 < np.mean([shot.test for shot in shots]) < 0.3
    assert 1 <= sum(shot.rgba for shot in shots) <= 12
    assert not any(shot.boxed and not shot.test for shot in shots)
    for kind in {label for shot in shots for label in shot.patient.labels}:
        assert any(kind in shot.patient.labels for shot in shots if shot.test), kind


def test_rgba_images_have_equal_colours(tmp_path):
    from tasks.phantom.layouts.writing import write_png

    grey = np.arange(16, dtype=np.uint8).reshape(4, 4)
    write_png(tmp_path / "a.png", grey, mode="RGBA")
    with Image.open(tmp_path / "a.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (4, 4, 4)
    assert np.array_equal(pixels, np.dstack([grey, grey, grey, np.full_like(grey, 255)]))


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(nih, tmp_path):
    write_chestxray14(tmp_path / "again", patients=NIH_PATIENTS, seed=9)
    assert files(tmp_path / "again") == files(nih)
    assert files(tmp_path / "again") != {}
    assert [shot.patient for shot in _shots(4, 9)] != [shot.patient for shot in _shots(4, 10)]


def test_scr_bytes_repeat(scr, tmp_path):
    write_scr(tmp_path, patients=SCR_PATIENTS, seed=9)
    assert files(tmp_path) == files(scr)


def test_the_seal_names_seed_version_and_patients(scr, nih):
    assert json.loads((scr / "PHANTOM.json").read_text()) == {
        "phantom": "scr", "version": SCR_VERSION, "seed": 9, "patients": SCR_PATIENTS, "images": SCR_PATIENTS
    }  # fmt: skip
    assert json.loads((nih / "PHANTOM.json").read_text())["patients"] == NIH_PATIENTS


def test_an_interrupted_phantom_has_no_seal(tmp_path, monkeypatch):
    def stop(what, done, total):
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.phantom.layouts.chestxray14.IMAGE_PX", 64)
    write_chestxray14(tmp_path, patients=4, seed=0)
    with pytest.raises(KeyboardInterrupt):
        write_chestxray14(tmp_path, patients=4, seed=0, progress=stop)
    assert not (tmp_path / "PHANTOM.json").exists()


def test_progress_counts_every_film(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.phantom.layouts.chestxray14.IMAGE_PX", 64)
    seen = []
    write_chestxray14(tmp_path, patients=6, seed=0, progress=lambda *report: seen.append(report))
    total = seen[0][2]
    assert seen == [("writing the ChestX-ray14 phantom", done, total) for done in range(1, total + 1)]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdenError, match=r"cannot be written .*: choose a folder you may write to"):
        write_scr(tmp_path / "file", patients=4)


@pytest.mark.parametrize("write", [write_scr, write_chestxray14])
def test_too_few_patients_are_refused(write, tmp_path):
    with pytest.raises(ValueError, match="patients must be at least 4, not 3"):
        write(tmp_path, patients=3)
