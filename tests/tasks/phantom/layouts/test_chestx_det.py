"""The ChestX-Det phantom: its layout with all its traps, and the films it shares with the ChestX-ray14 phantom."""

import json

import numpy as np
import pytest

from tasks.chestx_det import DISEASE, LABELS, SIDE_PX, chestx_det
from tasks.phantom.chest.patient import KINDS
from tasks.phantom.chest.rendering import render
from tasks.phantom.layouts.chestx_det import SYMS, _shots, write_chestx_det
from tasks.phantom.layouts.chestxray14 import films_of

PATIENTS = 7


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("det")
    write_chestx_det(folder, patients=PATIENTS, seed=4)
    return folder


def test_the_reader_takes_it_and_finds_no_error(root):
    index = chestx_det.index(root)
    assert index.phantom
    assert len(index.items) == PATIENTS
    assert not [finding for finding in chestx_det.check(root) if finding.level == "error"]


def test_images_are_those_of_the_chestxray14_phantom_bit_for_bit(root):
    shots = {shot.name: shot for shot in _shots(PATIENTS, 4)}
    for item in chestx_det.index(root).items[:2]:
        patient = shots[item.image.name].patient
        assert patient == films_of(patient.number, 4)[0]
        assert np.array_equal(chestx_det.read_image(item), render(patient, 1024).image)


def test_polygons_draw_the_lesions_and_boxes_enclose_them(root):
    shots = {shot.name: shot for shot in _shots(PATIENTS, 4)}
    instances = chestx_det.instances(root)
    items = [item for item in chestx_det.index(root).items if item.drawn[DISEASE]]
    whole = next(item for item in items if max(max(one.polygon) for one in instances[item.id]) < SIDE_PX)
    shown = render(shots[whole.image.name].patient, 1024)
    truth = np.any([mask for kind, mask in shown.lesion_masks if kind in SYMS], axis=0)
    drawn = chestx_det.read_mask(whole, DISEASE)
    assert (drawn & truth).sum() > 0.95 * (drawn | truth).sum()
    for one in instances[whole.id]:
        assert one.box == (min(one.polygon[::2]), min(one.polygon[1::2]), max(one.polygon[::2]), max(one.polygon[1::2]))


def test_the_lists_have_the_traps_of_the_real_ones(root):
    lists = [json.loads((root / f"ChestX_Det_{split}.json").read_text()) for split in ("train", "test")]
    assert all(set(entry) == {"file_name", "syms", "boxes", "polygons"} for entries in lists for entry in entries)
    assert (
        sum(entry["syms"] == entry["boxes"] == entry["polygons"] == [] for entries in lists for entry in entries) == 1
    )
    points = [point for entry in lists[0] for polygon in entry["polygons"] for point in polygon]
    assert max(x for x, _ in points) == SIDE_PX
    assert all(isinstance(number, int) for point in points for number in point)
    assert sorted(entry["file_name"] for entries in lists for entry in entries)[0] == "36199.png"


def test_names_tell_nothing_of_chestxray14():
    numbers = [shot.patient.number for shot in _shots(40, 0)]
    assert numbers != sorted(numbers)


def test_the_default_phantom_has_findings_in_both_parts_and_82_percent_have_one():
    shots = _shots(chestx_det.phantom_patients, 0)
    ill = [any(kind in SYMS for kind in shot.patient.labels) for shot in shots]
    assert len(shots) == len({shot.patient.number for shot in shots}) == chestx_det.phantom_patients
    assert sum(ill) == round(0.82 * chestx_det.phantom_patients)
    tested = [shot.split == "test" for shot in shots]
    assert sum(tested) == 25
    assert sum(a and b for a, b in zip(ill, tested, strict=True)) >= 10


def test_kinds_have_the_datasets_names():
    assert set(SYMS) == set(KINDS) - {"Edema", "Hernia"}
    assert set(SYMS.values()) == set(LABELS) - {"Calcification", "Diffuse Nodule", "Fracture"}


def test_the_same_seed_writes_the_same_bytes(root, tmp_path):
    write_chestx_det(tmp_path, patients=PATIENTS, seed=4)
    files = [{str(p.relative_to(r)): p.read_bytes() for p in r.rglob("*") if p.is_file()} for r in (root, tmp_path)]
    assert files[0] == files[1]


def test_too_few_patients_are_refused(tmp_path):
    with pytest.raises(ValueError, match="patients must be at least 4, not 3"):
        write_chestx_det(tmp_path, patients=3)
