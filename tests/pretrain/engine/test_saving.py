"""The state is saved in the background, when it is time; a run that stops anywhere resumes from it, bit for bit."""

import errno
import os
import random
import signal
import sys
import threading

import pytest
import torch

from eden_bench import preemption, registry
from eden_bench.errors import EdenError, TrainingDiverged
from eden_bench.files import atomic
from pretrain.engine import state, training
from pretrain.engine.saving import Saver, snapshot
from pretrain.engine.state import TrainingState
from tests.eden_bench.execution.test_runner_faults import ended, forked
from tests.pretrain.engine.running import Stopped, history, run, stop_after
from tests.pretrain.tiny import config, data

POINTS = random.Random(13).sample(range(1, 3 * 2 * 2), 4)


def held():
    weights, momentum = torch.zeros(3), torch.zeros(3)
    optimisers = {"main": {"state": {0: {"momentum_buffer": momentum}}, "param_groups": [{"lr": 0.1, "betas": (0, 1)}]}}
    return TrainingState("mine", method={"w": weights}, optimisers=optimisers, sums={"loss": torch.tensor(1.0)})


def test_a_snapshot_is_not_changed_by_the_training_that_goes_on():
    at = held()
    kept, copies = snapshot(at)
    at.method["w"].add_(1)
    at.optimisers["main"]["state"][0]["momentum_buffer"].add_(1)
    at.optimisers["main"]["param_groups"][0]["lr"] = 0.2
    at.sums["loss"].add_(1)
    at.history.append({"loss": 1.0})
    assert copies is None
    assert kept.method["w"].sum() == kept.optimisers["main"]["state"][0]["momentum_buffer"].sum() == 0
    assert kept.optimisers["main"]["param_groups"] == [{"lr": 0.1, "betas": (0, 1)}]
    assert (float(kept.sums["loss"]), kept.history) == (1.0, [])


def test_training_goes_on_while_the_state_is_written_and_what_is_written_is_of_the_moment_of_saving(
    tmp_path, monkeypatch
):
    write, free, at = state.save, threading.Event(), held()
    monkeypatch.setattr(state, "save", lambda folder, kept: (free.wait(10), write(folder, kept)))
    saver = Saver(tmp_path)
    saver.save(at)
    at.method["w"].add_(1)
    assert not (tmp_path / state.FILE).exists()
    free.set()
    saver.save(at)
    assert state.load(tmp_path, "mine").method["w"].sum() in (0, 3)
    saver.wait()
    assert state.load(tmp_path, "mine").method["w"].sum() == 3
    saver.close()


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("where", "before", "step"),
    [("hashlib.sha256", True, 1), ("os.replace", True, 1), ("os.replace", False, 2)],
    ids=["within the file", "before it is renamed", "before the folder is flushed"],
)
def test_a_kill_in_the_background_leaves_the_state_before_or_this_one_whole(tmp_path, monkeypatch, where, before, step):
    def work():
        saver = Saver(tmp_path)
        saver.save(TrainingState("mine", step=1, method={"w": torch.ones(9999)}))
        saver.wait()
        module, name = where.split(".")
        real = getattr(sys.modules[module], name)
        monkeypatch.setattr(f"{module}.{name}", lambda *given: (before and die(), real(*given), die()))
        saver.save(TrainingState("mine", step=2, method={"w": torch.ones(9999)}))
        saver.wait()

    assert ended(forked(work)) == -signal.SIGKILL
    kept = state.load(tmp_path, "mine")
    assert (kept.step, float(kept.method["w"].sum())) == (step, 9999)
    assert atomic.sweep(tmp_path) == int(before)
    assert [path.name for path in tmp_path.iterdir()] == [state.FILE]


def test_the_next_save_waits_for_the_last(tmp_path, monkeypatch):
    entered, free, running = threading.Event(), threading.Event(), []

    def slow(folder, kept):
        entered.set()
        running.append(kept.step)
        free.wait(10)

    monkeypatch.setattr(state, "save", slow)
    saver = Saver(tmp_path)
    saver.save(TrainingState("mine", step=1))
    second = threading.Thread(target=saver.save, args=(TrainingState("mine", step=2),))
    second.start()
    entered.wait(10)
    second.join(0.05)
    assert second.is_alive()
    free.set()
    second.join(10)
    saver.close()
    assert running == [1, 2]


