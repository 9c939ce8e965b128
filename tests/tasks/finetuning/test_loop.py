"""The loop: budgets in steps, early stopping, schedule, best weights, divergence."""

import math
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from eden_bench import preemption
from eden_bench.contracts import Item
from eden_bench.errors import OutOfMemory, Preempted, TrainingDiverged
from tasks.finetuning.loop import Problem, batches, budget_of, fine_tune, learning_rate
from tasks.finetuning.protocol import QUICK_SEGMENTATION, SegmentationProtocol
from tasks.finetuning.steps import make_optimiser

CPU = torch.device("cpu")
PROTOCOL = SegmentationProtocol(epochs=10, batch_size=4, patience=2, min_steps=12, lr=0.1, precision="fp32")


def problem(rows=3, full=20, validation=lambda: 1.0, loss=None):
    network = nn.Linear(1, 1)
    seen = []

    def own(batch, epoch):
        seen.append((epoch, tuple(batch)))
        return (network.weight - 3).square().sum() + network.bias.square().sum()

    return Problem(network, loss or own, validation, np.arange(rows), full), seen


def test_three_shots_take_as_many_steps_as_the_full_set():
    assert budget_of(PROTOCOL, 3, 20).steps == budget_of(PROTOCOL, 20, 20).steps == 50
    falling = iter(range(100, 0, -1))
    few, seen = problem(validation=lambda: float(next(falling)))
    told = fine_tune(few, PROTOCOL, 0, CPU)
    assert told["steps_planned"] == told["steps_taken"] == len(seen) == 50
    assert told["budget"] == "steps"


def test_counted_in_epochs_three_images_make_one_step_an_epoch():
    budget = budget_of(replace(PROTOCOL, few_shot_budget="epochs"), 3, 20)
    assert (budget.steps, budget.validate_every) == (10, 1)


def test_counted_in_epochs_three_images_take_far_fewer_steps_whatever_limits_the_full_set():
    """Of 112 images, 14 steps an epoch: 80 steps are 5.7 epochs, of three images as many steps, rounded up."""
    counted = replace(QUICK_SEGMENTATION, few_shot_budget="epochs")
    assert budget_of(counted, 112, 112)[:2] == budget_of(QUICK_SEGMENTATION, 3, 112)[:2] == (80, 20)
    assert budget_of(counted, 3, 112)[:2] == (6, 2)
    assert budget_of(counted, 20, 112)[:2] == (18, 5)
    assert budget_of(replace(counted, max_steps=1, validate_every=1), 3, 112)[:2] == (1, 1)


def test_the_budget_has_an_upper_limit():
    assert budget_of(replace(PROTOCOL, max_steps=7), 20, 20).steps == 7


@pytest.mark.parametrize("budget", ["steps", "epochs"])
@pytest.mark.parametrize("rows", [2, 3, 20])
def test_early_stopping_cannot_fire_before_min_steps(budget, rows):
    """The validation loss never improves after the first look, the worst case."""
    rising = iter(range(1000))
    protocol = replace(PROTOCOL, few_shot_budget=budget, epochs=40, patience=1)
    told = fine_tune(problem(rows, validation=lambda: float(next(rising)))[0], protocol, 0, CPU)
    assert told["steps_taken"] >= told["best_step"] + protocol.min_steps > protocol.min_steps
    assert told["steps_taken"] < told["steps_planned"]


def test_without_a_minimum_patience_is_counted_in_validations():
    rising = iter(range(1000))
    protocol = replace(PROTOCOL, few_shot_budget="epochs", min_steps=0)
    told = fine_tune(problem(validation=lambda: float(next(rising)))[0], protocol, 0, CPU)
    assert (told["best_step"], told["steps_taken"]) == (1, 3)


@pytest.mark.trap("medical-mae", "the epoch of the highest *test* AUC (official code)", "chosen by validation")
def test_the_weights_of_the_best_step_are_kept():
    losses = iter([3.0, 1.0, 2.0, 2.5])
    kept = {}
    p = problem(rows=20, validation=None)[0]

    def validation():
        value = next(losses)
        kept[value] = p.network.weight.item()
        return value

    told = fine_tune(replace(p, validation_loss=validation), replace(PROTOCOL, epochs=4), 0, CPU)
    assert told["best_step"] == 10
    assert [step for step, _ in told["validation_curve"]] == [5, 10, 15, 20]
    assert p.network.weight.item() == kept[1.0] != kept[2.5]


