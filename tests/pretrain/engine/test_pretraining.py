import errno
import json
import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from eden_bench import registry
from eden_bench.contracts import Context, Stage
from eden_bench.devices import fast_precision
from eden_bench.errors import EdenError, TrainingDiverged, UsageError
from eden_bench.weights.checkpoints import Checkpoint
from pretrain.engine import state, training
from pretrain.engine.pretraining import pretrain
from tests.pretrain.tiny import config, data


class Stopped(BaseException):
    """What a kill looks like from inside: nothing gets to tidy up."""


def run(folder, name="adam", *, progress=lambda *_: None, seed=0, images=None, save_every_s=600.0, **changes):
    return pretrain(
        name,
        config(name, **changes),
        images or data(),
        seed=seed,
        folder=folder,
        context=Context(cache=folder, progress=progress),
        save_every_s=save_every_s,
    )


def stop_after(steps):
    """Progress that stops the run at a step."""
    seen = []

    def progress(what, done, total):
        seen.append(done)
        if len(seen) == steps:
            raise Stopped

    return progress


def history(folder):
    lines = (folder / "history.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in ("seconds", "waited_s")} for line in lines]


@pytest.mark.parametrize("name", ["adam", "densecl"])
def test_a_run_stopped_anywhere_ends_like_one_that_was_not(tmp_path, name, monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    whole = run(tmp_path / "whole", name)
    total = 2 * 2 * len(config(name).stages)
    for steps in (total // 2 - 1, total - 1):
        with pytest.raises(Stopped):
            run(tmp_path / f"{steps}", name, progress=stop_after(steps), save_every_s=0.0)
        resumed = run(tmp_path / f"{steps}", name)
        assert resumed.encoder_digest == whole.encoder_digest
        assert history(tmp_path / f"{steps}") == history(tmp_path / "whole")


def test_a_resumed_run_repeats_only_what_was_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    with pytest.raises(Stopped):
        run(tmp_path, "moco-v2", progress=stop_after(4), save_every_s=0.0)
    steps = []
    run(tmp_path, "moco-v2", progress=lambda what, done, total: steps.append((done, total)))
    assert steps == [(4, 4)]


def test_the_checkpoint_is_torchvisions_encoder_and_says_what_made_it(tmp_path):
    checkpoint = run(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "card.json", "encoder.safetensors", "history.jsonl"]
    card = checkpoint.card
    assert (card["method"], card["arch"], card["seed"], card["epochs"], card["steps"]) == (
        "adam",
        "resnet18-w16",
        0,
        6,
        12,
    )
    assert card["config"]["levels"] == [0, 2, 4]
    assert card["data"]["dataset"] == "noise"
    assert card["selected"]["stage"] == "n4"
    assert card["versions"]["torch"]
    assert checkpoint.load_encoder().arch == "resnet18-w16"


def test_a_finished_run_is_returned_as_it_is(tmp_path):
    first = run(tmp_path, "moco-v2")
    again = run(tmp_path, "moco-v2", progress=stop_after(1))
    assert again.encoder_digest == first.encoder_digest


def test_a_folder_of_another_recipe_is_refused(tmp_path):
    run(tmp_path, "moco-v2")
    with pytest.raises(UsageError, match=r"holds another checkpoint \(moco-v2, recipe .{12}\): choose another folder"):
        run(tmp_path, "moco-v2", seed=1)


def test_a_stage_goes_on_from_the_last_epoch_with_queue_and_teacher_and_fresh_momentum(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(state, "save", lambda folder, at: saved.append((at.stage, at.epoch, _copy(at.method))))
    starts = []
    start = training.Training._start

    def watched(self, stage):
        start(self, stage)
        momentum = [o.state_dict()["state"] for o in self._optimisers.values()]
        starts.append((stage.name, momentum, _copy(self.method.state_dict())))

    monkeypatch.setattr(training.Training, "_start", watched)
    run(tmp_path, "adam")
    ends = {stage: weights for stage, epoch, weights in saved if epoch == 0}
    assert [name for name, _, _ in starts] == ["n0", "n2", "n4"]
    for number, (_, momentum, weights) in enumerate(starts[1:], start=1):
        assert momentum == [{}]
        assert all(value.equal(ends[number][key]) for key, value in weights.items())
    entries = [(e["stage"], e["epoch"], e["lr"]) for e in history(tmp_path)]
    assert entries == [(f"n{n}", e, lr) for n in (0, 2, 4) for e, lr in ((0, 0.03), (1, pytest.approx(0.015)))]


def _copy(weights):
    return {key: value.clone() for key, value in weights.items()}


def test_the_best_epoch_of_the_last_stage_is_handed_on(tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 0.1, 3.0, 1.0, 2.0, 4.0])  # the first stage's do not count
    monkeypatch.setattr(training.Training, "_validate", lambda self: next(losses))
    monkeypatch.setattr(registry.methods.get("adam"), "ready", True)
    weights = []
    monkeypatch.setattr(state, "save", lambda folder, at: weights.append((at.stage, at.epoch, _copy(at.method))))
    checkpoint = run(tmp_path, "adam", levels=(0, 2), epochs=4, pruning_threshold=2.0)  # prunes none
    selected = checkpoint.card["selected"]
    assert selected == {"rule": "best", "stage": "n2", "epoch": 1, "validation_loss": 1.0}
    kept = next(w for stage, epoch, w in weights if (stage, epoch) == (1, 2))
    encoder = checkpoint.load_encoder().state_dict()
    assert all(value.equal(kept[f"moco.student.encoder.{key}"]) for key, value in encoder.items())


def test_an_epoch_whose_queue_is_not_yet_real_is_not_chosen(tmp_path, monkeypatch):
    losses = iter([0.1, 3.0, 1.0, 2.0])
    monkeypatch.setattr(training.Training, "_validate", lambda self: next(losses))
    checkpoint = run(tmp_path, "moco-v2", epochs=4, queue_size=24)  # two steps of eight an epoch
    assert checkpoint.card["selected"]["epoch"] == 2


@pytest.fixture
def pruned(monkeypatch):
    """Make Adam's pruner leave a given share of the queries without negatives, epoch by epoch."""

    def leave(shares):
        note = training.Training._note

        def planted(self, stage, loss):
            note(self, stage, loss)
            self.at.history[-1]["without_negatives"] = shares[len(self.at.history) - 1]

        monkeypatch.setattr(training.Training, "_note", planted)
        monkeypatch.setattr(registry.methods.get("adam"), "ready", True)

    return leave


def test_a_stage_without_negatives_is_warned_of_once_and_never_chosen(tmp_path, monkeypatch, pruned, caplog):
    pruned([0.0, 1.0, 0.995, 0.5, 0.0, 0.0, 0.99, 0.5])
    losses = iter([3.0, 1.0, 2.0, 0.1, 3.0, 2.0, 0.0, 4.0])
    monkeypatch.setattr(training.Training, "_validate", lambda self: next(losses))
    with caplog.at_level(logging.WARNING, "eden_bench"):
        card = run(tmp_path, "adam", levels=(2, 4), epochs=4).card
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("adam, stage n2, epoch 2: the pruner left 100% of the queries without a negative")
    assert second.startswith("adam, stage n4, epoch 3: the pruner left 99%")
    assert first.endswith("lower pruning_threshold, or pretrain the coarser stage longer")
    assert card["selected"] == {"rule": "best", "stage": "n4", "epoch": 1, "validation_loss": 2.0}


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
        run(tmp_path, "moco-v2", epochs=3, select=select)
    assert not Checkpoint(tmp_path).exists


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


def test_without_one_epoch_that_can_be_best_the_last_is_handed_on_and_the_card_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.methods.get("moco-v2"), "ready", False)
    selected = run(tmp_path, "moco-v2").card["selected"]
    assert (selected["rule"], selected["epoch"]) == ("last", 1)


def test_the_card_tells_how_each_stage_went(tmp_path):
    stages = run(tmp_path, "adam", levels=(0, 2)).card["stages"]
    entries = history(tmp_path)
    assert [stage["name"] for stage in stages] == ["n0", "n2"]
    for stage, (first, last) in zip(stages, (entries[:2], entries[2:]), strict=True):
        assert stage["epochs"] == 2
        assert (stage["first_loss"], stage["last_loss"]) == (first["loss"], last["loss"])
        assert all(stage[key] == last[key] for key in ("validation_loss", "kept", "without_negatives"))
    assert "kept" not in run(tmp_path / "densecl", "densecl").card["stages"][0]


def test_groups_that_do_not_divide_among_processes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "distributed", SimpleNamespace(size=lambda: 4))
    with pytest.raises(UsageError, match="bn_groups 2 does not divide among 4 processes"):
        run(tmp_path, "moco-v2")


def test_the_precision_is_part_of_the_recipe(tmp_path, monkeypatch):
    run(tmp_path, "moco-v2")
    other = {"float32": "bfloat16", "bfloat16": "float32"}[fast_precision("cpu")]
    monkeypatch.setattr("pretrain.engine.pretraining.fast_precision", lambda device: other)
    with pytest.raises(UsageError, match="holds another checkpoint"):
        run(tmp_path, "moco-v2")


def test_the_last_epoch_is_handed_on_where_asked(tmp_path):
    selected = run(tmp_path, "moco-v2", select="last").card["selected"]
    assert (selected["rule"], selected["epoch"]) == ("last", 1)


def test_validation_is_the_mean_over_held_out_images_and_leaves_everything_alone(tmp_path, monkeypatch):
    validate = training.Training._validate

    def watched(self):
        before = _copy(self.method.state_dict())
        first, second = validate(self), validate(self)
        assert first == second
        assert all(value.equal(before[key]) for key, value in self.method.state_dict().items())
        assert self.method.training
        return first

    monkeypatch.setattr(training.Training, "_validate", watched)
    run(tmp_path, "moco-v2", images=data(16, 11))  # a whole batch and a ragged one


def test_every_epoch_takes_each_image_at_most_once_in_another_order(tmp_path, monkeypatch):
    seen = []
    step = training.Training._step
    monkeypatch.setattr(training.Training, "_step", lambda self, v: (seen.append(v.samples.tolist()), step(self, v))[1])
    run(tmp_path, "moco-v2", images=data(19))
    epochs = [seen[0] + seen[1], seen[2] + seen[3]]
    assert [len(set(epoch)) for epoch in epochs] == [16, 16]
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("step", [1, 3])
def test_a_loss_that_is_not_finite_stops_the_run_and_hands_nothing_on(tmp_path, monkeypatch, step):
    method = registry.methods.get("moco-v2")
    losses, calls = method.losses, []

    def poisoned(self, views, turn="main"):
        calls.extend([1] if self.training else [])
        found = losses(self, views, turn)
        return {k: v * float("nan") for k, v in found.items()} if len(calls) == step and self.training else found

    monkeypatch.setattr(method, "losses", poisoned)
    epoch, within = divmod(step - 1, 2)
    kept = "the start" if epoch == 0 else "stage 1, epoch 2, step 0"
    with pytest.raises(
        TrainingDiverged,
        match=rf"not finite at stage whole, epoch {epoch + 1}, step {within + 1}; nothing is handed on.* {kept}: lower",
    ):
        run(tmp_path, "moco-v2")
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


def test_out_of_memory_names_the_batch(tmp_path, monkeypatch):
    def exhausted(self, views):
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(training.Training, "_step", exhausted)
    with pytest.raises(EdenError, match="out of memory on cpu with batch_size 8 at 64 px: lower batch_size"):
        run(tmp_path, "moco-v2")


def test_labels_travel_with_their_samples(tmp_path, monkeypatch):
    labels = np.arange(20, dtype=np.float32)[:, None]
    step = training.Training._step

    def watched(self, views):
        assert views.labels[:, 0].tolist() == views.samples.tolist()
        step(self, views)

    monkeypatch.setattr(training.Training, "_step", watched)
    run(tmp_path, "moco-v2", images=replace(data(), labels=labels))


class TwoTurns(registry.methods.get("moco-v2")):
    """MoCo whose head has an optimiser of its own, as an adversary would."""

    def optimisers(self):
        return {
            "encoder": torch.optim.Adam(self.encoder.parameters(), lr=1e-3),
            "head": torch.optim.SGD(self.moco.student.head.parameters(), lr=0.1),
        }

    def losses(self, views, turn="main"):
        return {turn: super().losses(views)["contrast"]}


def test_methods_with_two_optimisers_take_turns_and_resume(tmp_path, monkeypatch):
    monkeypatch.setitem(registry.methods._made, "moco-v2", TwoTurns)
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    whole = run(tmp_path / "whole", "moco-v2")
    assert {"loss/encoder", "loss/head"} <= set(history(tmp_path / "whole")[0])
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", "moco-v2", progress=stop_after(3), save_every_s=0.0)
    assert run(tmp_path / "stopped", "moco-v2").encoder_digest == whole.encoder_digest


def test_a_stage_is_announced_before_its_optimisers_are_asked_for(tmp_path, monkeypatch):
    method, calls = registry.methods.get("adam"), []
    start, optimisers = method.start_stage, method.optimisers
    monkeypatch.setattr(method, "start_stage", lambda self, stage: (calls.append(stage), start(self, stage))[1])
    monkeypatch.setattr(method, "optimisers", lambda self: (calls.append("optimisers"), optimisers(self))[1])
    run(tmp_path, "adam", levels=(2,), epochs=1)
    assert calls == [Stage("n2", 1, 2, 2, 2), "optimisers"]
