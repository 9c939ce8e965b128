"""Segmentation from end to end on a toy anatomy, and the U-Net against segmentation-models-pytorch's."""

from dataclasses import replace

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from eden_bench import devices
from eden_bench.case_statistics import THRESHOLDS, statistic_of
from eden_bench.contracts import Context
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import NotBuilt
from eden_bench.records.masks import beside, unpacked
from tasks.finetuning import DICE, IOU_THRESHOLDS, ClassificationTask, SegmentationProtocol, SegmentationTask
from tasks.finetuning.networks import UNet
from tasks.finetuning.surfaces import surface_scores
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

TASK = SegmentationTask(name="toy-heart", dataset="toy", title="Toy heart", structures=("heart",))
PROTOCOL = replace(TASK.quick, size_px=32, score_px=48, max_steps=4, validate_every=2, batch_size=4, distortion_p=0.5)
ARCH = "resnet18-w16"


def opened(tmp_path, protocol=PROTOCOL, task=TASK):
    return task.open(toy_index(tmp_path), protocol, Context(cache=tmp_path / "cache", dataset=ToyAnatomy()))


def test_the_unet_computes_what_smp_computes():
    theirs = smp.Unet("resnet50", encoder_weights=None).eval()
    ours = UNet(build_encoder("resnet50", 0), 1, (256, 128, 64, 32, 16), 0).eval()
    ours.encoder.load_state_dict(theirs.encoder.state_dict())
    ours.decoder.body.load_state_dict(theirs.decoder.state_dict())
    ours.decoder.head.load_state_dict(theirs.segmentation_head.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


@pytest.mark.parametrize(
    "task", [TASK, ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")], ids=lambda task: task.kind
)
def test_a_dry_run_decodes_nothing_and_opens_what_is_decoded(tmp_path, task):
    index, protocol = toy_index(tmp_path), task.quick
    context = Context(cache=tmp_path / "cache", dataset=ToyAnatomy(), build=False)
    with pytest.raises(NotBuilt):
        task.open(index, protocol, context)
    assert not context.cache.exists()
    built = task.open(index, protocol, replace(context, build=True))
    assert task.open(index, protocol, context).data == built.data


class PatchEncoder(Encoder):
    """All maps at the stride of a patch, as a ViT's."""

    def __init__(self):
        super().__init__()
        self.arch, self.channels, self.strides = "patch", (6, 6, 6, 6), (16, 16, 16, 16)
        self.patch = nn.Conv2d(3, 6, 16, 16)

    def maps(self, images):
        return (self.patch(images),) * 4


def test_the_unet_takes_an_encoder_whose_maps_share_one_stride():
    network = UNet(PatchEncoder(), 2, (256, 32, 16, 8, 4), 0)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 2, 64, 64)


def test_a_run_repeats_bit_for_bit(tmp_path):
    task = opened(tmp_path)
    first, second = (task.run(build_encoder(ARCH, 0), 5) for _ in range(2))
    assert first == second
    reopened = opened(tmp_path).run(build_encoder(ARCH, 0), 5)
    assert reopened == first


def test_the_seed_changes_head_and_order(tmp_path):
    task = opened(tmp_path)
    assert task.run(build_encoder(ARCH, 0), 5).cases != task.run(build_encoder(ARCH, 0), 6).cases


def test_cases_hold_every_test_image_and_the_scores_follow_from_them(tmp_path):
    outcome = opened(tmp_path).run(build_encoder(ARCH, 0), 0)
    cases = outcome.cases
    assert list(cases)[:2] == ["case", "patient"]
    assert cases["case"] == [f"{n:03d}" for n in range(20, 26)]
    assert outcome.scores["dice"] == pytest.approx(np.mean(cases["dice"]))
    assert outcome.scores["iou"] == pytest.approx(np.mean(cases["iou"]))
    pooled = 2 * sum(cases["overlap_px"]) / (sum(cases["predicted_px"]) + sum(cases["true_px"]))
    assert outcome.scores["dice_pooled"] == pytest.approx(pooled)
    counted = {"dice", "dice_nonempty", "dice_pooled", "iou", "iou_pooled", "iou_thresholds", "dice_worst5"}
    assert set(outcome.scores) == {*counted, "hd95", "hd95_worst5", "nsd", "nsd_worst5"}
    assert set(outcome.scores) - {"dice"} <= set(DICE.alternatives)
    for name in set(outcome.scores) - {"dice"}:
        definition = DICE.of(name)
        if definition.statistic:
            found = statistic_of(definition)({key: np.asarray(column) for key, column in cases.items()}, name)
            assert found == pytest.approx(outcome.scores[name]), name


def test_truth_is_scored_at_score_px(tmp_path):
    task, reader = opened(tmp_path), ToyAnatomy()
    outcome = task.run(build_encoder(ARCH, 0), 0)
    first = reader.read_mask(task.splits.items[20], "heart")
    assert outcome.cases["true_px"][0] == pytest.approx(first.sum() / 4, rel=0.05)


class Ramp(nn.Module):
    """Logits that rise from left to right and are above 0 in the right half."""

    def forward(self, images):
        return (torch.arange(32.0) - 15.5).expand(len(images), 1, 32, 32)


def test_pixels_with_a_probability_above_one_half_are_predicted(tmp_path):
    task = opened(tmp_path, replace(PROTOCOL, score_px=32))
    counts = task._test(Ramp(), np.arange(6), 1).counts
    assert (counts.whole.predicted == 32 * 16).all()
    truth = task.truth(np.arange(6)).bool().numpy()
    assert (counts.whole.overlap[:, 0] == truth[..., 16:].sum((1, 2, 3))).all()
    expected = [32 * sum(column - 15.5 > np.log(p / (1 - p)) for column in range(32)) for p in THRESHOLDS]
    assert counts.levels[:, 1].tolist() == [expected] * 6


def test_a_pooled_score_is_computed_from_all_cases_and_each_case_has_its_own(tmp_path):
    task = replace(TASK, score=IOU_THRESHOLDS)
    outcome = opened(tmp_path, task=task).run(build_encoder(ARCH, 0), 0)
    assert len(outcome.cases["iou_thresholds"]) == 6
    assert all(0 <= value <= 1 for value in outcome.cases["iou_thresholds"])
    assert 0 <= outcome.scores["iou_thresholds"] <= 1


def test_surfaces_are_scored_from_the_masks_that_are_kept(tmp_path):
    task = opened(tmp_path)
    outcome = task.run(build_encoder(ARCH, 0), 0)
    kept, note = beside(outcome)
    masks = unpacked(kept.arrays)
    truth = task.truth(np.arange(6)).bool().numpy()
    assert (note, masks.cases, masks.structures) == ("", outcome.cases["case"], ["heart"])
    assert masks.pixels.sum(axis=(1, 2, 3)).tolist() == outcome.cases["predicted_px"]
    assert (masks.pixels & truth).sum(axis=(1, 2, 3)).tolist() == outcome.cases["overlap_px"]
    each = [surface_scores(p[0], t[0], 2.0) for p, t in zip(masks.pixels, truth, strict=True)]
    assert list(zip(outcome.cases["hd95"], outcome.cases["nsd"], strict=True)) == each


def test_distances_are_in_mm_where_the_side_of_the_images_is_stated(tmp_path):
    in_mm = replace(TASK, side_mm=96.0)
    px, mm = (opened(tmp_path, task=task).run(build_encoder(ARCH, 0), 0) for task in (TASK, in_mm))
    assert mm.scores["hd95"] == pytest.approx(2 * px.scores["hd95"])  # 48 px across
    assert mm.cases["hd95"] == pytest.approx([2 * value for value in px.cases["hd95"]])
    assert mm.scores["nsd"] == px.scores["nsd"]
    units = [(task.score.of("hd95").unit, task.score.of("hd95_heart").unit) for task in (TASK, in_mm)]
    assert units == [("px", "px"), ("mm", "mm")]
    assert not in_mm.score.of("hd95").higher_is_better
    with pytest.raises(ValueError, match=r"side_mm must be above 0, not 0\.0"):
        replace(TASK, side_mm=0.0)


def test_an_evaluation_region_has_a_dice_of_its_own(tmp_path):
    outcome = opened(tmp_path, task=replace(TASK, region="shifted")).run(build_encoder(ARCH, 0), 0)
    plain = opened(tmp_path).run(build_encoder(ARCH, 0), 0)
    assert outcome.scores["dice"] == plain.scores["dice"]
    assert outcome.scores["dice_region"] == pytest.approx(np.mean(outcome.cases["dice_region"]))
    assert {"dice_region", "dice_region_pooled"} == set(outcome.scores) - set(plain.scores)
    data = [opened(tmp_path, task=replace(TASK, region=region)).data["digest"] for region in ("", "shifted")]
    assert data[0] != data[1]


def test_training_tells_budget_steps_and_images(tmp_path):
    training = opened(tmp_path).run(build_encoder(ARCH, 0), 0, shots=3).training
    told = {name: training[name] for name in ("budget", "steps_planned", "steps_taken", "train_images")}
    assert told == {"budget": "steps", "steps_planned": 4, "steps_taken": 4, "train_images": 3}
    assert training["validation_images"] == 2
    assert [step for step, _ in training["validation_curve"]] == [2, 4]


def test_three_shots_on_random_weights_take_the_full_number_of_steps(tmp_path):
    protocol = replace(PROTOCOL, max_steps=None, epochs=3, validate_every=None, patience=1, min_steps=100)
    task = opened(tmp_path, protocol)
    few, full = task.run(build_encoder(ARCH, 0), 0, shots=3), task.run(build_encoder(ARCH, 0), 0)
    assert few.training["steps_taken"] == full.training["steps_taken"] == 15
    released = opened(tmp_path, replace(protocol, few_shot_budget="epochs")).run(build_encoder(ARCH, 0), 0, shots=3)
    assert released.training["steps_taken"] == 3


def test_data_tell_what_identifies_them(tmp_path):
    data = opened(tmp_path).data
    assert {name: data[name] for name in ("dataset", "train", "validation", "test", "part", "phantom")} == {
        "dataset": "toy", "train": 18, "validation": 2, "test": 6, "part": "", "phantom": True
    }  # fmt: skip
    assert len(data["digest"]) == len(data["splits"]) == 64
    other = replace(TASK, name="toy-shifted", structures=("shifted",))
    assert opened(tmp_path, task=other).data["digest"] != data["digest"]
    assert opened(tmp_path, task=other).data["splits"] == data["splits"]


def test_several_structures_have_a_dice_each(tmp_path):
    both = SegmentationTask(name="toy-both", dataset="toy", title="Both", structures=("heart", "shifted"))
    outcome = opened(tmp_path, task=both).run(build_encoder(ARCH, 0), 0)
    means = np.mean([outcome.cases["dice_heart"], outcome.cases["dice_shifted"]], axis=0)
    np.testing.assert_allclose(means, outcome.cases["dice"])
    assert outcome.scores["dice_shifted"] == pytest.approx(np.mean(outcome.cases["dice_shifted"]))


def test_cross_entropy_is_a_loss_too(tmp_path):
    outcome = opened(tmp_path, replace(PROTOCOL, loss="bce")).run(build_encoder(ARCH, 0), 0)
    assert 0 < outcome.training["validation_curve"][0][1] < 10


def test_bf16_autocast_runs_and_is_told(tmp_path):
    outcome = opened(tmp_path, replace(PROTOCOL, precision="bf16", max_steps=2)).run(build_encoder(ARCH, 0), 0)
    assert outcome.training["precision"] == "bf16"


@pytest.mark.parametrize(("fast", "precision"), [(True, "bf16"), (False, "fp32")])
def test_what_auto_means_is_settled_when_the_task_is_opened(tmp_path, monkeypatch, fast, precision):
    monkeypatch.setattr(devices, "cpu_instructions", lambda: ["AMX"] * fast)
    task = opened(tmp_path, replace(PROTOCOL, precision="auto"))
    monkeypatch.setattr(devices, "cpu_instructions", lambda: ["AMX"] * (not fast))
    assert task.data["precision"] == task.protocol.precision == precision
    assert task.run(build_encoder(ARCH, 0), 0, shots=2).training["precision"] == precision


def test_a_toy_heart_is_learnt(tmp_path):
    protocol = replace(PROTOCOL, max_steps=40, validate_every=20, batch_size=8)
    assert opened(tmp_path, protocol).run(build_encoder("resnet18-w16", 0), 0).scores["dice"] > 0.7


def test_every_protocol_opens_as_the_same_kind():
    assert all(isinstance(TASK.protocol(name), SegmentationProtocol) for name in ("paper", "quick"))