def test_a_disk_that_is_full_is_one_sentence_and_stops_the_run_where_it_is_found(tmp_path, monkeypatch):
    def full(folder, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "save", full)
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    seen = []
    with pytest.raises(EdenError, match=r"the disk is full .*: free some space and issue the command again, it goes"):
        run(tmp_path, "moco-v2", save_every_s=0.0, epochs=9, progress=lambda *_: seen.append(1))
    assert len(seen) <= 2  # the save after the first step fails, and the second one finds it


def test_what_stops_a_run_is_told_and_not_what_became_of_its_state(tmp_path, monkeypatch):
    def full(folder, at):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(state, "save", full)
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 2)
    with pytest.raises(Stopped):
        run(tmp_path, "moco-v2", images=data(40), save_every_s=0.0, progress=stop_after(3))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of three stages that was not stopped and saved nothing within one."""
    folder = tmp_path_factory.mktemp("whole")
    return run(folder, "adam", save_every_s=1e9), history(folder)


@pytest.mark.parametrize(("steps", "save_every_s"), list(zip(POINTS, (0.0, 0.0, 0.0, 1e9), strict=True)))
def test_a_run_stopped_at_a_random_step_ends_with_the_same_weights(tmp_path, monkeypatch, steps, save_every_s, whole):
    """Wherever the state was last saved: at every step, or only at a stage's end."""
    monkeypatch.setattr(training, "CHECK_EVERY_STEPS", 1)
    with pytest.raises(Stopped):
        run(tmp_path, "adam", progress=stop_after(steps), save_every_s=save_every_s)
    resumed = run(tmp_path, "adam")
    assert resumed.encoder_digest == whole[0].encoder_digest
    assert resumed.card["selected"] == whole[0].card["selected"]
    assert history(tmp_path) == whole[1]


def test_a_diverged_network_is_not_saved_because_the_system_asks_to_stop(tmp_path, monkeypatch):
    monkeypatch.setattr(preemption, "requested", lambda: True)
    losses = registry.methods.get("moco-v2").losses
    poisoned = lambda self, *given: {k: v * float("nan") for k, v in losses(self, *given).items()}  # noqa: E731
    monkeypatch.setattr(registry.methods.get("moco-v2"), "losses", poisoned)
    with pytest.raises(TrainingDiverged):
        run(tmp_path, "moco-v2")
    assert not (tmp_path / state.FILE).exists()


@pytest.mark.parametrize("name", ["adam", "moco-v2"])
def test_without_time_passing_a_state_is_saved_at_the_end_of_each_stage_alone(tmp_path, monkeypatch, name):
    saved, write = [], state.save
    monkeypatch.setattr(state, "save", lambda folder, at: (saved.append((at.stage, at.epoch)), write(folder, at)))
    run(tmp_path, name, save_every_s=1e9)
    assert saved == [(stage + 1, 0) for stage in range(len(config(name).stages))]


def test_the_history_is_written_after_every_epoch_though_no_state_is(tmp_path):
    with pytest.raises(Stopped):
        run(tmp_path, "moco-v2", epochs=3, save_every_s=1e9, progress=stop_after(6))
    assert [entry["epoch"] for entry in history(tmp_path)] == [0, 1]
    assert not (tmp_path / state.FILE).exists()


def test_the_next_epochs_views_are_in_the_making_before_they_are_asked_for_and_are_the_same(tmp_path, monkeypatch):
    """Validation is begun while the last steps run, the next epoch while validation ends; neither is begun twice."""
    begun, made = [], training.Feed._made

    def watched(self, purpose, epoch, first_batch=0):
        begun.append((purpose, epoch, first_batch))
        return made(self, purpose, epoch, first_batch)

    monkeypatch.setattr(training.Feed, "_made", watched)
    run(tmp_path, "moco-v2", epochs=3, images=data(40, 11))
    expected = [("train", 0, 0)]
    for epoch in (1, 2, 3):
        expected += [("validation", 0, 0)] + [("train", epoch, 0)] * (epoch < 3)
    assert begun == expected
