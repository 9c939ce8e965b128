"""G12, G10: doctor's self-test beside what the card should reach, and what a dry run foretells after one run.

One seed of ``scr-heart`` on the phantom is run, then a few more are foretold and run: seconds of their records beside
those foretold, and the peak of memory.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import Bar, attempted, machine, stated
from eden_bench import api, records
from eden_bench.doctor import self_test
from eden_bench.execution.estimate import Estimate, estimate
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import make_plan
from eden_bench.execution.request import make_ask
from eden_bench.records import Record
from eden_bench.settings import gather

TITLE = "doctor's self-test, and what a dry run foretells"
LIMIT_S = 30.0
_WITHIN = 0.25
_METHOD, _TASK = "random", "scr-heart"


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G12 and G10."""
    start = time.perf_counter()
    checks = [f"{check.text} ({check.level})" for check in self_test(gather(device=str(device)))]
    yield stated("G12", "doctor --self-test", "; ".join(checks), "all of it", time.perf_counter() - start)
    with tempfile.TemporaryDirectory() as folder:
        where = {"out": Path(folder) / "runs", "device": str(device), "threads": torch.get_num_threads()}
        where |= {} if small else {"cache": Path(folder) / "cache"}  # a rehearsal may find the phantom drawn
        yield attempted("G10", "cells foretold after one", lambda: _foretold(where, "1" if small else "1-4"))


def _foretold(where: dict[str, Any], seeds: str) -> Bar:
    """Run one cell, foretell others, run them, and compare."""
    api.run(_METHOD, _TASK, seeds="0", **where)
    inputs = Inputs(gather(**where))
    past = records.load(where["out"])
    told = estimate(make_plan(make_ask(_METHOD, _TASK, seeds=seeds), inputs, past), past, inputs)
    done = api.run(_METHOD, _TASK, seeds=seeds, **where).records
    return judged(told, done)


def judged(told: Estimate, done: list[Record]) -> Bar:
    """Return the bar: real seconds beside foretold ones, of all cells."""
    real, foretold = sum(record.seconds for record in done), told.cell_seconds or 0.0
    peaks = [record.provenance.peak_device_memory_bytes or record.provenance.peak_memory_bytes for record in done]
    memory = told.device_memory_bytes or told.memory_bytes or 0
    near = all(abs(a / b - 1) <= _WITHIN for a, b in ((foretold, real), (memory, max(peaks))))
    return Bar(
        id="G10",
        title=f"{len(done)} cells foretold after one",
        verdict="pass" if near else "miss",
        ours="run",
        peer="foretold",
        ours_s=real,
        peer_s=foretold,
        ratio=foretold / real,
        target=1.0,
        repeats=1,
        equality=f"memory foretold {memory / 2**20:,.0f} MiB, needed {max(peaks) / 2**20:,.0f} MiB; both within 25 %",
        machine=machine(),
    )
