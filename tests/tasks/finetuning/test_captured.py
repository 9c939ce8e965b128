"""Recorded steps train as steps that are not recorded, and give way to those where a replay is not the same step."""

import contextlib
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from eden_bench.contracts import Context
from eden_bench.encoders import build_encoder
from eden_bench.execution.inputs import OpenedTask, _later, plain
from tasks.finetuning import ClassificationTask, SegmentationTask, loop, steps
from tasks.finetuning.captured import CudaGraphs
from tasks.finetuning.loop import resolved
from tests.tasks.finetuning.toy_anatomy import ToyAnatomy, toy_index

HEART = SegmentationTask(name="toy-heart", dataset="toy", title="Toy heart", structures=("heart",))
LABELS = ClassificationTask(name="toy-labels", dataset="toy", title="Toy labels")
SHORT = {"size_px": 32, "batch_size": 5, "max_steps": 6, "validate_every": 2, "precision": "fp32"}
KINDS = {
    "segmentation": (HEART, replace(HEART.quick, score_px=32, distortion_p=0.5, **SHORT)),
    "classification": (LABELS, replace(LABELS.quick, source_px=40, **SHORT)),
}


class Recorded:
    """Records on a CPU as a graph is recorded: work that is recorded does not run, and runs when it is replayed."""

    def __init__(self, device):
        self.recorded = 0

    def warm(self, work):
        return work()

    def record(self, work):
        self.recorded += 1
        return work


class Broken(Recorded):
    def record(self, work):
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")


class Stale(Recorded):
    """Replays nothing: the loss and the weights stay what they were."""

    def record(self, work):
        return lambda: None


class Twice(Recorded):
    """Replays a step twice, as one that was run while it was recorded."""

    def record(self, work):
        def replay():
            work()
            work()

        return replay


@pytest.fixture(autouse=True)
def _rates_of_float32(monkeypatch):
    """A graph reads its rate from float32 memory; the plain steps get the same one here."""
    rate = loop.learning_rate
    monkeypatch.setattr(loop, "learning_rate", lambda *of: float(np.float32(rate(*of))))


def outcome(folder, kind, recorder=None, monkeypatch=None):
    task, protocol = KINDS[kind]
    opened = task.open(toy_index(folder), protocol, Context(cache=folder / "cache", dataset=ToyAnatomy()))
    made = []
    if recorder:
        monkeypatch.setattr(steps, "CudaGraphs", lambda device: made.append(recorder(device)) or made[-1])
        opened.protocol = replace(opened.protocol, capture=True)
    return opened.run(build_encoder("resnet18-w16", 0), 3), made


def same(one, other):
    weights = other.network.state_dict()
    networks = all(torch.equal(value, weights[name]) for name, value in one.network.state_dict().items())
    return networks and (one.scores, one.cases) == (other.scores, other.cases)


@pytest.mark.parametrize("kind", KINDS)
def test_recorded_steps_train_as_plain_ones_bit_for_bit(tmp_path, monkeypatch, kind):
    """Batch norm's statistics and Adam's moments are rewound too, or the trial steps would be seen in the weights."""
    alone, _ = outcome(tmp_path, kind)
    recorded, (recorder,) = outcome(tmp_path, kind, Recorded, monkeypatch)
    assert same(recorded, alone)
    assert recorder.recorded == 2, "batches of two sizes are two graphs"
    assert recorded.training == {**alone.training, "captured": True}


@pytest.mark.parametrize(
    ("recorder", "why"),
    [
        (Broken, "RuntimeError: operation not permitted when stream is capturing"),
        (Stale, "RuntimeError: a replayed step has loss"),
        (Twice, "RuntimeError: a replayed step has loss"),
    ],
)
def test_where_a_replay_is_not_the_step_steps_are_plain_and_it_is_said_once(
    tmp_path, monkeypatch, caplog, recorder, why
):
    alone, _ = outcome(tmp_path, "segmentation")
    with caplog.at_level(logging.WARNING, "eden_bench"):
        fallen, _ = outcome(tmp_path, "segmentation", recorder, monkeypatch)
    assert same(fallen, alone)
    (line,) = caplog.messages
    assert line.startswith(f"this fine-tuning runs without CUDA graphs: {why}")
    assert "\n" not in line
    assert (fallen.training["captured"], fallen.training["not_captured"][: len(why)]) == (False, why)


def test_on_a_cpu_nothing_is_captured_and_cells_are_those_without_it(tmp_path):
    task, protocol = KINDS["segmentation"]
    context = Context(cache=tmp_path / "cache", dataset=ToyAnatomy())
    index = toy_index(tmp_path)

    def identity(protocol):
        opened = task.open(index, protocol, context)
        return OpenedTask(task, plain(protocol), opened, plain(_later(protocol))).hashed_protocol(None)

    assert not resolved(replace(protocol, capture=True), torch.device("cpu")).capture
    assert identity(replace(protocol, capture=True)) == identity(protocol)
    assert "capture" not in identity(protocol)


def test_what_was_captured_is_part_of_a_cells_identity():
    protocol = replace(KINDS["segmentation"][1], capture=True)
    assert resolved(protocol, torch.device("cuda")).capture
    there = OpenedTask(
        HEART, plain(protocol), SimpleNamespace(data={"capture": True, "precision": "bf16"}), plain(_later(protocol))
    )
    assert there.hashed_protocol(None)["capture"] is True


def test_each_seed_records_on_the_one_stream_of_its_own_on_which_it_warmed(monkeypatch):
    """cuBLAS keeps a workspace a stream: graphs of two seeds that replay at once must not share one."""
    used = []

    class Stream:
        def __init__(self, device=None):
            self.device = device

        def wait_stream(self, other):
            pass

    @contextlib.contextmanager
    def stream(which):
        used.append(which)
        yield

    @contextlib.contextmanager
    def graph(made, *, stream, **_):
        used.append(stream)
        yield

    fakes = {"Stream": Stream, "stream": stream, "graph": graph, "graph_pool_handle": object}
    fakes |= {"current_stream": Stream, "CUDAGraph": lambda: SimpleNamespace(replay=None)}
    for name, fake in fakes.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    seeds = [CudaGraphs(torch.device("cuda:1")) for _ in range(2)]
    for each in seeds:
        each.warm(lambda: torch.zeros(()))
        each.record(lambda: None)
    assert used == [seeds[0]._side] * 2 + [seeds[1]._side] * 2
    assert used[0] is not used[2]
    assert used[0].device == torch.device("cuda:1")
