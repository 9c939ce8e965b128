"""LARS against its formula, parameter by parameter."""

import copy

import pytest
import torch

from pretrain.engine.lars import LARS


def parameters(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.randn(shape, generator=draw)) for shape in [(3, 4), (2, 3, 1, 1), (5,)]]


def by_hand(weights, gradients, *, lr, momentum, weight_decay, trust):
    """Several steps written from the formula, one parameter after the other."""
    found = []
    for weight, steps in zip(weights, gradients, strict=True):
        w, velocity = weight.clone(), torch.zeros_like(weight)
        for g in steps:
            update = g.clone()
            if w.ndim > 1:
                update = g + weight_decay * w
                update = trust * w.pow(2).sum().sqrt() / update.pow(2).sum().sqrt() * update
            velocity = momentum * velocity + update
            w = w - lr * velocity
        found.append(w)
    return found


def stepped(made, gradients, **settings):
    optimiser = LARS(made, **settings)
    for number in range(len(gradients[0])):
        for parameter, steps in zip(made, gradients, strict=True):
            parameter.grad = steps[number].clone()
        optimiser.step()
    return optimiser


@pytest.mark.trap("vicregl", "LARS: trust 0.001, vectors neither decayed nor scaled", "held")
def test_three_steps_are_the_formula():
    made = parameters()
    gradients = [[torch.randn(p.shape, generator=torch.Generator().manual_seed(n)) for n in range(3)] for p in made]
    settings = {"lr": 0.7, "momentum": 0.9, "weight_decay": 0.1, "trust": 0.001}
    expected = by_hand([p.detach().clone() for p in made], gradients, **settings)
    stepped(made, gradients, **settings)
    for parameter, value in zip(made, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), value)


def test_a_weights_step_is_as_long_as_itself_times_trust_and_rate_whatever_the_gradients_size():
    for size in (1e-3, 1e3):
        (weight,) = parameters()[:1]
        before = weight.detach().clone()
        stepped([weight], [[size * torch.ones(3, 4)]], lr=2.0, trust=0.001)
        torch.testing.assert_close((weight.detach() - before).norm(), 0.002 * before.norm(), rtol=1e-3, atol=0)


@pytest.mark.trap("vicregl", "LARS: trust 0.001, vectors neither decayed nor scaled")
def test_vectors_are_neither_decayed_nor_scaled():
    vector = torch.nn.Parameter(torch.full((5,), 3.0))
    stepped([vector], [[torch.ones(5)]], lr=0.5, weight_decay=10.0)
    assert vector.tolist() == [2.5] * 5


def test_a_weight_or_gradient_of_zero_makes_a_plain_step_and_no_nan():
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    stepped([weight], [[torch.ones(2, 2)]], lr=0.5)
    assert weight.flatten().tolist() == [-0.5] * 4
    still = torch.nn.Parameter(torch.ones(2, 2))
    stepped([still], [[torch.zeros(2, 2)]], lr=0.5)
    assert still.flatten().tolist() == [1.0] * 4


def test_a_parameter_without_a_gradient_stays():
    moved, kept = parameters()[:2]
    before = kept.detach().clone()
    moved.grad = torch.ones_like(moved)
    LARS([moved, kept], lr=1.0).step()
    assert kept.equal(before)


def test_momentum_is_in_the_state():
    (weight,) = parameters()[:1]
    optimiser = stepped([weight], [[torch.ones(3, 4)] * 2], lr=1.0)
    other = torch.nn.Parameter(weight.detach().clone())
    resumed = LARS([other], lr=1.0)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for parameter, each in ((weight, optimiser), (other, resumed)):
        parameter.grad = torch.ones_like(parameter)
        each.step()
    assert weight.equal(other)


@pytest.mark.parametrize("name", ["lr", "momentum", "weight_decay", "trust"])
def test_a_negative_setting_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 0, not -1"):
        LARS(parameters(), **{"lr": 1.0, name: -1})
