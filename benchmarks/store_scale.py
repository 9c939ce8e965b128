"""A results folder of 100,000 cells: seconds and memory of planning over it, and of a run that finds all of it stored.

    python -m benchmarks.store_scale --folder scale

Writes the folder first (minutes and gigabytes; kept, and used again where it is there), as ``eden-bench run`` over
two methods, two tasks, five numbers of shots and as many seeds would, with records as large as those of a segmentation
of 123 test images. ``write`` is there for other benchmarks too. The first run over a folder that no run of this machine
has ended in reads and validates every record, once; what a run stores itself is noted as it ends. Each figure is a
process of its own; exit code 1 where a limit is missed.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np

from eden_bench import api, records
from eden_bench.contracts import Outcome
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.plan import Plan, Slot, make_plan
from eden_bench.execution.pretraining import pretrain
from eden_bench.execution.record_sections import sections
from eden_bench.execution.request import make_ask
from eden_bench.records import overview, store
from eden_bench.settings import Settings, resolve
from tasks.finetuning import SegmentationTask

ROOT = Path(__file__).parents[1]
FAKES = ROOT / "tests" / "eden_bench" / "fakes.py"
DATA = "fake-set"
METHODS, TASKS, SHOTS = "fake-random,fake-trained", "fake-heart,fake-lung", "2,3,4,6,full"
TEST_IMAGES, COLUMNS = 123, 25
SCORE = SegmentationTask(name="scale", dataset="fake-set", title="Scale", structures=("heart",)).score
GIB = 2.0
LIMITS_S = {"first": math.inf, "plan": 10.0, "run": 15.0}
"""Of 100,000 cells: a run over a folder that was never looked over, planning with ``--dry-run``, and the whole command
with everything stored."""


def settings_of(folder: Path) -> Settings:
    """Return the settings under which the folder's cells are planned."""
    return resolve(out=folder / "runs", cache=folder / "cache", device="cpu", threads=1)


def planned(folder: Path, cells: int) -> tuple[Plan, Inputs]:
    """Plan the cells as ``eden-bench run`` does, with what has to be pretrained pretrained."""
    plugins = api.load_plugins([FAKES])
    seeds = cells // (len(METHODS.split(",")) * len(TASKS.split(",")) * len(SHOTS.split(",")))
    asked = make_ask([METHODS], [TASKS], n_seeds=seeds, shots=[SHOTS], pretrain_data=DATA, plugins=plugins)
    inputs = api.open_inputs(settings_of(folder))
    plan = make_plan(asked, inputs, [])
    for backbone in plan.to_pretrain:
        pretrain(backbone, inputs, lambda line: None)
    return plan, inputs


def write(folder: Path, cells: int) -> None:
    """Write a record for every planned cell, as the store does but without waiting for the disk each time."""
    plan, inputs = planned(folder, cells)
    outcomes = [_outcome(np.random.default_rng(number)) for number in range(16)]
    tables = {id(outcome.cases): records.cases_csv(outcome.cases) for outcome in outcomes}
    with mock.patch.object(store, "cases_csv", lambda cases: tables[id(cases)]):  # its text takes most of the time
        for number, slot in enumerate(plan.slots, 1):
            _write_record(slot, plan, inputs, outcomes[number % len(outcomes)])
            if number % 10_000 == 0:
                print(f"{number:,} of {len(plan.slots):,} records written", flush=True)


def _outcome(draw: np.random.Generator) -> Outcome:
    names = [f"JPCLN{number:03}" for number in range(TEST_IMAGES)]
    dice = (0.9 + 0.02 * draw.standard_normal(TEST_IMAGES)).clip(0, 1)
    counts = draw.integers(5000, 7000, (COLUMNS, TEST_IMAGES))
    columns = {"case": names, "patient": names, "dice": dice, **{f"pixels_{k}": row for k, row in enumerate(counts)}}
    return Outcome({"dice": float(dice.mean())}, columns, {"steps_planned": 80, "train_images": 112})


def _write_record(slot: Slot, plan: Plan, inputs: Inputs, outcome: Outcome) -> None:
    cell, opened = slot.cell(inputs.threads), slot.opened
    told = sections(slot.job(plan), opened, slot.seed, inputs) if opened else {}
    told["provenance"] = {"seconds": 10.0, "device": "cpu", "versions": {"torch": "2.15.0", "numpy": "2.4.6"}}
    target = records.folder_of(inputs.settings.out, cell.id)
    target.mkdir(parents=True, exist_ok=True)
    for name, content in records.render(cell, SCORE, outcome, told).items():
        (target / name).write_bytes(content)


def measured(folder: Path, cells: int, *options: str) -> tuple[float, float, str]:
    """Run the command line over the cells; return its seconds, its peak in GiB, and what it printed."""
    seeds = str(cells // (len(METHODS.split(",")) * len(TASKS.split(",")) * len(SHOTS.split(","))))
    words = ["--methods", METHODS, "--tasks", TASKS, "--shots", SHOTS, "--n-seeds", seeds, "--plugin", str(FAKES)]
    words += ["--pretrain-data", DATA]
    where = ["--out", str(folder / "runs"), "--cache", str(folder / "cache"), "--device", "cpu", "--threads", "1"]
    start = time.perf_counter()
    with (folder / "log.txt").open("w+b") as log:
        command = [sys.executable, "-m", "eden_bench", "run", *words, *where, *options]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    text = (folder / "log.txt").read_text(encoding="utf-8")
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the command ended with exit code {code}: {text[-2000:]}")
    return time.perf_counter() - start, used.ru_maxrss / 2**20, text


def main() -> None:
    """Write the folder if it is not there, and print each figure beside its limit."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3, help="of plan and run")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if not (given.folder / "written").exists():
        write(given.folder, given.cells)
        (given.folder / "written").touch()
    missed = False
    for name, options in {"first": (), "plan": ("--dry-run",), "run": ()}.items():
        if name == "first":
            (given.folder / "runs" / overview.INDEX).unlink(missing_ok=True)
        for repeat in range(1 if name == "first" else given.repeats):
            seconds, gib, text = measured(given.folder, given.cells, *options)
            limit = LIMITS_S[name] * given.cells / 100_000
            missed |= seconds > limit or gib > GIB
            last = next((line for line in reversed(text.splitlines()) if "reused" in line), "")
            print(
                f"{name}, {given.cells:,} cells, time {repeat + 1}: {seconds:.1f} s (limit {limit:g}), "
                f"{gib:.2f} GiB (limit {GIB:g}) {last}",
                flush=True,
            )
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
