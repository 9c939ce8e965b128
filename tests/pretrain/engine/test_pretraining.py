import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from eden_bench import preemption, registry
from eden_bench.contracts import Stage
from eden_bench.devices import fast_precision
from eden_bench.errors import Preempted, UsageError
from pretrain.engine import state, training
from tests.pretrain.engine.running import Stopped, copied, history, run, stop_after
from tests.pretrain.tiny import config, data


@pytest.mark.parametrize("name", ["densecl"])
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


@pytest.mark.parametrize("number", preemption.SIGNALS)
@pytest.mark.trap("crashes", "SIGTERM and SIGUSR1 of a scheduler")
def test_a_signal_stops_it_at_the_next_step_with_that_step_saved(tmp_path, number):
    def ask(what, done, total):
        steps.append(done)
        if done in (1, 3) and len(steps) == done:
            os.kill(os.getpid(), number)

    steps = []
    for at_step in (1, 3):
        with preemption.heeded(), pytest.raises(Preempted, match="requeue: the same command goes on"):
            run(tmp_path / "asked", "moco-v2", progress=ask)
        assert steps == list(range(1, at_step + 1))
    asked, whole = (run(tmp_path / name, "moco-v2", progress=ask) for name in ("asked", "whole"))
    assert steps[:4] == [1, 2, 3, 4]
    assert asked.encoder_digest == whole.encoder_digest
    assert history(tmp_path / "asked") == history(tmp_path / "whole")


@pytest.mark.trap("methods", "checkpoint: torchvision's names, no head", "held")
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


@pytest.mark.trap("adam", "next stage: weights, teacher, queue of the last epoch; momentum and schedule fresh", "held")
def test_a_stage_goes_on_from_the_last_epoch_with_queue_and_teacher_and_fresh_momentum(tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(state, "save", lambda folder, at: saved.append((at.stage, at.epoch, copied(at.method))))
    starts = []
    start = training.Training._start

    def watched(self, stage):
        start(self, stage)
        momentum = [o.state_dict()["state"] for o in self._optimisers.values()]
        starts.append((stage.name, momentum, copied(self.method.state_dict())))

    monkeypatch.setattr(training.Training, "_start", watched)
    run(tmp_path, "adam")
    ends = {stage: weights for stage, epoch, weights in saved if epoch == 0}
    assert [name for name, _, _ in starts] == ["n0", "n2", "n4"]
    for number, (_, momentum, weights) in enumerate(starts[1:], start=1):
        assert momentum == [{}]
        assert all(value.equal(ends[number][key]) for key, value in weights.items())
    entries = [(e["stage"], e["epoch"], e["lr"]) for e in history(tmp_path)]
    assert entries == [(f"n{n}", e, lr) for n in (0, 2, 4) for e, lr in ((0, 0.03), (1, pytest.approx(0.015)))]


def test_the_card_tells_how_each_stage_went(tmp_path):
    stages = run(tmp_path, "adam", levels=(0, 2)).card["stages"]
    entries = history(tmp_path)
    assert [stage["name"] for stage in stages] == ["n0", "n2"]
    for stage, (first, last) in zip(stages, (entries[:2], entries[2:]), strict=True):
        assert stage["epochs"] == 2
        assert (stage["first_loss"], stage["last_loss"]) == (first["loss"], last["loss"])
        assert all(stage[key] == last[key] for key in ("validation_loss", "kept", "without_negatives"))
    assert "kept" not in run(tmp_path / "densecl", "densecl").card["stages"][0]


@pytest.mark.trap(
    "adam",
    "float32, no clipping, ragged last batch dropped",
    "bf16 autocast where the hardware has it, part of the recipe; no clipping; dropped",
)
def test_the_precision_is_part_of_the_recipe(tmp_path, monkeypatch):
    run(tmp_path, "moco-v2")
    other = {"float32": "bfloat16", "bfloat16": "float32"}[fast_precision("cpu")]
    monkeypatch.setattr("pretrain.engine.pretraining.fast_precision", lambda device: other)
    with pytest.raises(UsageError, match="holds another checkpoint"):
        run(tmp_path, "moco-v2")


def test_validation_is_the_mean_over_held_out_images_and_leaves_everything_alone(tmp_path, monkeypatch):
    validate = training.Training._validate

    def watched(self):
        before = copied(self.method.state_dict())
        first, second = validate(self), validate(self)
        assert first == second
        assert all(value.equal(before[key]) for key, value in self.method.state_dict().items())
        assert self.method.training
        return first

    monkeypatch.setattr(training.Training, "_validate", watched)
    run(tmp_path, "moco-v2", images=data(16, 11))  # a whole batch and a ragged one


@pytest.mark.trap("adam", "float32, no clipping, ragged last batch dropped")
def test_every_epoch_takes_each_image_at_most_once_in_another_order(tmp_path, monkeypatch):
    seen = []
    step = training.Training._step
    monkeypatch.setattr(training.Training, "_step", lambda self, v: (seen.append(v.samples.tolist()), step(self, v))[1])
    run(tmp_path, "moco-v2", images=data(19))
    epochs = [seen[0] + seen[1], seen[2] + seen[3]]
    assert [len(set(epoch)) for epoch in epochs] == [16, 16]
    assert epochs[0] != epochs[1]


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