def test_without_validation_images_the_last_step_is_tested():
    p, _ = problem(validation=None)
    told = fine_tune(p, PROTOCOL, 0, CPU)
    assert told["best_step"] == told["steps_taken"] == 50
    assert told["validation_curve"] == []


def test_a_loss_that_is_not_a_number_names_its_step():
    p, _ = problem(rows=20)
    count = iter(range(1, 100))

    def loss(rows, epoch):
        return p.network.weight.sum() * (math.nan if next(count) == 3 else 1.0)

    with pytest.raises(TrainingDiverged, match="training loss became nan at step 3, expected a finite number"):
        fine_tune(replace(p, loss=loss), PROTOCOL, 0, CPU)


def test_a_validation_loss_that_is_infinite_names_its_step():
    with pytest.raises(TrainingDiverged, match="validation loss became inf at step 5"):
        fine_tune(problem(validation=lambda: math.inf)[0], PROTOCOL, 0, CPU)


def test_the_rate_rises_linearly_and_falls_as_half_a_cosine():
    protocol = replace(PROTOCOL, lr=1.0, warmup_share=0.2)
    rates = [learning_rate(step, 50, protocol) for step in range(50)]
    assert rates[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert rates[10] == 1.0
    assert rates[30] == pytest.approx(0.5)
    assert 0 < rates[49] < 0.01
    assert learning_rate(0, 50, replace(protocol, warmup_share=0.0)) == 1.0


def test_every_epoch_sees_every_image_once_in_a_new_order():
    seen = list(batches(np.arange(10, 43), 16, 0, 6))
    epochs = [np.concatenate([rows for epoch, rows in seen if epoch == e]) for e in (0, 1)]
    assert [len(rows) for _, rows in seen] == [11] * 6
    assert all(sorted(order) == list(range(10, 43)) for order in epochs)
    assert not np.array_equal(*epochs)
    again = list(batches(np.arange(10, 43), 16, 0, 4))
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(again, seen[:4], strict=True))
    assert len(again) == 4


def test_the_global_generator_is_left_alone():
    p, _ = problem()
    before = torch.random.get_rng_state()
    fine_tune(p, PROTOCOL, 0, CPU)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_optimiser_is_the_protocols():
    optimiser = make_optimiser(nn.Linear(1, 1), SegmentationProtocol(optimiser="adam", weight_decay=0.0), CPU)
    assert type(optimiser) is torch.optim.Adam
    assert type(make_optimiser(nn.Linear(1, 1), PROTOCOL, CPU)) is torch.optim.AdamW


def test_a_signal_drops_the_cell_between_two_steps():
    def loss(batch, epoch):
        steps.append(epoch)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGUSR1)
        return made.network.weight.square().sum()

    steps = []
    made, _ = problem(loss=loss)
    with preemption.heeded(), pytest.raises(Preempted, match="SIGUSR1"):
        fine_tune(made, PROTOCOL, 0, CPU)
    assert len(steps) == 3


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("tried to allocate"), MemoryError()])
@pytest.mark.trap(
    "crashes",
    "memory that runs out",
    "a failed cell that says on what, at which step and size; batches are never split, which would be another protocol",
)
def test_out_of_memory_is_a_sentence_and_never_another_batch(error):
    def loss(batch, epoch):
        raise error

    with pytest.raises(OutOfMemory, match=r"out of memory on cpu at step 1 with batch_size 4 at .* px; batch norm and"):
        fine_tune(problem(loss=loss)[0], PROTOCOL, 0, CPU)


def test_another_error_of_torch_is_not_called_out_of_memory():
    def loss(batch, epoch):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        fine_tune(problem(loss=loss)[0], PROTOCOL, 0, CPU)


@pytest.mark.trap("crashes", "NaN in image, label, weight or loss", "a failed cell that names the step and its images")
def test_a_loss_that_is_not_finite_names_its_step_and_the_images_of_that_step():
    def loss(batch, epoch):
        seen.append([f"image-{row}" for row in batch])
        return made.network.weight.square().sum() * (math.nan if len(seen) == 7 else 1.0)

    seen = []
    made, _ = problem(rows=20, loss=loss)
    items = [Item(id=f"image-{row}", patient="p", split="train", image=Path("i")) for row in range(20)]
    made, protocol = replace(made, items=items), replace(PROTOCOL, validate_every=10)
    with pytest.raises(TrainingDiverged, match="training loss became nan at step 7, expected a finite number") as said:
        fine_tune(made, protocol, 0, CPU)
    assert len(seen) == 10
    assert str(said.value).endswith(f"or look at the images of that step: {', '.join(seen[6])}")
