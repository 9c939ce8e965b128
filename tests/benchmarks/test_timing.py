"""Benchmarks time by the clock: what a side returns is no time unless it says so, and then it must fit the clock."""

import sys
import time
from types import SimpleNamespace

import pytest
import torch

from baselines.moco_v2 import MoCoV2Config
from benchmarks import timing, train_step
from benchmarks.timing import Equality, Seconds, Side, compare

EQUAL = Equality(True, "the same")


class Clock:
    """A clock that only moves when a side works."""

    now = 0.0

    def work(self, seconds, returned=None):
        def run():
            self.now += seconds
            return returned

        return run


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: made.now))
    return made


def bar(ours, peer):
    return compare("T", "a title", Side("ours", ours, 2), Side("peer", peer), target=1.0, equality=EQUAL)


@pytest.mark.parametrize("loss", [1e-9, 7.5, 3, torch.tensor(2.0), [0.5], None], ids=repr)
def test_what_a_side_returns_is_not_taken_for_its_time(clock, loss):
    found = bar(clock.work(4.0, loss), clock.work(6.0, loss))
    assert (found.ours_s, found.peer_s, found.ratio) == pytest.approx((2.0, 6.0, 3.0))


def test_a_side_that_times_itself_says_so_by_type(clock):
    assert bar(clock.work(4.0, Seconds(3.0)), clock.work(1.0)).ours_s == pytest.approx(1.5)


@pytest.mark.parametrize("told", [0.0, -1.0, 0.3, 4.1, 1e9, float("nan")])
def test_told_seconds_that_do_not_fit_the_wall_clock_are_an_error(clock, told):
    with pytest.raises(ValueError, match=r"ours told \S+ s of a repeat that took 4 s by the wall clock, expected 10%"):
        bar(clock.work(4.0, Seconds(told)), clock.work(1.0))


def test_the_accelerator_is_waited_for_inside_the_clock(clock, monkeypatch):
    """A side that returns before its work has ended is timed to the end of that work all the same."""
    queued = []
    cuda = SimpleNamespace(is_initialized=lambda: True, synchronize=lambda: [queued.pop()() for _ in list(queued)])
    monkeypatch.setattr(timing, "machine", lambda: "")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert bar(lambda: queued.append(clock.work(4.0)), clock.work(1.0)).ours_s == pytest.approx(2.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_time_of_a_training_step_is_not_its_loss(monkeypatch, dtype):
    """The figure 1.0x of C3 was a loss divided by a loss."""
    config = MoCoV2Config(arch="resnet18-w16", batch_size=2, bn_groups=1, queue_size=16)
    monkeypatch.setattr(train_step, "setting", lambda device: train_step.Setting(torch.device("cpu"), 2, config))
    monkeypatch.setattr(train_step, "compare", lambda *sides, **more: sides)
    for side in train_step.step_bar("C3", 1.0, 7, "cpu", dtype)[2:]:
        start = time.perf_counter()
        seconds = timing._seconds(side) * side.units
        assert 0 < seconds <= time.perf_counter() - start
        assert isinstance(side.run(), float)  # the loss, which the clock must not take
