"""What a method may ask of the engine's optimisers: another schedule, and shortened gradients."""

from types import SimpleNamespace

import pytest
import torch

from eden_bench import registry
from eden_bench.contracts import Context, Schedule
from pretrain.engine.network import clip
from pretrain.engine.pretraining import pretrain
from pretrain.engine.training import Training
from tests.pretrain.tiny import config, data, method, pretrain_in


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


@pytest.mark.trap("simmim", "gradients clipped at 5", "held")
@pytest.mark.parametrize(("clip_norm", "length"), [(None, 5.0), (0.5, 0.5), (50.0, 5.0)])
def test_gradients_are_shortened_to_the_configs_norm_and_never_stretched(clip_norm, length):
    weight = torch.nn.Parameter(torch.zeros(2))
    weight.grad = torch.tensor([3.0, 4.0])
    clip(torch.optim.SGD([weight], lr=0.1), clip_norm)
    assert float(weight.grad.norm()) == pytest.approx(length)


def test_a_stage_ends_when_its_schedule_says_so(tmp_path, monkeypatch):
    schedule = Schedule(stop_after_epochs=1)
    monkeypatch.setattr(registry.methods.get("moco-v2"), "schedule", lambda self, turn: schedule, raising=False)
    monkeypatch.setattr(Training, "_validate", lambda self: 1.0)
    settings = config("moco-v2", epochs=9)
    made = pretrain("moco-v2", settings, data(16, 5), seed=0, folder=tmp_path, context=Context(cache=tmp_path))
    assert made.card["epochs"] == 3


@pytest.mark.parametrize(("normalisation", "expected"), [("own", 0.485), ("chest-x-ray", 0.5056), ("none", 0.0)])
def test_the_card_tells_what_pretrainings_are_compared_by(tmp_path, normalisation, expected):
    settings = config("moco-v2", epochs=1, normalisation=normalisation)
    made = pretrain("moco-v2", settings, data(16, 5), seed=0, folder=tmp_path, context=Context(cache=tmp_path))
    card = made.card
    assert (card["images_seen"], card["views"], card["augmentation"]["family"]) == (16, 2, "moco")
    ((mean, _),) = card["normalisation"]
    assert mean[0] == expected


def test_views_are_normalised_as_the_config_says():
    stage = config("vicregl").stages[0]
    for normalisation, std in (("own", 0.228), ("imagenet", 0.229)):
        made = SimpleNamespace(config=config("vicregl", normalisation=normalisation), method=method("vicregl"))
        assert {recipe.std[0] for recipe in Training.recipes(made, stage)} == {std}
