import logging

import pytest
import torch

from eden_bench.errors import UsageError
from pretrain.engine import state
from pretrain.engine.state import TrainingState


def stored(folder):
    kept = TrainingState("mine", stage=1, epoch=2, step=3, method={"w": torch.arange(4.0)}, history=[{"loss": 0.5}])
    state.save(folder, kept)
    return folder / state.FILE


def test_a_state_comes_back_as_it_was(tmp_path):
    stored(tmp_path)
    found = state.load(tmp_path, "mine")
    assert (found.stage, found.epoch, found.step, found.history) == (1, 2, 3, [{"loss": 0.5}])
    assert found.method["w"].equal(torch.arange(4.0))
    assert found.where() == "stage 2, epoch 3, step 3"


def test_without_a_file_the_state_is_fresh(tmp_path):
    assert state.load(tmp_path, "mine") == TrainingState("mine")


def test_another_recipes_state_is_refused(tmp_path):
    stored(tmp_path)
    with pytest.raises(UsageError, match=r"belongs to another run \(mine, expected yours\): choose another folder"):
        state.load(tmp_path, "yours")


@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: c[: len(c) // 2], lambda c: b"", lambda c: c[:-9] + b"x" * 9]
)
def test_a_damaged_state_is_not_used_and_said_so(tmp_path, damage, caplog):
    path = stored(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert state.load(tmp_path, "mine") == TrainingState("mine")
    assert "is damaged and is not used" in caplog.text


def test_it_can_be_discarded_twice(tmp_path):
    path = stored(tmp_path)
    state.discard(tmp_path)
    state.discard(tmp_path)
    assert not path.exists()
