"""Runs that cannot go on say why, and hand nothing on."""

import errno
import math
from types import SimpleNamespace

import pytest
import torch

from eden_bench import registry
from eden_bench.errors import EdenError, OutOfMemory, TrainingDiverged, UsageError
from eden_bench.weights.checkpoints import Checkpoint
from pretrain.engine import state, training
from tests.pretrain.engine.running import run
from tests.pretrain.tiny import data


@pytest.mark.trap("attacks", "a run whose last step destroys its weights")
@pytest.mark.parametrize("select", ["best", "last"])
@pytest.mark.parametrize("loss", [math.nan, -math.inf])
def test_a_validation_loss_that_is_not_finite_stops_the_run_and_hands_nothing_on(tmp_path, monkeypatch, loss, select):
    losses = iter([2.0, loss, 1.0])
    monkeypatch.setattr(training.Training, "_validate", lambda self: next(losses))
    with pytest.raises(
        TrainingDiverged,
        match="the validation loss is not finite at stage whole, epoch 2, step 2; nothing is handed on, the last good "
        "state is stage 1, epoch 2, step 0",
    ):
        run(tmp_path, "moco-v2", epochs=3, select=select, save_every_s=0.0)
    assert not Checkpoint(tmp_path).exists


@pytest.mark.trap("attacks", "a run whose last step destroys its weights", "a failed cell, a stopped pretraining")
@pytest.mark.parametrize("name", ["weight", "running_var"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_the_last_step_destroyed_stop_the_run_and_hand_nothing_on(tmp_path, monkeypatch, name, value):
    """No loss is computed after the last step of a run, and without validation images nothing else looks."""
    step, count = training.Training._step, iter(range(1, 5))

    def destroying(self, views):
        step(self, views)
        if next(count) == 4:
            found = [t for key, t in self.method.encoder.state_dict().items() if key.endswith(name)]
            found[-1].view(-1)[-1] = value

    monkeypatch.setattr(training.Training, "_step", destroying)
    with pytest.raises(TrainingDiverged, match="the network is not finite at stage whole, epoch 2, step 2; nothing is"):
        run(tmp_path, "moco-v2", images=data(16, 0), select="last")
    assert not Checkpoint(tmp_path).exists


def test_groups_that_do_not_divide_among_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "distributed", SimpleNamespace(size=lambda: 4))
    with pytest.raises(UsageError, match="bn_groups 2 does not divide among 4 processes"):
        run(tmp_path, "moco-v2")


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.trap("crashes", "NaN in image, label, weight or loss")
def test_a_loss_that_is_not_finite_stops_the_run_and_hands_nothing_on(tmp_path, monkeypatch, step):
    method = registry.methods.get("moco-v2")
    losses, calls = method.losses, []

    def poisoned(self, views, turn="main"):
        calls.extend([views.samples.tolist()] if self.training else [])
        found = losses(self, views, turn)
        return {k: v * float("nan") for k, v in found.items()} if len(calls) == step and self.training else found

    monkeypatch.setattr(method, "losses", poisoned)
    epoch, within = divmod(step - 1, 2)
    kept = "the start" if epoch == 0 else "stage 1, epoch 2, step 0"
    with pytest.raises(
        TrainingDiverged,
        match=rf"not finite at stage whole, epoch {epoch + 1}, step {within + 1}; nothing is handed on.* {kept}: lower",
    ) as said:
        run(tmp_path, "moco-v2", save_every_s=0.0)
    assert str(said.value).endswith(f"(that step saw {', '.join(f'image {row}' for row in calls[step - 1])})")
    assert not Checkpoint(tmp_path).exists
    assert (tmp_path / state.FILE).exists() == (epoch > 0)


def test_too_few_images_for_a_batch_is_refused(tmp_path):
    with pytest.raises(UsageError, match="found 7 images to pretrain on, expected at least one batch of 8"):
        run(tmp_path, images=data(7))


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(folder, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "save", full)
    with pytest.raises(EdenError, match=r"the disk is full .*: free some space and issue the command again"):
        run(tmp_path, "moco-v2")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("tried to allocate"), MemoryError()])
@pytest.mark.trap("crashes", "memory that runs out")
def test_out_of_memory_names_the_batch_and_what_keeps_its_numbers(tmp_path, monkeypatch, error):
    def exhausted(self, views):
        raise error

    monkeypatch.setattr(training.Training, "_step", exhausted)
    with pytest.raises(OutOfMemory, match="out of memory on cpu with batch_size 8 at 64 px: use more processes with"):
        run(tmp_path, "moco-v2")
