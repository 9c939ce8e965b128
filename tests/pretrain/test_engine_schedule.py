"""What a method may ask of the engine's optimisers: another schedule, and shortened gradients."""

from types import SimpleNamespace

import pytest
import torch

from eden_bench import registry
from pretrain.optimisation import Schedule
from pretrain.training import Training
from tests.pretrain.tiny import pretrain_in


def rates(folder, monkeypatch):
    """Learning rate at each step of a short run of moco-v2: two epochs of two steps."""
    seen = []
    method = registry.methods.get("moco-v2")
    make = method.optimisers

    def watched(self):
        made = make(self)
        made["main"].register_step_pre_hook(lambda optimiser, *_: seen.append(optimiser.param_groups[0]["lr"] / 0.03))
        return made

    monkeypatch.setattr(method, "optimisers", watched)
    pretrain_in(folder, "moco-v2")
    return seen


def test_without_a_schedule_the_rate_is_a_cosine_by_epoch(tmp_path, monkeypatch):
    assert rates(tmp_path, monkeypatch) == pytest.approx([1, 1, 0.5, 0.5])


def test_a_methods_own_schedule_is_followed_step_by_step(tmp_path, monkeypatch):
    schedule = Schedule(per="step", warmup_epochs=1, floor=0.2)
    monkeypatch.setattr(registry.methods.get("moco-v2"), "schedule", lambda self, turn: schedule, raising=False)
    assert rates(tmp_path, monkeypatch) == pytest.approx([0, 0.5, 1, 0.6])


@pytest.mark.parametrize(("clip_norm", "length"), [(None, 5.0), (0.5, 0.5), (50.0, 5.0)])
def test_gradients_are_shortened_to_the_configs_norm_and_never_stretched(clip_norm, length):
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    config = SimpleNamespace(clip_norm=clip_norm) if clip_norm else SimpleNamespace()
    Training._clip(SimpleNamespace(config=config), torch.optim.SGD([weight], lr=0.1))
    assert float(weight.grad.norm()) == pytest.approx(length)
