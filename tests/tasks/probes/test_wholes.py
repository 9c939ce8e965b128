"""Where wholes lie: their sizes, the square beside each, the border, equal parts, and groups of patients."""

import numpy as np
import pytest

from tasks.probes import wholes
from tasks.probes.patches import leaves_film

SIZES = [96, 224, 1024]


def pairs(size_px, groups=60, places=3):
    return np.stack([wholes.draw_pairs(0, group, places, size_px) for group in range(groups)])


@pytest.mark.parametrize("size_px", SIZES)
def test_wholes_are_squares_of_two_to_four_fifths_of_the_film_a_band_each(size_px):
    boxes = pairs(size_px)
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    assert (width == height).all()
    assert (width % 6 == 0).all()
    for place in range(3):
        share = width[:, place] / size_px
        low = 0.4 + 0.4 * place / 3
        assert low - 3 / size_px <= share.min() < share.max() <= low + 0.4 / 3 + 3 / size_px


@pytest.mark.parametrize("size_px", SIZES)
def test_the_square_beside_a_whole_is_half_a_side_away_or_more_along_one_axis(size_px):
    boxes = pairs(size_px)
    side = boxes[..., 0, 2] - boxes[..., 0, 0]
    away = np.abs(boxes[..., 0, :2] - boxes[..., 1, :2])
    assert (away.max(axis=-1) * 2 >= side).all()
    assert (away.min(axis=-1) == 0).all()
    assert {0, 1} == set(np.argmax(away, axis=-1).ravel())


@pytest.mark.parametrize("size_px", SIZES)
def test_both_lie_in_the_film_where_they_can(size_px):
    boxes = pairs(size_px)
    side = boxes[..., 0, 2] - boxes[..., 0, 0]
    outside = leaves_film(boxes, size_px)
    assert not outside[3 * side <= 2 * (size_px - 1)].any()
    too_large = 3 * side > 2 * (size_px + 1)
    assert (outside[too_large].sum(axis=-1) == 1).all()
    overhang = np.maximum(boxes.max(axis=-1) - size_px, 0) + np.maximum(-boxes.min(axis=-1), 0)
    assert overhang.max() <= 0.2 * size_px + 7
    for way in ("left", "top", "right", "bottom"):
        edge = boxes[..., ("left", "top", "right", "bottom").index(way)]
        assert ((edge < 0) | (edge > size_px)).any(), way


def test_draws_follow_seed_and_group_and_nothing_else():
    first = wholes.draw_pairs(0, 4, 3, 224)
    assert (wholes.draw_pairs(0, 4, 3, 224) == first).all()
    assert (wholes.draw_pairs(0, 5, 3, 224) != first).any()
    assert (wholes.draw_pairs(1, 4, 3, 224) != first).any()


@pytest.mark.parametrize("layout", wholes.LAYOUTS)
def test_parts_tile_the_whole_once(layout):
    box = np.array([-6, 12, 30, 48])
    parts = wholes.parts_of(box, layout)
    painted = np.zeros((60, 60), dtype=int)
    for left, top, right, bottom in parts + 10:
        painted[top:bottom, left:right] += 1
    wanted = np.zeros_like(painted)
    wanted[22:58, 4:40] = 1
    assert (painted == wanted).all()
    rows, columns = (int(number) for number in layout.split("x"))
    assert len(parts) == rows * columns
    assert parts[0, :2].tolist() == [-6, 12]
    assert parts[-1, 2:].tolist() == [30, 48]


def test_parts_go_row_by_row():
    assert wholes.parts_of(np.array([0, 0, 12, 12]), "2x2")[:, :2].tolist() == [[0, 0], [6, 0], [0, 6], [6, 6]]


def test_parts_of_many_boxes_are_those_of_each():
    boxes = pairs(224, groups=2)
    many = wholes.parts_of(boxes, "3x1")
    assert many.shape == (2, 3, 2, 3, 4)
    assert (many[1, 2, 0] == wholes.parts_of(boxes[1, 2, 0], "3x1")).all()


@pytest.mark.parametrize(("films", "sizes"), [(2, [2]), (3, [3]), (4, [2, 2]), (7, [2, 2, 3])])
def test_no_film_is_alone_in_its_group(films, sizes):
    groups = wholes.groups_of(films)
    assert [len(group) for group in groups] == sizes
    assert np.concatenate(groups).tolist() == list(range(films))


def test_one_film_is_refused():
    with pytest.raises(ValueError, match="1 films of different patients, expected at least 2"):
        wholes.groups_of(1)
