"""Counts of a test set against plain loops over pixels."""

import csv
import io

import numpy as np
import pytest
import torch

from eden_bench.case_statistics import THRESHOLDS
from eden_bench.records import cases_csv
from tasks.finetuning import pixel_counts
from tasks.finetuning.pixel_counts import Counts
from tests.tasks.finetuning.test_scores import dice_by_loop, iou_by_loop

STRUCTURES = ("a", "b")


@pytest.fixture(scope="module")
def batch():
    """Logits, truth and region of 5 images; the last has no finding and nothing predicted."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(5, 2, 6, 9, generator=generator) * 3
    truth = torch.rand(5, 2, 6, 9, generator=generator) > 0.6
    logits[4], truth[4] = -1, False
    return logits, truth, torch.rand(5, 1, 6, 9, generator=generator) > 0.3


@pytest.fixture(scope="module")
def counted(batch):
    logits, truth, region = batch
    return Counts.joined([Counts.of(logits[part], truth[part], region[part]) for part in (slice(3), slice(3, None))])


def mean_iou_by_loop(logits, truth):
    probability, true = logits.sigmoid().numpy(), truth.numpy()
    found = [probability > level for level in THRESHOLDS]
    return np.mean([(iou_by_loop(p, true) + iou_by_loop(~p, ~true)) / 2 for p in found])


def test_the_mean_iou_of_all_images_and_of_each_equals_the_plain_loop(batch, counted):
    logits, truth, _ = batch
    assert counted.scores(STRUCTURES)["iou_thresholds"] == pytest.approx(mean_iou_by_loop(logits, truth))
    each = [mean_iou_by_loop(*pair) for pair in zip(logits, truth, strict=True)]
    assert counted.cases(STRUCTURES)["iou_thresholds"] == pytest.approx(each)


def test_the_mean_iou_of_an_empty_image_left_empty_is_one(counted):
    assert counted.cases(STRUCTURES)["iou_thresholds"][4] == 1


def test_dice_inside_the_region_equals_the_plain_loop_over_its_pixels(batch, counted):
    logits, truth, region = batch
    inside = region.expand(-1, 2, -1, -1).numpy()
    found, true = (logits > 0).numpy() & inside, truth.numpy() & inside
    each = [np.mean([dice_by_loop(found[i, s], true[i, s]) for s in range(2)]) for i in range(5)]
    assert counted.cases(STRUCTURES)["dice_region"] == pytest.approx(each)
    assert counted.scores(STRUCTURES)["dice_region"] == pytest.approx(np.mean(each))
    assert counted.scores(STRUCTURES)["dice_region_pooled"] == pytest.approx(dice_by_loop(found, true))


def test_every_pooled_score_is_made_again_from_the_cases_as_they_are_stored(counted):
    rows = list(csv.DictReader(io.StringIO(cases_csv(counted.cases(STRUCTURES)).decode())))
    total = {name: sum(int(row[name]) for row in rows) for name in rows[0] if "px" in name or name == "pixels"}
    found, true, pixels = counted.scores(STRUCTURES), total["true_px"], total["pixels"]
    both = []
    for ending in ("", *(f"_{level}" for level in range(55, 100, 5))):
        overlap, predicted = total[f"overlap_px{ending}"], total[f"predicted_px{ending}"]
        union = predicted + true - overlap
        both += [overlap / union, (pixels - union) / (pixels - overlap)]
    assert found["iou_thresholds"] == pytest.approx(np.mean(both), abs=1e-12)
    union = total["predicted_px"] + true - total["overlap_px"]
    assert found["iou_pooled"] == pytest.approx(total["overlap_px"] / union, abs=1e-12)
    for name, ending in (("dice_pooled", ""), ("dice_region_pooled", "_region")):
        overlap, predicted, true = (total[f"{kind}_px{ending}"] for kind in ("overlap", "predicted", "true"))
        assert found[name] == pytest.approx(2 * overlap / (predicted + true), abs=1e-12)


def test_each_structure_has_its_dice(batch, counted):
    found, true = (batch[0] > 0).numpy(), batch[1].numpy()
    for column, name in enumerate(STRUCTURES):
        each = [dice_by_loop(found[i, column], true[i, column]) for i in range(5)]
        assert counted.scores(STRUCTURES)[f"dice_{name}"] == pytest.approx(np.mean(each))


def test_a_batch_that_predicts_nothing_is_counted(batch):
    counts = Counts.of(torch.full((2, 1, 4, 4), -1.0), torch.ones(2, 1, 4, 4, dtype=torch.bool))
    assert counts.levels.shape == (2, 2, 10)
    assert counts.scores(("a",))["dice"] == 0


def test_levels_are_counted_alike_in_one_pass_on_a_card_and_image_by_image_on_a_processor(batch):
    logits, truth, _ = batch
    logits = logits.clone()
    logits[0, 0, 0] = torch.from_numpy(np.r_[pixel_counts._LOGITS[1:]])  # on a threshold is not above it
    found = logits > 0
    by_loop = np.zeros((5, len(THRESHOLDS), 2), int)
    for image, structure, row, column in np.argwhere(found.numpy()):
        place = image, structure, row, column
        level = sum(float(logits[place]) > edge for edge in pixel_counts._LOGITS[1:])
        by_loop[image, level, int(truth[place])] += 1
    for count in (pixel_counts._histogram, pixel_counts._histogram_on_cpu):
        assert np.array_equal(count(logits, truth, found), by_loop)
