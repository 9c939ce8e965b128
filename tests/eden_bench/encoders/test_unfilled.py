"""An encoder built without draws is, once loaded, the one that was built with them."""

import itertools

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from eden_bench.encoders import build_encoder, unfilled, unfilled_encoder

ARCHS = ["resnet18-w16", "resnet50-w16", "vit_mini_patch8_64", "swin_mini_patch4_window4_64", "resnet20_cifar"]


def tensors(encoder):
    return dict(itertools.chain(encoder.named_parameters(), encoder.named_buffers()))


class Drawing(TorchDispatchMode):
    """Counts the operations that draw random numbers."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("arch", [*ARCHS, "tf_efficientnet_lite0", "densenet121"])
def test_a_loaded_encoder_is_the_one_that_was_drawn(arch):
    drawn = build_encoder(arch, seed=1)
    with Drawing() as drawing:
        encoder = unfilled_encoder(arch)
    encoder.load_state_dict(drawn.state_dict())
    expected = tensors(drawn)
    assert tensors(encoder).keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in tensors(encoder).items())
    assert drawing.count == 0


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    unfilled_encoder("resnet18-w16")
    assert torch.equal(torch.random.get_rng_state(), before)


class Random(nn.Module):
    """Holds random numbers that no state dict has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4).normal_())
        self.register_buffer("noise", torch.empty(4).normal_(), persistent=False)


def test_where_random_numbers_are_in_no_state_dict_all_are_drawn(monkeypatch):
    def build(arch, seed):
        torch.manual_seed(seed)
        return Random()

    monkeypatch.setattr(unfilled, "build_encoder", build)
    encoder, drawn = unfilled_encoder("any"), build("any", 0)
    assert torch.equal(encoder.noise, drawn.noise)
    assert torch.equal(encoder.weight, drawn.weight)


def test_what_is_replaced_while_building_is_no_matter(monkeypatch):
    def build(arch, seed):
        made = nn.Linear(3, 2)
        made.weight = nn.Parameter(torch.zeros(2, 3))
        return made

    monkeypatch.setattr(unfilled, "build_encoder", build)
    with Drawing() as drawing:
        encoder = unfilled_encoder("any")
    assert torch.equal(encoder.weight, torch.zeros(2, 3))
    assert drawing.count == 0
