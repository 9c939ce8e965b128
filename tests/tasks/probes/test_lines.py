"""Where squares lie on a line, what is mixed of its ends, and the error of a guess."""

from fractions import Fraction

import numpy as np
import pytest

from tasks.probes import lines

CASES = [(1024, 85), (224, 18), (96, 8)]


def drawn(size_px, side_px, beyond):
    return np.concatenate([lines.draw_lines(0, str(film), 8, size_px, side_px, beyond=beyond) for film in range(30)])


@pytest.mark.parametrize("beyond", [False, True])
@pytest.mark.parametrize(("size_px", "side_px"), CASES)
def test_squares_stand_every_eighth_of_the_way_within_the_film(size_px, side_px, beyond):
    boxes = drawn(size_px, side_px, beyond)
    assert boxes.min() >= 0
    assert boxes.max() <= size_px
    assert (boxes[..., 2:] - boxes[..., :2] == side_px).all()
    a, b, candidates = boxes[:, 0, :2], boxes[:, 1, :2], boxes[:, 2:, :2]
    for eighth in range(1, 8):
        place = eighth + 8 * beyond
        assert (8 * (candidates[:, eighth - 1] - a) == place * (b - a)).all()


def apart(one, other, side_px):
    """Whether squares share no pixel."""
    return np.abs(one[..., :2] - other[..., :2]).max(axis=-1) >= side_px


@pytest.mark.parametrize(("size_px", "side_px"), CASES)
def test_between_a_and_b_no_two_squares_share_a_pixel(size_px, side_px):
    boxes = drawn(size_px, side_px, False)
    for one in range(9):
        for other in range(one):
            assert apart(boxes[:, one], boxes[:, other], side_px).all()


@pytest.mark.parametrize(("size_px", "side_px"), CASES)
def test_what_is_looked_for_beyond_b_shares_no_pixel_with_a_or_b(size_px, side_px):
    boxes = drawn(size_px, side_px, True)
    for eighth in lines.ASKED:
        for end in (0, 1):
            assert apart(boxes[:, end], boxes[:, 1 + eighth], side_px).all()


def test_lines_go_every_way_and_follow_seed_and_film():
    boxes = drawn(224, 18, False)
    way = boxes[:, 1, :2] - boxes[:, 0, :2]
    assert {(x > 0, y > 0) for x, y in way.tolist()} == {(x, y) for x in (True, False) for y in (True, False)}
    assert {0, 1} == set(np.argmax(np.abs(way), axis=1))
    first = lines.draw_lines(0, "3", 4, 224, 18, beyond=False)
    assert (lines.draw_lines(0, "3", 4, 224, 18, beyond=False) == first).all()
    assert (lines.draw_lines(0, "4", 4, 224, 18, beyond=False) != first).any()
    assert (lines.draw_lines(1, "3", 4, 224, 18, beyond=False) != first).any()


def test_squares_too_large_for_a_line_are_refused():
    with pytest.raises(ValueError, match="a line of 8 steps of 30 px does not fit 224 px: draw smaller squares"):
        lines.draw_lines(0, "0", 1, 224, 30, beyond=False)


def test_features_are_mixed_by_place_not_as_printed():
    a, b = np.array([0.0, 8.0]), np.array([4.0, 0.0])
    assert lines.interpolated(a, b, 0.25).tolist() == [1.0, 6.0]
    assert lines.extrapolated(a, b, 0.25).tolist() == [5.0, -2.0]


@pytest.mark.parametrize("eighth", lines.ASKED)
def test_the_error_is_that_of_the_best_candidate(eighth):
    t = eighth / 8
    for best in range(7):
        cosines = np.linspace(0, 0.1, 7)
        cosines[best] = 0.9
        assert lines.error_in_t(cosines, t) == pytest.approx(abs((best + 1) / 8 - t))


def test_candidates_equally_alike_err_by_their_mean():
    cosines = np.array([[0.5, 0.1, 0.5, 0.2, 0.1, 0.1, 0.1], [0.0] * 7])
    assert lines.error_in_t(cosines, 0.5).tolist() == [(3 / 8 + 1 / 8) / 2, 12 / 56]


def test_chance_is_the_mean_distance_of_seven_candidates():
    each = [Fraction(abs(eighth - asked), 8) for asked in (2, 4, 6) for eighth in range(1, 8)]
    assert pytest.approx(float(sum(each) / len(each))) == lines.CHANCE
    assert round(lines.CHANCE, 3) == 0.262
