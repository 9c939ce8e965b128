"""Surface distances against closed forms, a plain loop over pixels, and MONAI where it is installed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tasks.finetuning.surfaces import Surfaces, surface_distances, surface_scores

small = arrays(bool, (7, 9))


def surface_by_loop(mask):
    height, width = mask.shape

    def inside(y, x):
        return 0 <= y < height and 0 <= x < width and mask[y, x]

    neighbours = ((0, 1), (0, -1), (1, 0), (-1, 0))
    return [
        (y, x)
        for y in range(height)
        for x in range(width)
        if mask[y, x] and not all(inside(y + dy, x + dx) for dy, dx in neighbours)
    ]


def distances_by_loop(mask, other):
    return [
        min(((y - v) ** 2 + (x - u) ** 2) ** 0.5 for v, u in surface_by_loop(other)) for y, x in surface_by_loop(mask)
    ]


def percentile_by_loop(values, percent=95):
    values = sorted(values)
    place = (len(values) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def scores_by_loop(predicted, true, tolerance):
    if not predicted.any() and not true.any():
        return 0.0, 1.0
    if not predicted.any() or not true.any():
        return ((true.shape[0] - 1) ** 2 + (true.shape[1] - 1) ** 2) ** 0.5, 0.0
    there, back = distances_by_loop(predicted, true), distances_by_loop(true, predicted)
    near = sum(distance <= tolerance for distance in there + back)
    return max(percentile_by_loop(there), percentile_by_loop(back)), near / len(there + back)


@given(small, small, st.sampled_from([0.0, 1.0, 1.5, 2.0]))
def test_both_scores_equal_the_plain_loop(predicted, true, tolerance):
    assert surface_scores(predicted, true, tolerance) == pytest.approx(scores_by_loop(predicted, true, tolerance))


def square(left, top, side, size=64):
    mask = np.zeros((size, size), bool)
    mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.parametrize("shift", [0, 1, 2, 3, 7])
def test_a_square_moved_sideways_is_as_far_away_as_it_was_moved(shift):
    """Of 4 · 19 surface pixels a side, the shifted edge's 20 are ``shift`` away, more than 5 % of them."""
    hd95, nsd = surface_scores(square(10, 20, 20), square(10 + shift, 20, 20), tolerance_px=2)
    assert hd95 == pytest.approx(shift)
    assert nsd == 1 if shift <= 2 else 0 < nsd < 1


def test_a_distance_of_just_the_tolerance_counts_as_near():
    one, other = square(5, 5, 1), square(8, 9, 1)
    assert surface_scores(one, other, tolerance_px=5) == (5, 1)
    assert surface_scores(one, other, tolerance_px=4.999) == (5, 0)


def test_a_few_far_pixels_move_the_maximum_and_not_the_95th_percentile():
    true = square(2, 2, 30)
    predicted = true | square(60, 60, 1)
    assert surface_scores(predicted, true, 2)[0] == 0
    assert max(surface_distances(predicted, true)[0]) == pytest.approx(29 * 2**0.5)


def test_empty_masks_agree_and_a_missed_structure_is_as_far_as_can_be():
    nothing, something = np.zeros((5, 13), bool), np.ones((5, 13), bool)
    assert surface_scores(nothing, nothing, 2) == (0, 1)
    assert surface_scores(nothing, something, 2) == surface_scores(something, nothing, 2) == (160**0.5, 0)


def test_a_mask_at_the_border_has_a_surface_there():
    """All of a 3 × 3 image but its centre; a rim that was no surface would leave nothing to measure."""
    assert len(surface_distances(np.ones((3, 3), bool), np.ones((3, 3), bool))[0]) == 8


@given(arrays(bool, (3, 2, 6, 6)), arrays(bool, (3, 2, 6, 6)))
def test_a_batch_is_scored_image_by_image_and_joined_in_order(predicted, true):
    parts = [Surfaces.of(predicted[rows], true[rows], 1.0) for rows in (slice(2), slice(2, None))]
    found = Surfaces.joined(parts)
    each = [[surface_scores(predicted[i, s], true[i, s], 1.0) for s in range(2)] for i in range(3)]
    np.testing.assert_array_equal(np.stack(found, axis=-1), each)


def test_scores_and_cases_are_means_over_structures_then_images_and_of_the_worst_twentieth():
    hd95 = np.arange(42.0).reshape(21, 2)
    found = Surfaces(hd95, hd95 / 41)
    scores, cases = found.scores(("heart", "lung")), found.cases(("heart", "lung"))
    assert scores["hd95"] == pytest.approx(20.5)
    assert scores["hd95_lung"] == pytest.approx(21)
    assert scores["hd95_worst5"] == pytest.approx((40.5 + 38.5) / 2)
    assert scores["nsd_worst5"] == pytest.approx((0.5 + 2.5) / 2 / 41)
    assert cases["hd95"][3] == pytest.approx(6.5)
    assert cases["hd95_heart"][3] == 6
    assert set(Surfaces(hd95[:, :1], hd95[:, :1]).cases(("heart",))) == {"hd95", "nsd"}


def blob(draw, size=96):
    y, x = np.mgrid[:size, :size]
    (cx, cy), (a, b), turn = draw.uniform(30, 66, 2), draw.uniform(8, 28, 2), draw.uniform(0, 3)
    u, v = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn), -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
    return (u / a) ** 2 + (v / b) ** 2 < 1


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_hd95_and_nsd_are_those_of_monai():
    metrics = pytest.importorskip("monai.metrics", reason="MONAI is not installed")
    import torch

    draw = np.random.default_rng(0)
    true = np.stack([blob(draw) for _ in range(24)])
    predicted = np.stack([np.roll(mask, draw.integers(-6, 7, 2), (0, 1)) for mask in true])
    ours = np.array([surface_scores(p, t, 2.0) for p, t in zip(predicted, true, strict=True)])
    given = [torch.from_numpy(masks[:, None]).float() for masks in (predicted, true)]
    hd95 = metrics.compute_hausdorff_distance(*given, include_background=True, percentile=95)
    nsd = metrics.compute_surface_dice(*given, [2.0], include_background=True)
    np.testing.assert_allclose(ours[:, 0], hd95[:, 0], atol=1e-5)
    np.testing.assert_allclose(ours[:, 1], nsd[:, 0], atol=1e-5)
