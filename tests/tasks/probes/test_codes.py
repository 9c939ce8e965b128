"""The oracle's code is additive before any resizing; a box's sees no pixel."""

import numpy as np
import pytest

from tasks.probes import codes, wholes

FILM = np.random.default_rng(0).integers(0, 256, (96, 96)).astype(np.uint8)


@pytest.mark.parametrize("layout", wholes.LAYOUTS)
def test_a_whole_is_the_mean_of_its_parts(layout):
    boxes = np.concatenate([wholes.draw_pairs(0, group, 3, 96) for group in range(5)])
    parts = codes.content(FILM, wholes.parts_of(boxes, layout))
    assert codes.content(FILM, boxes) == pytest.approx(parts.mean(axis=-2), abs=1e-12)


def test_it_counts_greys_and_replicates_the_border():
    film = np.array([[0, 255], [16, 16]], dtype=np.uint8)
    code = codes.content(film, np.array([[-1, 0, 2, 3]]))[0]
    # Rows 0, 1, 1 and columns 0, 0, 1: two pixels of 0, one of 255, and six of 16.
    assert code[[0, 1, 15]] == pytest.approx([2 / 9, 6 / 9, 1 / 9])
    assert code[:16].sum() == pytest.approx(1)
    assert code[16:].tolist() == [0.25, 0.75]


def test_the_code_of_a_box_is_equal_for_equal_boxes_only():
    boxes = np.concatenate([wholes.draw_pairs(0, group, 3, 96) for group in range(20)]).reshape(-1, 4)
    made = codes.box(boxes, 96)
    assert made.shape == (len(boxes), 18)
    assert len(np.unique(made.round(9), axis=0)) == len(np.unique(boxes, axis=0))


def test_the_code_of_a_box_is_that_of_its_centre_and_side():
    found = codes.box(np.array([24, 0, 72, 48]), 96)
    angles = [np.pi * octave * place for place in (0.5, 0.25, 0.5) for octave in (1, 2, 4)]
    assert found == pytest.approx([*np.sin(angles), *np.cos(angles)])
