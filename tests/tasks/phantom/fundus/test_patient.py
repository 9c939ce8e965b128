"""The eyes of the fundus phantom: vessels, disc, retinopathy and its grades."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.phantom.fundus.patient import SEVERE_PER_QUADRANT, Lesion, draw_eye, graded
from tasks.phantom.fundus.rendering import render
from tasks.phantom.fundus.vessels import THINNEST, branching_angle

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
