"""Which epoch's encoder is handed on."""

import logging

import pytest

from eden_bench import registry
from pretrain.engine import state, training
from tests.pretrain.engine.running import copied, run


@pytest.mark.trap("adam", "handed on: the epoch of the lowest validation loss", "of the last stage")
def test_the_best_epoch_of_the_last_stage_is_handed_on(tmp_path, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 0.1, 3.0, 1.0, 2.0, 4.0])  # the first stage's do not count
    monkeypatch.setattr(training.Training, "_validate", lambda self: next(losses))
    monkeypatch.setattr(registry.methods.get("adam"), "ready", True)
    weights = []
    monkeypatch.setattr(state, "save", lambda folder, at: weights.append((at.stage, at.epoch, copied(at.method))))
    checkpoint = run(tmp_path, "adam", levels=(0, 2), epochs=4, pruning_threshold=2.0, save_every_s=0.0)  # prunes none
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


@pytest.mark.trap("adam", "the loss falls because negatives vanish", "warned of, and never chosen as best")
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


def test_without_one_epoch_that_can_be_best_the_last_is_handed_on_and_the_card_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.methods.get("moco-v2"), "ready", False)
    selected = run(tmp_path, "moco-v2").card["selected"]
    assert (selected["rule"], selected["epoch"]) == ("last", 1)


def test_the_last_epoch_is_handed_on_where_asked(tmp_path):
    selected = run(tmp_path, "moco-v2", select="last").card["selected"]
    assert (selected["rule"], selected["epoch"]) == ("last", 1)
