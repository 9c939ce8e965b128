"""Speed-ups are off by default, part of the recipe, and given up where they do not give the plain step."""

import copy
import logging

import pytest
import torch
from torch import nn

from eden_bench.encoders import Encoder
from eden_bench.errors import UsageError
from pretrain.engine import network
from pretrain.engine.speedups import compile_encoders, tuned, validated
from tests.pretrain.engine.running import run
from tests.pretrain.tiny import views

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def forgetting():
    """What one test compiled is no other's."""
    torch._dynamo.reset()


class Small(Encoder):
    """A convolution and a batch norm."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())

    def maps(self, images):
        return (self.layers(images),)


def made():
    """A method of a student and a teacher, its state, and a step of it that draws the same at each call."""
    torch.manual_seed(0)
    student = Small()
    one = nn.ModuleDict({"student": student, "teacher": copy.deepcopy(student).requires_grad_(False)})
    images = torch.randn(8, 3, 8, 8)

    def step():
        found = (one["student"].embed(images) - one["teacher"].embed(images.flip(3))).square().mean()
        return {"loss": found, "length": one["student"].embed(images).norm()}

    return one, copy.deepcopy(one.state_dict()), step


def equal(one, before):
    return all(value.equal(before[name]) for name, value in one.state_dict().items())


def compiled(one):
    return [encoder._compiled_call_impl is not None for encoder in one.modules() if isinstance(encoder, Encoder)]


def test_encoders_are_compiled_where_that_gives_the_same_step_and_the_state_stays():
    one, before, step = made()
    assert compile_encoders(one, step, CPU, backend="eager")
    assert compiled(one) == [True, True]  # student and teacher
    assert equal(one, before)
    assert all(p.grad is None for p in one.parameters())


def test_a_compiler_that_fails_is_said_so_and_not_used(caplog):
    def broken(graph, inputs):
        raise ValueError("no such kernel\nand more")

    one, before, step = made()
    with caplog.at_level(logging.WARNING):
        assert not compile_encoders(one, step, CPU, backend=broken)
    assert compiled(one) == [False, False]
    assert equal(one, before)
    assert len(caplog.messages) == 1
    assert "torch.compile is not used, since it failed" in caplog.text


@pytest.mark.parametrize("wrong", [lambda out: out * 1.2, lambda out: out * float("nan")])
def test_a_compiled_step_that_is_another_one_is_not_used(caplog, wrong):
    def lying(graph, inputs):
        return lambda *given: tuple(wrong(out) if out.is_floating_point() else out for out in graph(*given))

    one, before, step = made()
    with caplog.at_level(logging.WARNING):
        assert not compile_encoders(one, step, CPU, backend=lying)
    assert compiled(one) == [False, False]
    assert equal(one, before)
    assert "from the plain one, expected" in caplog.text


def test_a_run_that_falls_back_ends_like_a_plain_one_under_a_recipe_of_its_own(tmp_path, monkeypatch):
    asked = []

    def fails(self, **options):
        asked.append(options)
        raise RuntimeError("no compiler")

    monkeypatch.setattr(Encoder, "compile", fails)
    plain = run(tmp_path / "plain", "moco-v2")
    other = run(tmp_path / "compiled", "moco-v2", speedups=("compile",))
    assert asked == [{"dynamic": False}]
    assert other.encoder_digest == plain.encoder_digest
    assert other.card["recipe"] != plain.card["recipe"]
    assert (other.card["speedups"], other.card["compiled"]) == (["compile"], False)
    assert "speedups" not in plain.card


def test_a_step_that_is_only_looked_at_leaves_the_draws_to_the_step_itself():
    given = views(count=2)
    drawn = []
    network.losses(lambda asked, turn: drawn.append(torch.rand(1, generator=asked.generator)), given, "main")
    assert torch.rand(1, generator=given.generator).equal(drawn[0])


@pytest.mark.parametrize("deterministic", [False, True])
def test_cudnns_algorithms_are_timed_within_the_block_alone_and_never_where_runs_must_repeat(deterministic):
    torch.use_deterministic_algorithms(deterministic)
    try:
        for asked, expected in (((), False), (("tune",), not deterministic)):
            with tuned(asked):
                assert torch.backends.cudnn.benchmark is expected
            assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)


def test_an_unknown_speed_up_is_refused():
    assert validated(("tune", "compile", "tune")) == ("compile", "tune")
    with pytest.raises(UsageError, match=r"unknown speed-up 'compiled'\. Did you mean 'compile'"):
        validated(("compiled",))
