"""The phantom in the layouts of Shenzhen, VinDr-CXR and VinDr-RibCXR, read by the real readers."""

from __future__ import annotations

import hashlib
import json

import cv2
import numpy as np
import pytest
from PIL import Image

from tasks.phantom import draw_patient, render
from tasks.phantom.chest.patient import TUBERCULOSIS
from tasks.phantom.layouts.shenzhen import write_shenzhen
from tasks.phantom.layouts.vindr_cxr import _film, upright, vindr_patient, write_vindr_cxr
from tasks.phantom.layouts.vindr_rib import _films, write_vindr_rib
from tasks.reading.vindr import read_votes
from tasks.shenzhen import shenzhen
from tasks.vindr_cxr import LABELS, vindr_cxr
from tasks.vindr_rib import RIBS, vindr_rib

PATIENTS = {"shenzhen": 24, "vindr_cxr": 16, "vindr_rib": 10}
READERS = {"shenzhen": shenzhen, "vindr_cxr": vindr_cxr, "vindr_rib": vindr_rib}
WRITERS = {"shenzhen": write_shenzhen, "vindr_cxr": write_vindr_cxr, "vindr_rib": write_vindr_rib}


@pytest.fixture(scope="module", autouse=True)
def _small_films():
    """Films a quarter of their size: what is looked at here does not depend on it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.phantom.layouts.shenzhen._SIDES_PX", (160, 200))
        patch.setattr("tasks.phantom.layouts.vindr_cxr._SIDES_PX", (144, 176))
        patch.setattr("tasks.phantom.layouts.vindr_rib.IMAGE_PX", 512)
        yield


@pytest.fixture(scope="module")
def written(tmp_path_factory, _small_films):
    roots = {name: tmp_path_factory.mktemp(name) for name in WRITERS}
    for name, write in WRITERS.items():
        write(roots[name], patients=PATIENTS[name], seed=3)
    return roots


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def look_of(item):
    with Image.open(item.image) as picture:
        return picture.mode, picture.size


def texts(findings, level):
    return [finding.text for finding in findings if finding.level == level]


# ── all three ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_seed_writes_the_same_bytes(written, name, tmp_path):
    WRITERS[name](tmp_path, patients=PATIENTS[name], seed=3)
    assert files(tmp_path) == files(written[name])


@pytest.mark.parametrize("name", WRITERS)
def test_the_real_reader_finds_nothing_wrong(written, name):
    index = READERS[name].index(written[name])
    assert index.phantom
    assert index.part == ""
    assert len(index.items) == PATIENTS[name]
    assert texts(READERS[name].check(written[name]), "error") == []


@pytest.mark.parametrize("name", WRITERS)
def test_too_few_patients_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="patients must be at least 4, not 3"):
        READERS[name].write_phantom(tmp_path, patients=3, seed=0)


def test_the_seal_stands_last_and_names_what_was_written(written):
    content = json.loads((written["vindr_rib"] / "PHANTOM.json").read_text())
    assert (content["phantom"], content["patients"], content["seed"]) == ("vindr-rib", 10, 3)


def test_the_people_of_jsrt_and_nih_are_who_they_were():
    """Whatever was added since: a phantom that is on disk stays what it is (NumPy's bit streams are versioned)."""
    drawn = "".join(
        repr(draw_patient(0, number, collection=collection, follow_up=number % 3))
        for collection in ("jsrt", "nih")
        for number in range(300)
    )
    assert (
        hashlib.sha256(drawn.encode()).hexdigest() == "a094bf5e82dfa22a76fd19230493301afedf1c07ad01292a2924608bece9fcfc"
    )


# ── tuberculosis ─────────────────────────────────────────────────────────────────────────────────


def test_tuberculosis_is_drawn_only_where_it_is_asked_for():
    assert not any(draw_patient(0, number).has(TUBERCULOSIS) for number in range(300))
    assert draw_patient(0, 1, kinds=(TUBERCULOSIS,)).labels == (TUBERCULOSIS,)


def test_tuberculosis_keeps_to_the_upper_zones():
    ill = [draw_patient(0, number, kinds=(TUBERCULOSIS,)) for number in range(60)]
    assert all(0.12 <= lesion.height <= 0.4 for patient in ill for lesion in patient.lesions)
    assert any(len(patient.lesions) == 2 for patient in ill)


@pytest.mark.parametrize("collection", ["shenzhen", "vindr"])
def test_tuberculosis_brightens_an_upper_zone_where_it_lies_and_nothing_elsewhere(collection):
    for number in range(1, 4):
        sick, well = (
            render(draw_patient(0, number, collection=collection, kinds=kinds), 256) for kinds in ((TUBERCULOSIS,), ())
        )
        change = sick.brightness - well.brightness
        extent = np.any([mask for _, mask in sick.lesion_masks], axis=0)
        assert change[extent].mean() > 0.02
        assert abs(change[~cv2.dilate(extent.astype(np.uint8), np.ones((61, 61))).astype(bool)]).mean() < 0.002
        rows = np.flatnonzero((sick.mask("left lung") | sick.mask("right lung")).any(axis=1))
        assert np.flatnonzero(extent.any(axis=1)).mean() < rows.mean()


# ── Shenzhen ─────────────────────────────────────────────────────────────────────────────────────


def test_shenzhen_has_both_labels_sizes_palettes_masks_and_readings(written, tmp_path, monkeypatch):
    root = written["shenzhen"]
    index = shenzhen.index(root)
    assert [item.labels[0] for item in index.items] == [0.0] * 12 + [1.0] * 12
    assert {look_of(item)[0] for item in index.items} == {"P"}
    assert len({look_of(item)[1] for item in index.items}) > 5
    assert sum(bool(item.masks) for item in index.items) == 21
    readings = shenzhen.readings(root)
    assert all(reading.sex and reading.age for reading in readings.values())
    assert [("PTB" in readings[item.id].findings) for item in index.items] == [False] * 12 + [True] * 12
    monkeypatch.setattr("tasks.phantom.layouts.shenzhen._RGB_EVERY", 2)
    write_shenzhen(tmp_path, patients=4, seed=3)
    assert [look_of(item)[0] for item in shenzhen.index(tmp_path).items] == ["P", "RGB"] * 2


def test_palette_indices_alone_are_an_inverted_film(written):
    item = shenzhen.index(written["shenzhen"]).items[0]
    assert (np.asarray(Image.open(item.image)) == 255 - shenzhen.read_image(item)).all()


# ── VinDr-CXR ────────────────────────────────────────────────────────────────────────────────────


def test_the_default_vindr_phantom_has_every_trap():
    films = [_film(number, False, 0) for number in range(1, 201)]
    assert 15 < sum(film.monochrome1 for film in films) < 45
    assert 50 < sum(film.windowed for film in films) < 90
    assert any(film.monochrome1 and film.windowed for film in films)
    assert all(len(set(film.readers)) == 3 for film in films)
    assert len({film.name for film in films}) == 200


def test_window_and_monochrome1_give_back_the_film(written):
    index = vindr_cxr.index(written["vindr_cxr"])
    films = {film.name: film for film in (_film(number, False, 3) for number in range(1, 17))}
    seen = set()
    for item in index.items:
        film = films[item.id]
        seen.add((film.monochrome1, film.windowed))
        expected = upright(render(film.patient, film.side_px).image)[:-3].astype(float)
        if not film.windowed:
            expected = 255 * (expected - expected.min()) / np.ptp(expected)
        assert np.abs(vindr_cxr.read_image(item)[:-3] - expected).max() < 3
    assert {inverted for inverted, _ in seen} == {windowed for _, windowed in seen} == {False, True}


def test_readers_differ_and_the_truth_is_always_among_what_they_say(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.phantom.layouts.vindr_cxr._SIDES_PX", (64, 64))
    monkeypatch.setattr("tasks.phantom.layouts.vindr_cxr._MISREAD_SHARE", 0.8)
    write_vindr_cxr(tmp_path, patients=30, seed=0)
    votes = read_votes(tmp_path / "annotations/image_labels_train.csv")
    assert any(len(set(said)) > 1 for said in votes.values())
    index = vindr_cxr.index(tmp_path)
    truth = {film.name: film.patient for film in (_film(number, False, 0) for number in range(1, 31))}
    for item in index.items:
        said = {label for label, value in zip(LABELS, item.labels, strict=True) if value}
        patient = truth[item.id]
        assert ("Tuberculosis" in said) == patient.has(TUBERCULOSIS)
        assert ("Pleural effusion" in said) == patient.has("Effusion")
        assert ("No finding" in said) == (not patient.labels)
    assert any("1 cells of the label tables are empty" in note for note in index.notes)


def test_the_two_tables_spell_other_diseases_differently_and_one_box_is_negative(written):
    tables = {path.name: path.read_text() for path in (written["vindr_cxr"] / "annotations").iterdir()}
    assert "Other diseases," in tables["image_labels_train.csv"].splitlines()[0]
    assert "Other disease," in tables["image_labels_test.csv"].splitlines()[0]
    assert "rad_id" not in tables["image_labels_test.csv"]
    assert tables["annotations_train.csv"].count(",-8.07,") == 1
    assert tables["annotations_test.csv"].count("-") == 0


def test_boxes_hold_their_lesion(written):
    index = vindr_cxr.index(written["vindr_cxr"])
    test = {item.id: item for item in index.split("test")}
    boxes = [box for box in vindr_cxr.boxes(written["vindr_cxr"]) if box.image in test]
    films = {film.name: film for film in (_film(number, True, 3) for number in range(1, 17))}
    for box in boxes:
        film = films[box.image]
        masks = [upright(mask) for _, mask in render(film.patient, film.side_px).lesion_masks]
        assert any(
            mask.any() and cv2.boundingRect(mask.astype(np.uint8))[:2] == (box.x_min, box.y_min) for mask in masks
        )
    assert boxes


# ── VinDr-RibCXR ─────────────────────────────────────────────────────────────────────────────────


def test_ribs_are_drawn_as_they_were_rendered(written):
    index = vindr_rib.index(written["vindr_rib"])
    people = {film.path.rpartition("/")[2]: film.number for film in _films(10, 3)}
    item = index.items[0]
    shown = render(vindr_patient(3, people[item.image.name]), 512)
    for rib in RIBS:
        drawn, true = vindr_rib.read_mask(item, rib), upright(shown.mask(rib))
        assert 2 * (drawn & true).sum() / (drawn.sum() + true.sum()) > 0.95, rib


def test_one_rib_is_missing_and_some_reach_beyond_the_film(written):
    index = vindr_rib.index(written["vindr_rib"])
    missing = [(item.id, rib) for item in index.items for rib, drawn in item.drawn.items() if not drawn]
    assert missing == [("VinDr_RibCXR_train_002", "L10")]
    assert '"L10": {"0": [{"x": ' in (written["vindr_rib"] / "data/train/Vindr_RibCXR_train_mask.json").read_text()


def test_rib_films_are_vindr_films_at_another_size(written):
    film = _films(10, 3)[0]
    name = _film(film.number, False, 3).name
    source = next(item for item in vindr_cxr.index(written["vindr_cxr"]).items if item.id == name)
    other = next(item for item in vindr_rib.index(written["vindr_rib"]).items if film.path.endswith(item.image.name))
    films = vindr_cxr.read_image(source), vindr_rib.read_image(other)
    assert films[0].shape != films[1].shape
    small = [cv2.resize(image, (48, 60), interpolation=cv2.INTER_AREA)[:56].ravel() for image in films]
    assert np.corrcoef(small)[0, 1] > 0.99
