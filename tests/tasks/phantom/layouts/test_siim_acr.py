"""The SIIM-ACR phantom: its layout with all its traps, and the people it shares with the ChestX-ray14 phantom."""

import json

import numpy as np
import pydicom
import pytest

from eden_bench.contracts import DatasetIndex, Item
from eden_bench.errors import DataMissing
from tasks.finetuning.splits import split
from tasks.phantom.chest.rendering import render
from tasks.phantom.layouts.chestxray14 import _shots as nih_shots
from tasks.phantom.layouts.siim_acr import _in_two, _shots, write_siim_acr
from tasks.reading.splitting import by_patient
from tasks.siim_acr import STRUCTURE, siim_acr

PATIENTS = 6


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("siim")
    write_siim_acr(folder, patients=PATIENTS, seed=3)
    return folder


def test_the_reader_takes_it_and_finds_no_error(root):
    index = siim_acr.index(root)
    assert index.phantom
    assert index.part == ""
    assert not [finding for finding in siim_acr.check(root) if finding.level == "error"]


def test_files_are_jpeg_baseline_of_1024_pixels_in_folders_by_study_and_series(root):
    paths = sorted((root / "dicom-images-train").rglob("*.dcm"))
    assert all(len(path.relative_to(root).parts) == 4 for path in paths)
    header = pydicom.dcmread(paths[0])
    assert header.file_meta.TransferSyntaxUID == pydicom.uid.JPEGBaseline8Bit
    assert (header.Rows, header.Columns, header.BitsAllocated) == (1024, 1024, 8)
    assert header.PhotometricInterpretation == "MONOCHROME2"
    assert paths[0].stem == header.SOPInstanceUID


def test_the_csv_has_the_traps_of_the_real_one(root):
    header, *rows = (root / "train-rle.csv").read_text().splitlines()
    assert header == "ImageId, EncodedPixels"
    values = {row.partition(",")[2] for row in rows}
    assert {"-1", " -1"} <= values
    named = {row.partition(",")[0] for row in rows}
    there = {path.stem for path in root.rglob("*.dcm")}
    assert named < there


def test_images_and_masks_are_those_of_the_chestxray14_phantom(root):
    shots = {shot.ids.image: shot for shot in _shots(PATIENTS, 3)}
    items = [item for item in siim_acr.index(root).items if item.drawn[STRUCTURE]]
    assert items
    shown = render(shots[items[0].id].patient, 1024)
    assert np.abs(siim_acr.read_image(items[0]).astype(int) - shown.image).mean() < 3
    truth = np.any([mask for kind, mask in shown.lesion_masks if kind == "Pneumothorax"], axis=0)
    assert np.array_equal(siim_acr.read_mask(items[0], STRUCTURE), truth)


def test_people_have_the_films_that_they_have_in_chestxray14():
    nih = {(shot.patient.number, shot.patient.follow_up): shot.patient for shot in nih_shots(40, 0)}
    shared = [shot.patient for shot in _shots(30, 0) if shot.patient.number <= 40]
    assert len(shared) > 20
    assert all(nih[patient.number, patient.follow_up] == patient for patient in shared)


def test_the_default_phantom_has_pneumothoraces_in_every_part_and_is_mostly_healthy():
    shots = _shots(siim_acr.phantom_patients, 0)
    sick = np.mean([shot.patient.has("Pneumothorax") for shot in shots])
    assert 0.18 < sick < 0.25
    assert 150 < len(shots) < 190
    assert len({shot.ids.patient for shot in shots}) == siim_acr.phantom_patients
    assert 1 <= sum(not shot.listed for shot in shots) <= 3
    patients = {shot.ids.image: shot.ids.patient for shot in shots if shot.listed}
    tested = by_patient("siim-acr", patients)
    positives = {shot.ids.image for shot in shots if shot.patient.has("Pneumothorax")}
    assert len(positives & tested) >= 3
    assert len(positives - tested) >= 15


def test_positives_validate_too(root):
    shots = [shot for shot in _shots(siim_acr.phantom_patients, 0) if shot.listed]
    tested = by_patient("siim-acr", {shot.ids.image: shot.ids.patient for shot in shots})
    items = tuple(
        Item(
            id=shot.ids.image,
            patient=shot.ids.patient,
            split="test" if shot.ids.image in tested else "train",
            image=root,
            labels=(float(shot.patient.has("Pneumothorax")),),
        )
        for shot in shots
    )
    index = DatasetIndex(dataset="siim-acr", root=root, items=items, expected_images=len(items))
    parts = split(index, 0.1)
    assert min(sum(items[row].labels[0] for row in part) for part in (parts.train, parts.validation, parts.test)) >= 1


def test_a_mask_in_two_rows_overlaps_and_is_whole():
    mask = np.zeros((40, 30), bool)
    mask[5:35, 8:20] = True
    upper, lower = _in_two(mask)
    assert np.array_equal(upper | lower, mask)
    assert (upper & lower).any()
    assert not np.array_equal(upper, mask)


def test_the_same_seed_writes_the_same_bytes(root, tmp_path):
    write_siim_acr(tmp_path, patients=PATIENTS, seed=3)
    files = [{str(p.relative_to(r)): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in (root, tmp_path)]
    assert files[0] == files[1]
    assert json.loads((root / "PHANTOM.json").read_text())["phantom"] == "siim-acr"


def test_too_few_patients_are_refused(tmp_path):
    with pytest.raises(ValueError, match="patients must be at least 4, not 3"):
        write_siim_acr(tmp_path, patients=3)
    with pytest.raises(DataMissing, match="is empty"):
        siim_acr.index(tmp_path)
