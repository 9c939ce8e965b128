"""The phantom's anatomy: drawn from addresses, rendered the same for ever, with a truth that fits the image."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.phantom import draw_patient, render, write_sheet
from tasks.phantom.chest.canvas import Projection, inflate, smooth_closed
from tasks.phantom.chest.patient import BOXED, KINDS
from tasks.phantom.chest.rendering import LANDMARKS, RIBS, STRUCTURES

SIZE_PX = 256
LOCAL = tuple(kind for kind in KINDS if kind not in ("Cardiomegaly", "Emphysema", "Atelectasis", "Edema"))


@pytest.fixture(scope="module")
def crowd():
    """Films of sixteen people, healthy, small."""
    return [render(draw_patient(5, number, collection="jsrt", kinds=()), SIZE_PX) for number in range(16)]


def centre_x(mask):
    return np.flatnonzero(mask.any(axis=0)).mean()


def grown(mask, px):
    rows, columns = np.indices(mask.shape)
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (rows >= y[0] - px) & (rows <= y[-1] + px) & (columns >= x[0] - px) & (columns <= x[-1] + px)


def test_the_same_patient_renders_to_the_same_bytes():
    first, again = (render(draw_patient(1, 7), SIZE_PX) for _ in range(2))
    assert first.image.tobytes() == again.image.tobytes()
    assert first.landmarks == again.landmarks
    assert first.boxes == again.boxes


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 99999), st.integers(0, 9))
def test_a_patient_does_not_depend_on_who_was_drawn_before(seed, number, follow_up):
    alone = draw_patient(seed, number, follow_up=follow_up)
    draw_patient(seed, number + 1)
    assert draw_patient(seed, number, follow_up=follow_up) == alone


def test_seed_number_and_collection_each_make_another_person():
    people = [draw_patient(0, 1), draw_patient(1, 1), draw_patient(0, 2), draw_patient(0, 1, collection="jsrt")]
    assert len({person.anatomy for person in people}) == 4


def test_follow_ups_share_the_anatomy_and_differ_in_the_film():
    visits = [draw_patient(0, 11, follow_up=k) for k in range(3)]
    assert len({visit.anatomy for visit in visits}) == 1
    assert len({visit.film for visit in visits}) == 3
    assert [visit.age for visit in visits] == [visits[0].anatomy.age + k for k in range(3)]


def test_the_kinds_asked_for_change_nothing_but_the_lesions():
    assert draw_patient(0, 4, kinds=("Mass",)).film == draw_patient(0, 4, kinds=()).film
    assert draw_patient(0, 4, kinds=("Mass",)).labels == ("Mass",)


def test_an_unknown_kind_is_refused_by_name():
    with pytest.raises(ValueError, match=r"kinds must be among .* not 'Infiltrate'"):
        draw_patient(0, 1, kinds=("Infiltrate",))


def test_every_kind_of_finding_is_drawn_and_about_half_the_people_have_none():
    drawn = [draw_patient(0, number).labels for number in range(600)]
    assert {kind for labels in drawn for kind in labels} == set(KINDS)
    assert 0.4 < np.mean([not labels for labels in drawn]) < 0.5


def test_patients_differ_in_shape_pose_and_exposure(crowd):
    areas = np.array([shown.mask("heart").mean() for shown in crowd])
    darkness = np.array([shown.brightness[shown.mask("right lung")].mean() for shown in crowd])
    overlaps = [dice(crowd[0].mask("heart"), shown.mask("heart")) for shown in crowd[1:]]
    assert areas.std() / areas.mean() > 0.1
    assert darkness.std() > 0.02
    assert np.mean(overlaps) < 0.85
    assert len({shown.patient.film.turn_deg for shown in crowd}) == len(crowd)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_every_structure_is_on_the_film_and_lungs_are_dark_bones_bright(crowd):
    for shown in crowd:
        assert set(shown.masks) == set(STRUCTURES)
        assert all(mask.any() for mask in shown.masks.values())
        lungs = shown.mask("left lung") | shown.mask("right lung")
        assert shown.brightness[lungs].mean() < shown.brightness[shown.mask("heart")].mean() - 0.15


def test_masks_lie_inside_the_body(crowd):
    for shown in crowd:
        air = shown.brightness < 0.5 * np.percentile(shown.brightness[shown.mask("right lung")], 1)
        for name in ("heart", "left lung", "right lung", "left clavicle", "right clavicle"):
            assert (shown.mask(name) & air).mean() < 0.002, name


def test_the_patients_left_is_the_right_side_of_the_image(crowd):
    for shown in crowd:
        assert centre_x(shown.mask("left lung")) > centre_x(shown.mask("right lung"))
        assert centre_x(shown.mask("left clavicle")) > centre_x(shown.mask("right clavicle"))
        assert shown.landmarks["left diaphragm"][0] > shown.landmarks["right diaphragm"][0]
        assert all(centre_x(shown.mask(f"L{k}")) > centre_x(shown.mask(f"R{k}")) for k in range(1, 11))


def test_the_heart_reaches_farther_to_the_left_than_to_the_right(crowd):
    for shown in crowd:
        middle = (centre_x(shown.mask("left clavicle")) + centre_x(shown.mask("right clavicle"))) / 2
        columns = np.flatnonzero(shown.mask("heart").any(axis=0))
        assert columns[-1] - middle > middle - columns[0]


def test_lungs_and_heart_do_not_overlap_but_clavicles_overlap_ribs(crowd):
    for shown in crowd:
        assert not (shown.mask("heart") & (shown.mask("left lung") | shown.mask("right lung"))).any()
        ribs = np.any([shown.mask(name) for name in RIBS[:3]], axis=0)
        assert (ribs & shown.mask("right clavicle")).any()


def test_ribs_follow_one_another_downwards(crowd):
    for shown in crowd:
        for letter in "RL":
            heights = [np.flatnonzero(shown.mask(f"{letter}{k}").any(axis=1)).mean() for k in range(1, 11)]
            assert np.all(np.diff(heights) > 0)


def test_landmarks_lie_in_or_at_their_structures(crowd):
    inside = {"right clavicle": "right clavicle", "left clavicle": "left clavicle", "rib 6": "R6", "rib 5": "L5"}
    for shown in crowd:
        assert tuple(shown.landmarks) == LANDMARKS
        for landmark, structure in inside.items():
            x, y = shown.landmarks[landmark]
            assert shown.mask(structure)[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any(), landmark


def test_the_domes_are_where_the_lungs_end(crowd):
    for shown in crowd:
        for side in ("left", "right"):
            x, y = (round(value) for value in shown.landmarks[f"{side} diaphragm"])
            lowest = np.flatnonzero((shown.mask(f"{side} lung") | shown.mask("heart"))[:, x]).max()
            assert y <= lowest + 3
            assert not shown.mask(f"{side} lung")[y + 3 :, x].any()


def test_landmarks_keep_their_order_from_top_to_bottom(crowd):
    for shown in crowd:
        height = {name: y for name, (_, y) in shown.landmarks.items()}
        assert height["right clavicle"] < height["azygos arch"] < height["right diaphragm"]
        assert height["spinous process"] < height["pulmonary artery"] < height["end of thoracic spine"]


def test_truth_is_the_same_at_every_size():
    small, large = (render(draw_patient(2, 3, kinds=("Mass",)), px) for px in (256, 512))
    assert dice(small.mask("heart", 512), large.mask("heart")) == 1
    for name, (x, y) in small.landmarks.items():
        assert np.allclose((2 * x + 0.5, 2 * y + 0.5), large.landmarks[name])
    assert np.allclose(np.array(small.boxes[0][1:]) * 2, large.boxes[0][1:], atol=8)


@pytest.mark.parametrize("kind", LOCAL)
def test_a_local_lesion_changes_the_image_where_it_lies_and_hardly_elsewhere(kind):
    sick, well = (render(draw_patient(3, 21, kinds=kinds), SIZE_PX) for kinds in ((kind,), ()))
    change = np.abs(sick.brightness - well.brightness)
    extent = np.any([mask for _, mask in sick.lesion_masks], axis=0)
    assert change[extent].mean() > 0.01
    assert change[extent].mean() > 8 * change[~grown(extent, SIZE_PX // 12)].mean()


@pytest.mark.parametrize("kind", ["Emphysema", "Edema", "Atelectasis", "Cardiomegaly"])
def test_a_wide_lesion_changes_the_image_within_its_extent(kind):
    sick, well = (render(draw_patient(3, 22, kinds=kinds), SIZE_PX) for kinds in ((kind,), ()))
    change = sick.brightness - well.brightness
    extent = np.any([mask for _, mask in sick.lesion_masks], axis=0)
    assert abs(change[extent].mean()) > 0.01
    assert (change[extent].mean() < 0) == (kind == "Emphysema")


def test_cardiomegaly_widens_the_heart():
    sick, well = (render(draw_patient(3, 22, kinds=kinds), SIZE_PX) for kinds in (("Cardiomegaly",), ()))
    widths = [np.ptp(np.flatnonzero(shown.mask("heart").any(axis=0))) for shown in (sick, well)]
    assert widths[0] > 1.2 * widths[1]


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_given_for_the_eight_kinds_and_enclose_their_extent(kind):
    shown = render(draw_patient(3, 23, kinds=(kind,)), SIZE_PX)
    assert all(name == kind and mask.any() for name, mask in shown.lesion_masks)
    assert len(shown.boxes) == (len(shown.lesion_masks) if kind in BOXED else 0)
    for box, (_, mask) in zip(shown.boxes, shown.lesion_masks, strict=False):
        outside = mask.copy()
        outside[int(box.y) : int(box.y + box.height), int(box.x) : int(box.x + box.width)] = False
        assert not outside.any()
        assert box.width * box.height > 0


def test_a_lesion_on_the_left_lies_in_the_right_half_of_the_lungs():
    for number in range(40, 60):
        patient = draw_patient(0, number, kinds=("Nodule",))
        shown = render(patient, 128)
        for lesion, (_, mask) in zip(patient.lesions, shown.lesion_masks, strict=True):
            middle = (centre_x(shown.mask("left lung")) + centre_x(shown.mask("right lung"))) / 2
            assert (centre_x(mask) > middle) == (lesion.side > 0)


def test_turning_the_patient_moves_spinous_processes_against_clavicles():
    patient = draw_patient(0, 1, kinds=())

    def gap(turn_deg):
        film = dataclasses.replace(patient.film, turn_deg=turn_deg, roll_deg=0.0)
        marks = render(dataclasses.replace(patient, film=film), 64).landmarks
        return marks["spinous process"][0] - (marks["left clavicle"][0] + marks["right clavicle"][0]) / 2

    assert gap(8.0) < gap(0.0) < gap(-8.0)


def test_the_projection_without_pose_is_the_identity_about_the_films_middle():
    film = draw_patient(0, 1).film
    film = dataclasses.replace(film, turn_deg=0, tilt_deg=0, roll_deg=0, scale=1, shift_cm=(0, 0))
    points = np.array([(0.0, 0.0), (2.0, -3.0)])
    assert np.allclose(Projection(film)(points, 5.0), points + 17.8)


def test_inflating_rises_from_the_border_to_one():
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 1
    profile = inflate(mask, 35.6 / 64 * 8)
    assert profile[mask == 0].max() == 0
    assert profile[32, 32] == 1
    assert np.all(np.diff(profile[32, 15:25]) >= 0)


def test_the_smooth_curve_passes_through_its_points():
    corners = np.array([(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)])
    assert np.allclose(smooth_closed(corners, 5)[::5], corners)


@pytest.mark.parametrize("size_px", [63, 255, 32])
def test_odd_and_tiny_films_are_refused(size_px):
    with pytest.raises(ValueError, match=f"size_px must be even and at least 64, not {size_px}"):
        render(draw_patient(0, 1), size_px)


def test_an_unknown_structure_is_refused_by_name():
    with pytest.raises(ValueError, match="not 'liver'"):
        render(draw_patient(0, 1), 64).mask("liver")


def test_importing_the_package_imports_neither_opencv_nor_torch():
    code = "import sys, tasks.phantom; print([m for m in ('cv2', 'torch', 'numpy', 'PIL') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_contact_sheet_is_one_picture_below_a_megabyte(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.phantom.sheets.chest._RENDER_PX", 64)
    write_sheet(tmp_path / "sheet.png")
    assert 50_000 < (tmp_path / "sheet.png").stat().st_size < 1_000_000
