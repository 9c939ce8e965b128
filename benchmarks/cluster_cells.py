"""A plugin file of cells that take a given time, for ``benchmarks.cluster``; each logs where and how it runs.

EDEN_BENCH_CELL_LOG names a file that gets a line of JSON when a cell begins and one when it ends; EDEN_BENCH_CELL_S is
how long a cell takes. With EDEN_BENCH_CELL_WORK=cpu it computes instead of sleeping: EDEN_BENCH_CELL_PRODUCTS products
of matrices, the same for every cell.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from eden_bench import registry
from eden_bench.contracts import Context, DatasetIndex, Outcome
from eden_bench.encoders import Encoder
from tests.eden_bench import fakes

TASKS = 4


def log(**facts: object) -> None:
    """Append a line; short appends are whole even from several processes."""
    with Path(os.environ["EDEN_BENCH_CELL_LOG"]).open("a") as file:
        file.write(json.dumps({"at": time.time(), "process": os.getpid(), **facts}) + "\n")


def products(count: int) -> None:
    """Multiply matrices, which is what cells do."""
    one = torch.full((256, 256), 1 / 256)
    for _ in range(count):
        one = one @ one


class OpenCells(fakes.FakeOpen):
    """Draws its scores from its seed, after a while."""

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Log, wait or compute, and score."""
        seen = {"gpus": torch.cuda.device_count(), "visible": os.environ.get("CUDA_VISIBLE_DEVICES")}
        log(what="begin", task=self.task, seed=seed, threads=torch.get_num_threads(), **seen)
        if os.environ.get("EDEN_BENCH_CELL_WORK") == "cpu":
            products(int(os.environ["EDEN_BENCH_CELL_PRODUCTS"]))
        else:
            time.sleep(float(os.environ["EDEN_BENCH_CELL_S"]))
        outcome: Outcome = super().run(encoder, seed, shots)
        log(what="end", task=self.task, seed=seed)
        return outcome


@dataclass(frozen=True)
class CellTask(fakes.FakeTask):
    """One of several alike."""

    def open(self, index: DatasetIndex, protocol: fakes.FakeProtocol, context: Context) -> OpenCells:
        """Open it."""
        opened = super().open(index, protocol, context)
        return OpenCells(opened.task, opened.protocol, opened.data)


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def calibrated(seconds: float) -> int:
    """Return how many products take so many seconds on a core that is not shared."""
    torch.set_num_threads(1)
    products(50)
    return max(1, round(200 * seconds / min(timed(lambda: products(200)) for _ in range(5))))


if __name__ == "eden_bench_plugin_cluster_cells":
    for place in range(TASKS):
        registry.register_task(CellTask(f"cell-task-{place}"))
