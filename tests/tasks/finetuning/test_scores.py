"""Scores against closed forms, plain loops and scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from eden_bench import case_statistics
from eden_bench.statistics import ranking
from tasks.finetuning import scores
from tasks.finetuning.definitions import AUC
from tasks.finetuning.networks import soft_dice_loss

masks = arrays(bool, (3, 2, 4, 4))


def counts(predicted, true):
    return (predicted & true).sum((2, 3)), predicted.sum((2, 3)), true.sum((2, 3))


def dice_by_loop(predicted, true):
    both = either = 0
    for p, t in zip(predicted.ravel(), true.ravel(), strict=True):
        both += bool(p and t)
        either += int(p) + int(t)
    return 1.0 if either == 0 else 2 * both / either


def iou_by_loop(predicted, true):
    both = union = 0
    for p, t in zip(predicted.ravel(), true.ravel(), strict=True):
        both += bool(p and t)
        union += bool(p or t)
    return 1.0 if union == 0 else both / union


@pytest.mark.trap("mistakes", "Dice without its factor 2")
def test_half_overlapping_masks_have_dice_one_half_and_iou_one_third():
    assert case_statistics.dice(np.array(2), np.array(4), np.array(4)) == 0.5
    assert case_statistics.iou(np.array(2), np.array(4), np.array(4)) == pytest.approx(1 / 3)


def test_two_empty_masks_score_one_and_one_empty_mask_scores_zero():
    nothing, something = np.array(0), np.array(5)
    assert case_statistics.dice(nothing, nothing, nothing) == case_statistics.iou(nothing, nothing, nothing) == 1
    assert case_statistics.dice(nothing, nothing, something) == case_statistics.iou(nothing, something, nothing) == 0


@given(masks, masks)
def test_mean_and_pooled_scores_equal_the_plain_loops(predicted, true):
    found = scores.segmentation_scores(*counts(predicted, true))
    pairs = [(predicted[i, s], true[i, s]) for i in range(3) for s in range(2)]
    assert found["dice"] == pytest.approx(np.mean([dice_by_loop(*pair) for pair in pairs]))
    assert found["iou"] == pytest.approx(np.mean([iou_by_loop(*pair) for pair in pairs]))
    assert found["dice_pooled"] == pytest.approx(dice_by_loop(predicted, true))
    assert found["iou_pooled"] == pytest.approx(iou_by_loop(predicted, true))


@pytest.mark.trap("siim-acr", "78 % of the masks are empty")
@given(masks, masks)
def test_dice_is_told_apart_for_empty_and_other_true_masks(predicted, true):
    found = scores.segmentation_scores(*counts(predicted, true))
    pairs = [(predicted[i, s], true[i, s]) for i in range(3) for s in range(2)]
    full = [dice_by_loop(*pair) for pair in pairs if pair[1].any()]
    left_empty = [not pair[0].any() for pair in pairs if not pair[1].any()]
    for name, values in (("dice_nonempty", full), ("dice_empty", left_empty)):
        assert found.get(name) == (pytest.approx(np.mean(values)) if values else None)


def test_predicting_nothing_scores_the_share_of_empty_masks_but_nothing_where_there_is_a_finding():
    true = np.array([[0], [0], [0], [9]])
    nothing = np.zeros_like(true)
    found = scores.segmentation_scores(nothing, nothing, true)
    assert (found["dice"], found["dice_nonempty"], found["dice_empty"], found["dice_pooled"]) == (0.75, 0, 1, 0)


@given(arrays(bool, (2, 3, 5, 7)), arrays(bool, (2, 3, 5, 7)))
def test_counts_of_packed_pixels_equal_sums_of_pixels(predicted, true):
    for packed, plain in zip(scores.count_pixels(predicted, true), counts(predicted, true), strict=True):
        assert np.array_equal(packed, plain)


@given(masks, masks)
def test_dice_is_symmetric_bounded_and_never_below_iou(predicted, true):
    overlap, p, t = counts(predicted, true)
    dice, iou = case_statistics.dice(overlap, p, t), case_statistics.iou(overlap, p, t)
    assert np.array_equal(dice, case_statistics.dice(overlap, t, p))
    assert ((iou >= 0) & (iou <= dice) & (dice <= 1)).all()
    np.testing.assert_allclose(dice, 2 * iou / (1 + iou))


@given(arrays(np.float64, 40, elements=st.floats(0, 1)), arrays(bool, 40))
def test_the_released_mean_iou_equals_the_plain_loop(probability, true):
    found = [probability > level for level in case_statistics.THRESHOLDS]
    by_loop = np.mean([(iou_by_loop(p, true) + iou_by_loop(~p, ~true)) / 2 for p in found])
    overlap, predicted = np.array([(p & true).sum() for p in found]), np.array([p.sum() for p in found])
    assert case_statistics.iou_thresholds(overlap, predicted, true.sum(), 40) == pytest.approx(by_loop)


def auc_by_loop(probability, target):
    wins = pairs = 0.0
    for p in probability[target == 1]:
        for n in probability[target == 0]:
            wins += 1.0 if p > n else 0.5 if p == n else 0.0
            pairs += 1
    return wins / pairs


@given(arrays(np.int64, 12, elements=st.integers(0, 5)), st.integers(1, 11), st.randoms(use_true_random=False))
def test_auc_equals_the_plain_loop_and_sklearn_ties_included(values, positives, random):
    target = np.array([1] * positives + [0] * (12 - positives))
    random.shuffle(target)
    found = ranking.auc(values / 5, target)
    assert found == pytest.approx(auc_by_loop(values, target))
    assert found == pytest.approx(roc_auc_score(target, values))


def average_precision_by_loop(probability, target):
    """Precision and recall at each threshold that occurs, by counting, summed over the gains of recall."""
    area, recall_before = 0.0, 0.0
    for level in sorted(set(probability.tolist()), reverse=True):
        found = [t for p, t in zip(probability, target, strict=True) if p >= level]
        recall = sum(found) / target.sum()
        area += (recall - recall_before) * sum(found) / len(found)
        recall_before = recall
    return area


@given(arrays(np.int64, 12, elements=st.integers(0, 5)), st.integers(1, 11), st.randoms(use_true_random=False))
def test_auprc_equals_the_plain_loop_and_sklearn_ties_included(values, positives, random):
    target = np.array([1] * positives + [0] * (12 - positives))
    random.shuffle(target)
    found = ranking.average_precision(values / 5, target)
    assert found == pytest.approx(average_precision_by_loop(values / 5, target), abs=1e-12)
    assert found == pytest.approx(average_precision_score(target, values / 5), abs=1e-7)


@given(arrays(np.int64, 12, elements=st.integers(0, 5)), st.integers(1, 11), st.randoms(use_true_random=False))
def test_the_threshold_has_the_highest_f1_of_all_and_is_the_highest_of_equal_ones(values, positives, random):
    target = np.array([1] * positives + [0] * (12 - positives))
    random.shuffle(target)
    found = scores.f1_thresholds(values[:, None] / 5, target[:, None], ["a"])["a"]
    by_level = {level: f1_score(target, values / 5 >= level) for level in set((values / 5).tolist())}
    best = max(by_level.values())
    assert found == max(level for level, value in by_level.items() if value == pytest.approx(best, abs=1e-12))


def test_a_label_of_one_value_has_no_threshold():
    targets = np.array([[0, 0], [1, 0]])
    assert scores.f1_thresholds(np.full((2, 2), 0.5), targets, ("a", "b")) == {"a": 0.5}


def test_auprc_of_a_constant_is_the_share_of_positives_and_of_no_positive_it_is_refused():
    assert ranking.average_precision(np.full(8, 0.3), np.array([1, 0, 0, 0, 0, 0, 0, 1])) == 0.25
    with pytest.raises(ValueError, match="no AUPRC: 0 positive cases"):
        ranking.average_precision(np.array([0.1, 0.2]), np.zeros(2))


def test_the_mean_auprc_is_over_the_labels_that_have_an_auc_and_follows_from_the_cases():
    draw = np.random.default_rng(1)
    probabilities, targets = draw.random((50, 3)), draw.integers(0, 2, (50, 3))
    targets[:, 1] = 1
    found = scores.label_scores(probabilities, targets, ("a", "b", "c"))
    expected = [average_precision_score(targets[:, i], probabilities[:, i]) for i in (0, 2)]
    assert (found["auprc_a"], found["auprc_c"]) == pytest.approx(expected)
    assert found["auprc"] == pytest.approx(np.mean(expected))
    columns = {f"probability_{n}": probabilities[:, i] for i, n in enumerate("abc")}
    columns |= {f"target_{n}": targets[:, i] for i, n in enumerate("abc")}
    assert case_statistics.statistic_of(AUC.of("auprc"))(columns, "auprc") == pytest.approx(found["auprc"])


@pytest.mark.parametrize(("count", "worst"), [(1, 1), (20, 1), (21, 2), (100, 5)])
def test_the_worst_twentieth_is_rounded_up_and_skips_cases_without_a_value(count, worst):
    values = np.random.default_rng(0).permutation(count).astype(float)
    columns = {"dice": np.append(values, np.nan)}
    assert case_statistics.lowest_5_percent(columns, "dice_worst5") == np.mean(range(worst))
    assert case_statistics.highest_5_percent(columns, "dice_worst5") == np.mean(range(count - worst, count))


def test_auc_does_not_change_under_a_rising_map_and_is_mirrored_by_a_falling_one():
    values, target = np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])
    assert ranking.auc(values, target) == ranking.auc(np.exp(values), target) == 0.75
    assert ranking.auc(-values, target) == 0.25


def test_auc_of_one_class_is_refused():
    with pytest.raises(ValueError, match="0 positive and 3 negative cases"):
        ranking.auc(np.array([0.1, 0.2, 0.3]), np.zeros(3))


def test_a_label_without_both_values_is_left_out_of_the_mean_and_never_a_half():
    targets = np.array([[0, 1], [1, 1], [1, 1]])
    probabilities = np.array([[0.1, 0.9], [0.8, 0.8], [0.7, 0.1]])
    found = scores.label_scores(probabilities, targets, ("a", "b"))
    assert found == {"auc": 1.0, "auc_a": 1.0, "auprc": 1.0, "auprc_a": 1.0}
    assert scores.labels_without_auc(targets, ("a", "b")) == ["b"]


def soft_dice_by_loop(probability, mask):
    both = total = 0.0
    for p, y in zip(probability.flatten().tolist(), mask.flatten().tolist(), strict=True):
        both += p * y
        total += p + y
    return 1 - (2 * both + 1) / (total + 1)


def test_soft_dice_equals_the_plain_loop_over_the_flattened_batch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 2, 5, 5, generator=generator)
    mask = (torch.rand(3, 2, 5, 5, generator=generator) > 0.6).float()
    assert soft_dice_loss(logits, mask).item() == pytest.approx(soft_dice_by_loop(logits.sigmoid(), mask), abs=1e-6)


def test_soft_dice_of_nothing_predicted_where_nothing_is_true_is_zero():
    assert soft_dice_loss(torch.full((2, 1, 4, 4), -100.0), torch.zeros(2, 1, 4, 4)).item() == 0


def test_soft_dice_of_a_certain_right_answer_is_zero_and_of_a_certain_wrong_one_nearly_one():
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    assert soft_dice_loss((mask - 0.5) * 200, mask).item() == pytest.approx(0, abs=1e-6)
    assert soft_dice_loss((0.5 - mask) * 200, mask).item() == pytest.approx(1 - 1 / 65, abs=1e-6)
