import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from eden_bench.contracts import PretrainConfig, Schedule
from pretrain.engine.optimisation import adamw, set_lr, sgd


@pytest.mark.trap("methods", "SGD 0.03, momentum 0.9, decay 1e-4 on all, cosine by epoch to 0")
@pytest.mark.parametrize(("epoch", "lr"), [(0, 0.03), (100, 0.015), (199, 1.85e-6)])
def test_the_cosine_is_the_papers(epoch, lr):
    assert 0.03 * Schedule().factor(epoch, 200) == pytest.approx(lr, rel=1e-3)


def test_warm_up_rises_evenly_and_the_cosine_follows():
    factors = [Schedule(warmup_epochs=4).factor(epoch, 10) for epoch in range(10)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_warm_up_as_long_as_the_stage_never_falls():
    factors = [Schedule(warmup_epochs=3).factor(epoch, 3) for epoch in range(3)]
    assert factors == sorted(factors)


def test_epoch_by_epoch_the_rate_is_constant_within_an_epoch():
    schedule = Schedule(warmup_epochs=2)
    assert schedule.factor(1.75, 10) == schedule.factor(1, 10)
    assert schedule.factor(5.5, 10) == schedule.factor(5, 10)


def test_step_by_step_the_warm_up_starts_at_nothing_and_the_cosine_ends_at_the_floor():
    schedule = Schedule(per="step", warmup_epochs=40, floor=0.05)
    assert [schedule.factor(e, 800) for e in (0, 10.5, 40, 420, 800)] == pytest.approx([0, 0.2625, 1, 0.525, 0.05])


@pytest.mark.trap("released code", "SimMIM's tables and cosine")
def test_a_warm_up_that_counts_leaves_the_rest_of_the_whole_cosine():
    whole, warmed = Schedule(per="step"), Schedule(per="step", warmup_epochs=4, warmup_counts=True)
    assert [warmed.factor(e, 10) for e in (0, 3)] == [0, 0.75]
    assert [warmed.factor(e, 10) for e in (4, 7.5, 10)] == [whole.factor(e, 10) for e in (4, 7.5, 10)]


def test_a_constant_rate_and_one_that_falls():
    assert Schedule(shape="constant").factor(7.5, 10) == 1
    falls = Schedule(shape="falls", fall_every_epochs=40, fall_to=0.5)
    assert [falls.factor(e, 100) for e in (0, 39.9, 40, 80)] == [1, 1, 0.5, 0.25]


@pytest.mark.parametrize(
    ("field", "value"), [("shape", "linear"), ("per", "batch"), ("floor", 1.5), ("warmup_epochs", -1)]
)
def test_schedules_no_run_can_mean_are_refused(field, value):
    with pytest.raises(ValueError, match=f"{field} must be"):
        Schedule(**{field: value})


def test_adamw_decays_weights_but_neither_vectors_nor_biases_nor_what_is_named():
    module = nn.Module()
    module.layer, module.norm = nn.Linear(2, 3), nn.LayerNorm(3)
    module.mask_token, module.fixed = nn.Parameter(torch.zeros(1, 1, 3)), nn.Parameter(torch.zeros(2, 2), False)
    made = adamw(module, PretrainConfig(lr=0.1, weight_decay=0.05), betas=(0.9, 0.95), undecayed=("mask_token",))
    decayed, plain = made.param_groups
    assert [group["weight_decay"] for group in (decayed, plain)] == [0.05, 0]
    assert {id(p) for p in decayed["params"]} == {id(module.layer.weight)}
    unchanged = (module.layer.bias, *module.norm.parameters(), module.mask_token)
    assert {id(p) for p in plain["params"]} == {id(p) for p in unchanged}
    assert decayed["betas"] == (0.9, 0.95)


def test_the_rate_is_set_from_the_base_not_from_the_last_one():
    optimiser = sgd(nn.Linear(2, 2).parameters(), PretrainConfig())
    for factor in (0.5, 0.5, 0.1):
        set_lr(optimiser, factor)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.003)


@pytest.mark.trap(
    "methods",
    "SGD 0.03, momentum 0.9, decay 1e-4 on all, cosine by epoch to 0",
    "0.03, 0.015 and 1.85e-6 at epochs 0, 100, 199",
)
def test_sgd_is_the_papers_and_leaves_frozen_parameters_alone():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    (group,) = sgd(layer.parameters(), PretrainConfig()).param_groups
    assert [group[name] for name in ("lr", "momentum", "weight_decay", "nesterov")] == [0.03, 0.9, 1e-4, False]
    assert group["params"] == [layer.weight]


@pytest.mark.trap("supervised-chestxray14", "rate halved after 5 epochs without progress, end after 10")
@settings(max_examples=30, deadline=None)
@given(losses=st.lists(st.sampled_from([0.5, 0.7, 0.69999, 0.9, 1.0, float("inf")]), max_size=40))
def test_plateaus_are_torchs_reduce_on_plateau(losses):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    oracle = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=5)
    for loss in losses:
        oracle.step(loss)
    schedule = Schedule(shape="plateau", fall_to=0.5, fall_every_epochs=5)
    assert schedule.factor(len(losses), 1000, losses) == optimiser.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("losses", "over"),
    [([], False), ([1.0] * 4, True), ([1.0] * 3, False), ([2, 1, 1.5, 1.5, 1], True), ([2, 1, 1.5, 1.5, 0.9], False)],
)
def test_a_stage_is_over_after_more_epochs_than_allowed_without_a_lower_loss(losses, over):
    assert Schedule(stop_after_epochs=2).is_over(losses) == over
    assert not Schedule().is_over(losses)
