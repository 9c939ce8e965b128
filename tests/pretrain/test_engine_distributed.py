import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from eden_bench.execution.runner import cpu_threads
from eden_bench.weights.checkpoints import Checkpoint
from tests.pretrain.tiny import pretrain_in

ROOT = Path(__file__).parents[2]


METHODS = ("adam", "densecl", "vicregl")
DRAWING = ("pcrl", "dira", "transvw")
"""Methods whose processes draw apart what they do to their images."""


def in_two_processes(module, *arguments):
    """Run a module in two processes with the variables that torchrun sets."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"tests.pretrain.{module}", *arguments],
            cwd=ROOT,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        errors = [process.communicate(timeout=240)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0], errors


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Folder of tiny runs made by two processes."""
    folder = tmp_path_factory.mktemp("two")
    in_two_processes("in_processes", str(folder), *METHODS, *DRAWING)
    return folder


def entries(checkpoint):
    return [json.loads(line) for line in (checkpoint.folder / "history.jsonl").read_text().splitlines()]


@pytest.mark.trap("vicregl", "several processes: gradient through the gather", "two processes train as one does")
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_take_the_steps_of_one_with_two_groups(together, tmp_path, name):
    """Same batches, groups, shuffles, queue and running statistics; only the order of float sums differs."""
    with cpu_threads(1):  # as the two processes have: another count sums in another order, and training magnifies it
        alone, shared = pretrain_in(tmp_path, name), Checkpoint(together / name)
    assert [checkpoint.card["processes"] for checkpoint in (alone, shared)] == [1, 2]
    expected, found = (checkpoint.load_encoder().state_dict() for checkpoint in (alone, shared))
    for key, value in expected.items():
        assert found[key].numpy() == pytest.approx(value.numpy(), rel=1e-3, abs=5e-5), key
    for mine, theirs in zip(entries(alone), entries(shared), strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-4)


@pytest.mark.parametrize("name", DRAWING)
def test_processes_that_draw_apart_end_together(together, name):
    """Also where one has more batches of held-out images than the other."""
    checkpoint = Checkpoint(together / name)
    assert checkpoint.card["processes"] == 2
    assert all(np.isfinite([entry["loss"], entry["validation_loss"]]).all() for entry in entries(checkpoint))


def test_processes_that_resume_within_a_stage_end_alike_and_as_if_they_had_not_stopped(tmp_path):
    """The old stage's momentum is nobody's in the next one; a signal to one process stops both."""
    in_two_processes("stopped_in_processes", str(tmp_path))
    first, *others = (
        torch.load(tmp_path / run / f"{rank}.pt") for run in ("whole", "stopped", "asked") for rank in range(2)
    )
    for other in others:
        assert all(value.equal(other[name]) for name, value in first.items())
