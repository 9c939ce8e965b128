"""Seeds by turns: the same bits as one after the other, one's failure stops no other, nothing of an ended one stays."""

import contextlib
import gc
import itertools
import weakref
from dataclasses import replace

import pytest
import torch

from eden_bench.contracts import Context, OpenTask, Outcome
from eden_bench.encoders import build_encoder
from eden_bench.errors import TrainingDiverged
from tasks.finetuning import ClassificationTask, SegmentationTask, turns
from tasks.finetuning.turns import by_turns, ended
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

CPU = torch.device("cpu")
HEART = SegmentationTask(name="toy-heart", dataset="toy", title="Toy heart", structures=("heart",))
LABELS = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
SHORT = {"size_px": 32, "batch_size": 5, "max_steps": 6, "validate_every": 1, "patience": 1, "min_steps": 0}
KINDS = {
    "segmentation": (HEART, replace(HEART.quick, score_px=32, distortion_p=0.5, **SHORT)),
    "classification": (LABELS, replace(LABELS.quick, source_px=40, **SHORT)),
}


def opened(folder, kind, at_once=1, **changes):
    task, protocol = KINDS[kind]
    context = Context(cache=folder / "cache", dataset=ToyAnatomy(), at_once=at_once)
    return task.open(toy_index(folder), replace(protocol, **changes), context)


def encoder_of(seed):
    return build_encoder("resnet18-w16", seed)


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_by_turns_give_the_bits_of_seeds_one_after_the_other(tmp_path, kind):
    alone = {seed: opened(tmp_path, kind).run(encoder_of(seed), seed) for seed in range(4)}
    together = dict(opened(tmp_path, kind, at_once=3).run_many(encoder_of, range(4)))
    assert len({outcome.training["steps_taken"] for outcome in alone.values()}) > 1, "all seeds end at the same turn"
    for seed, outcome in together.items():
        assert (outcome.scores, outcome.cases) == (alone[seed].scores, alone[seed].cases)
        assert outcome.training == alone[seed].training
        weights = alone[seed].network.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in outcome.network.state_dict().items())
        assert outcome.shared.at_once == 3
        assert outcome.shared.seconds > 0


def test_a_task_with_a_run_of_its_own_is_run_by_it(tmp_path):
    """One that keeps something of a seed on itself would mix them."""
    task = opened(tmp_path, "segmentation", at_once=2)
    log = []

    class Own(type(task)):
        def run(self, encoder, seed, shots=None):
            log.append(seed)
            return Outcome({"dice": float(seed)}, {})

    task.__class__ = Own
    results = dict(task.run_many(encoder_of, [3, 1]))
    assert (log, results[3].scores, results[3].shared) == ([3, 1], {"dice": 3.0}, None)


def steps_of(seed, count, log, result=None):
    for step in range(count):
        log.append((seed, step))
        yield
    return result or Outcome({"dice": float(seed)}, {})


def test_turns_go_round_and_a_waiting_seed_starts_when_one_ends():
    log, counts = [], {7: 1, 8: 3, 9: 2}
    results = list(by_turns(lambda seed: steps_of(seed, counts[seed], log), [7, 8, 9], 2, CPU))
    assert log == [(7, 0), (8, 0), (8, 1), (9, 0), (8, 2), (9, 1)]
    assert [seed for seed, _ in results] == [7, 8, 9]
    assert [outcome.scores["dice"] for _, outcome in results] == [7.0, 8.0, 9.0]


def test_alone_a_seed_shares_nothing_and_together_the_shares_are_the_whole_time(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(turns.time, "perf_counter", lambda: float(next(ticks)))
    ((_, alone),) = by_turns(lambda seed: steps_of(seed, 3, []), [0], 4, CPU)
    assert alone.shared is None
    together = dict(by_turns(lambda seed: steps_of(seed, 1 + seed, []), [0, 1], 2, CPU))
    assert [tuple(together[seed].shared) for seed in (0, 1)] == [(2, 2.0), (2, 3.0)], "a tick a turn, the last too"


@pytest.mark.parametrize("at_once", [1, 3])
def test_a_seed_that_fails_stops_no_other(tmp_path, at_once):
    task = opened(tmp_path, "segmentation", at_once)

    def broken(seed):
        if seed == 1:
            raise RuntimeError("planted fault")
        encoder = encoder_of(seed)
        if seed == 2:
            with torch.no_grad():
                next(encoder.parameters()).fill_(torch.inf)
        return encoder

    results = dict(task.run_many(broken, range(4)))
    assert isinstance(results[1], RuntimeError)
    assert isinstance(results[2], TrainingDiverged)
    assert results[0].scores == opened(tmp_path, "segmentation").run(encoder_of(0), 0).scores
    assert results[3].scores == opened(tmp_path, "segmentation").run(encoder_of(3), 3).scores


class Plain(OpenTask):
    """A stranger's task, without a run_many of its own."""

    def __init__(self):
        self.alive = []

    def run(self, encoder, seed, shots=None):
        self.alive.append([ref() is not None for ref in encoder.before])
        network = torch.nn.Linear(1, 1)
        encoder.before.append(weakref.ref(network))
        if seed == 1:
            raise ValueError("planted fault")
        return Outcome({"dice": 1.0}, {}, network=network)


class Seen:
    def __init__(self):
        self.before = []


def by_turns_of_one(task, seen):
    def start(seed):
        yield
        return task.run(seen, seed)

    return by_turns(start, range(3), 1, CPU)


@pytest.mark.parametrize("many", [lambda task, seen: task.run_many(lambda seed: seen, range(3)), by_turns_of_one])
def test_nothing_of_a_seed_that_ended_is_kept_while_the_next_runs(many):
    task, seen = Plain(), Seen()
    gc.disable()
    try:
        for _, outcome in many(task, seen):
            del outcome
    finally:
        gc.enable()
    assert task.alive == [[], [False], [False, False]]


def test_a_generator_is_taken_to_its_end():
    log = []
    assert ended(steps_of(3, 2, log)).scores == {"dice": 3.0}
    assert log == [(3, 0), (3, 1)]


def test_on_a_gpu_a_seed_waits_for_what_was_before_it_once_and_is_waited_for_at_its_end(monkeypatch):
    """If every turn waited for the outer stream, which waits for a seed that ended, no two seeds would overlap."""
    log = []

    class Stream:
        device = "cuda:0"

        def __init__(self, name):
            self.name = name

        def wait_stream(self, other):
            log.append(f"{self.name} waits for {other.name}")

    numbers, outer = itertools.count(), Stream("outer")

    @contextlib.contextmanager
    def stream(which):
        log.append(f"on {which.name}")
        yield

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream(f"s{next(numbers)}"))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: outer)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    list(by_turns(lambda seed: steps_of(seed, 1, []), [0, 1], 2, torch.device("cuda")))
    first = ["s0 waits for outer", "on s0", "s1 waits for outer", "on s1"]
    assert log == [*first, "on s0", "outer waits for s0", "on s1", "outer waits for s1"]
