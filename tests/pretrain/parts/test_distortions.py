import numpy as np
import pytest
import torch

from pretrain.parts.distortions import Blocks, draw_blocks, integers, scaled, stop_at_random, swapped, table, taken


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def blocks(*boxes):
    """One sample's blocks from (top, left, height, width)."""
    return Blocks(*(np.array([values]) for values in zip(*boxes, strict=True)))


def test_whole_numbers_reach_both_ends_evenly():
    drawn = integers(table(4000, 1, generator())[:, 0], 3, 6)
    values, counts = np.unique(drawn, return_counts=True)
    assert values.tolist() == [3, 4, 5, 6]
    assert counts.min() > 900


def test_lengths_scale_with_the_view():
    assert [scaled(70, size) for size in (224, 112, 64)] == [70, 35, 20]
    assert scaled(1, 8) == 1


def test_a_mask_is_the_union_of_its_blocks():
    mask = blocks((1, 2, 3, 4), (0, 0, 1, 1), (5, 5, 0, 0)).mask(8, torch.device("cpu"))
    expected = np.zeros((8, 8), bool)
    expected[1:4, 2:6] = True
    expected[0, 0] = True
    assert mask.shape == (1, 1, 8, 8)
    assert np.array_equal(mask[0, 0].numpy(), expected)


@pytest.mark.trap(
    "dira",
    "block sides of 10 to 70 px, 224 − U(50, 70), 10 to 15 px",
    "scaled with the view; that they keep a range is tested, the sides themselves are not",
)
def test_blocks_lie_within_the_view_with_sides_of_the_given_range():
    drawn = draw_blocks(table(500, 40, generator()).reshape(500, 10, 4), (3, 7), 16)
    for start, length in ((drawn.top, drawn.height), (drawn.left, drawn.width)):
        assert (length.min(), length.max()) == (3, 7)
        assert start.min() == 0
        assert (start + length).max() == 16
    assert (drawn.height != drawn.width).mean() > 0.7


def test_blocks_reach_the_border_they_keep_and_go_no_further():
    drawn = draw_blocks(table(500, 40, generator()).reshape(500, 10, 4), (3, 7), 16, border_px=2)
    for start, length in ((drawn.top, drawn.height), (drawn.left, drawn.width)):
        assert (start.min(), (start + length).max()) == (2, 14)


@pytest.mark.trap("dira", "distortions: cut-out 30 %, outer 5 %, shuffle 30 %, none 35 %")
def test_pairs_of_blocks_change_places_and_are_read_from_the_untouched_image():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    first, second = blocks((0, 0, 1, 2), (0, 0, 1, 1)), blocks((2, 1, 1, 2), (3, 3, 1, 1))
    expected = np.array([[15, 10, 2, 3], [4, 5, 6, 7], [8, 0, 1, 11], [12, 13, 14, 0]])
    assert np.array_equal(taken(image, swapped(first, second, 4))[0, 0].numpy(), expected)


def test_of_overlapping_blocks_the_second_is_written_last():
    image = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    moved = taken(image, swapped(blocks((0, 0, 1, 2)), blocks((0, 1, 1, 2)), 4))
    assert moved[0, 0, 0].tolist() == [1, 0, 1, 3]


@pytest.mark.trap("dira", "a tenth of the chances stops the blocks", "held")
def test_a_tenth_of_the_chances_stops_the_blocks():
    present = stop_at_random(table(20_000, 10, generator()), 0.1)
    assert present[:, 0].all()
    assert np.allclose(present.mean(axis=0), 0.9 ** np.arange(10), atol=0.015)
    assert (np.diff(present.astype(int), axis=1) <= 0).all()
