"""Anchors of the scores: the box itself, nothing, a constant; and plain loops."""

import numpy as np
import pytest

from eden_bench.encoders import build_encoder
from tasks.finetuning.networks import Classifier
from tasks.gradcam import controls, measures

SIZE_PX = 56


def box_mask(top=10, bottom=30, left=20, right=44) -> np.ndarray:
    mask = np.zeros((1, SIZE_PX, SIZE_PX), dtype=bool)
    mask[0, top:bottom, left:right] = True
    return mask


@pytest.fixture
def random_maps() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    maps = generator.random((12, SIZE_PX, SIZE_PX)).astype(np.float32) ** 3
    masks = np.concatenate([box_mask(*edges) for edges in [(0, 8, 0, 9), (10, 30, 5, 50), (3, 56, 40, 56)] * 4])
    return maps, masks


def at(ious: np.ndarray, theta: float) -> float:
    return ious[0, round(100 * theta) - 1]


def test_a_map_equal_to_the_box_scores_one():
    mask = box_mask()
    maps = mask.astype(np.float32)
    ious, ratios = measures.curves(maps, mask)
    assert at(ious, 0.5) == at(ratios, 0.5) == 1
    assert measures.pointing(maps, mask) == measures.energy(maps, mask) == 1
    found = measures.regions(maps, mask)
    assert all(found[f"iobb_{level}"] == 1 and found[f"afp_{level}"] == 0 for level in (10, 25, 50, 75, 90))


def test_a_map_of_zeros_scores_nothing_but_the_expected_rank():
    mask = box_mask()
    maps = np.zeros((1, SIZE_PX, SIZE_PX), dtype=np.float32)
    ious, ratios = measures.curves(maps, mask)
    assert not ious.any()
    assert not ratios.any()
    assert measures.energy(maps, mask) == 0
    assert measures.pointing(maps, mask) == pytest.approx(mask.mean())
    assert not any(column.any() for column in measures.regions(maps, mask).values())


def test_the_whole_film_scores_the_box_share():
    mask = box_mask()
    maps = np.ones((1, SIZE_PX, SIZE_PX), dtype=np.float32)
    assert at(measures.curves(maps, mask)[0], 0.5) == pytest.approx(mask.mean())
    assert measures.energy(maps, mask) == pytest.approx(mask.mean())
    found = measures.regions(maps, mask)
    assert (found["iobb_10"], found["afp_10"]) == (1, 0)
    assert (found["iobb_25"], found["afp_25"]) == (0, 2)


def test_curves_are_the_plain_loop_over_thresholds(random_maps):
    maps, masks = random_maps
    ious, ratios = measures.curves(maps, masks)
    for row, (one, mask) in enumerate(zip(maps, masks, strict=True)):
        for place, theta in enumerate(measures.THRESHOLDS):
            above = one > np.float32(theta)
            assert ious[row, place] == pytest.approx((above & mask).sum() / (above | mask).sum())
            assert ratios[row, place] == pytest.approx(above.sum() / mask.sum())


def test_a_value_equal_to_a_threshold_is_not_above_it():
    mask = box_mask()
    ious, _ = measures.curves(mask * np.float32(0.5), mask)
    assert (at(ious, 0.49), at(ious, 0.50)) == (1, 0)


def test_the_threshold_of_a_fold_is_chosen_on_the_others():
    ious = np.zeros((4, 99))
    ious[:2, 10], ious[2:, 70] = 1.0, 1.0  # the first fold wants one θ, the second another
    chosen = measures.thresholds_by_fold(ious, ["a", "b", "a", "b"], np.array([0, 0, 1, 1]))
    assert chosen.tolist() == [70, 70, 10, 10]


def test_every_finding_counts_alike_when_a_threshold_is_chosen():
    ious = np.zeros((5, 99))
    ious[:3, 10], ious[3, 70] = 0.5, 0.9  # three boxes of a common finding, one of a rare one; the fifth is scored
    chosen = measures.thresholds_by_fold(ious, ["a", "a", "a", "b", "a"], np.array([0, 0, 0, 0, 1]))
    assert chosen[4] == 70


def test_evax_searches_on_the_rows_that_it_scores_and_stops_at_0_60():
    ious = np.zeros((2, 99))
    ious[:, 59], ious[:, 60] = 0.3, 0.9
    assert measures.evax_threshold(ious) == 59


def test_a_tied_peak_scores_the_share_of_it_that_lies_in_the_box():
    mask = box_mask()
    maps = np.zeros((1, SIZE_PX, SIZE_PX), dtype=np.float32)
    maps[0, 12, 25] = maps[0, 0, 0] = 1
    assert measures.pointing(maps, mask) == 0.5


def test_regions_are_counted_at_both_cuts():
    mask = box_mask()
    maps = np.zeros((1, SIZE_PX, SIZE_PX), dtype=np.float32)
    maps[0, 12:20, 25:30] = 1.0  # in the box: a region at both cuts
    maps[0, 50:54, 0:4] = 0.4  # outside: a region at 60/255 alone
    found = measures.regions(maps, mask)
    assert (found["iobb_90"], found["afp_90"]) == (1, 1)


def test_the_prior_leaves_a_patient_s_own_boxes_out():
    masks = np.concatenate([box_mask(0, 10, 0, 10), box_mask(0, 10, 0, 10), box_mask(20, 30, 20, 30)])
    prior = controls.class_prior(masks, ["a", "a", "a"], ["p", "p", "q"])
    assert prior[0, 25, 25] == prior[1, 25, 25] == pytest.approx(1)
    assert prior[0, 5, 5] == 0
    assert prior[2, 5, 5] == pytest.approx(1)


def test_the_prior_of_a_finding_that_no_other_patient_has_is_that_of_all():
    masks = np.concatenate([box_mask(0, 10, 0, 10), box_mask(20, 30, 20, 30)])
    prior = controls.class_prior(masks, ["a", "b"], ["p", "q"])
    assert prior[0, 25, 25] == pytest.approx(1)
    assert prior[0, 5, 5] == 0


def test_the_grid_oracle_is_the_box_where_the_grid_can_show_it():
    mask = box_mask(0, 28, 0, 28)
    oracle = controls.grid_oracle(mask, (SIZE_PX, SIZE_PX))
    assert (oracle > 0.5).tolist() == mask.tolist()
    coarse = controls.grid_oracle(mask, (2, 2))
    assert measures.pointing(coarse, mask) == 1


def test_random_weights_are_others_and_repeat_with_the_seed_and_leave_the_network_alone():
    network = Classifier(build_encoder("vit_mini_patch8_64", 1), 5, seed=2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, again, other = (controls.with_random_weights(network, seed).state_dict() for seed in (3, 3, 4))
    for name, value in network.state_dict().items():
        assert value.equal(before[name]), name
        assert first[name].equal(again[name]), name
        if value.ndim > 1:  # norms and biases are reset to constants
            assert not first[name].equal(value), name
            assert not first[name].equal(other[name]), name


def test_random_weights_forget_running_statistics():
    network = Classifier(build_encoder("resnet18-w16", 1), 5, seed=2)
    network.encoder.bn1.running_mean += 1
    spoilt = controls.with_random_weights(network, 0)
    assert not spoilt.encoder.bn1.running_mean.any()
