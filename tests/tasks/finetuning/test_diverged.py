"""A loss or a logit that is not finite fails the cell, wherever it first shows: training, validation or test."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.errors import TrainingDiverged
from eden_bench.records import check_outcome
from tasks.finetuning import ClassificationTask, SegmentationTask
from tasks.finetuning.device_images import normalised
from tasks.finetuning.loop import logits_of, scored_logits
from tasks.finetuning.networks import soft_dice_loss
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

SEGMENTATION = SegmentationTask(name="toy-heart", dataset="toy", title="Toy heart", structures=("heart",))
CLASSIFICATION = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
ONE_STEP = {"size_px": 32, "batch_size": 4, "warmup_share": 0.0, "max_steps": 1, "validate_every": 1}
KINDS = {
    "dice": (SEGMENTATION, replace(SEGMENTATION.quick, score_px=32, **ONE_STEP)),
    "bce": (SEGMENTATION, replace(SEGMENTATION.quick, score_px=48, loss="bce", **ONE_STEP)),
    "classification": (CLASSIFICATION, replace(CLASSIFICATION.quick, source_px=40, **ONE_STEP)),
}
ANY = pytest.mark.parametrize("kind", KINDS)
DESTROYING = {"lr": 1e30}


def run(folder, kind, shots=None, encoder=None, **changes):
    task, protocol = KINDS[kind]
    context = Context(cache=folder / "cache", dataset=ToyAnatomy())
    opened = task.open(toy_index(folder), replace(protocol, **changes), context)
    return opened.run(encoder or build_encoder("resnet18-w16", 0), 0, shots)


@ANY
def test_weights_that_the_last_step_destroys_fail_a_run_without_validation(tmp_path, kind):
    """The loss of that step was finite, and NaN logits would be scored as background."""
    with pytest.raises(TrainingDiverged, match="a test logit became nan at step 1, expected a finite number: lower"):
        run(tmp_path, kind, shots=3, few_shot_validation="none", **DESTROYING)


@ANY
def test_weights_that_a_step_destroys_fail_in_validation(tmp_path, kind):
    with pytest.raises(TrainingDiverged, match="validation loss became nan at step 1"):
        run(tmp_path, kind, **DESTROYING)


@ANY
@pytest.mark.parametrize("shots", [3, None])
@pytest.mark.trap("crashes", "NaN in image, label, weight or loss")
def test_an_encoder_that_is_not_finite_fails_at_its_first_step(tmp_path, kind, shots):
    encoder = build_encoder("resnet18-w16", 0)
    with torch.no_grad():
        next(encoder.parameters()).view(-1)[0] = math.inf
    with pytest.raises(
        TrainingDiverged, match=r"training loss became nan at step 1, .* images of that step: 0"
    ) as said:
        run(tmp_path, kind, shots, encoder, few_shot_validation="none")
    assert len(str(said.value).rpartition(": ")[2].split(", ")) == (shots or 4)


@ANY
def test_finite_runs_end_in_a_score(tmp_path, kind):
    outcome = run(tmp_path, kind, shots=3, few_shot_validation="none")
    check_outcome(outcome, KINDS[kind][0].score)


class Answers(nn.Module):
    """A network whose logits are given."""

    def __init__(self, logits):
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, images):
        return self.logits


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_one_logit_that_is_not_finite_makes_every_loss_nan(value):
    """Dice alone would call plus infinity a sure yes."""
    logits = torch.zeros(2, 1, 32, 32)
    logits[1, 0, 3, 4] = value
    protocol = replace(SEGMENTATION.quick, precision="fp32")
    images, network = torch.zeros(2, 1, 32, 32), Answers(logits)
    assert soft_dice_loss(logits_of(network, images, protocol), torch.zeros(2, 1, 32, 32)).isnan()
    with pytest.raises(TrainingDiverged, match="a test logit became nan at step 7"):
        scored_logits(network, images, protocol, 7)


def test_finite_logits_and_their_gradient_are_the_networks_bit_for_bit():
    network, images = nn.Conv2d(3, 1, 3, padding=1), torch.rand(2, 1, 32, 32)
    protocol = replace(SEGMENTATION.quick, precision="fp32")
    found, plain = logits_of(network, images, protocol), network(normalised(images, protocol))
    assert torch.equal(found, plain)
    assert found.stride() == plain.stride()
    of = [
        torch.autograd.grad(soft_dice_loss(logits, torch.ones_like(logits)), network.weight)
        for logits in (found, plain)
    ]
    assert torch.equal(of[0][0], of[1][0])
