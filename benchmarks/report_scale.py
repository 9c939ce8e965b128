"""The whole report at full size: seconds and memory of ``eden-bench report`` from start to end (no peer does this)."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from eden_bench.contracts import Cell, ScoreDefinition
from eden_bench.digests import canonical_json, digest
from eden_bench.records.store import SCHEMA, seal, to_json
from tests.eden_bench.stored import DICE, store

ROOT = Path(__file__).parents[1]
METHODS, TASKS, SEEDS = 12, 9, 10
CASES = 2_000
FILMS, LABELS = 25_596, 14
AUC = ScoreDefinition(name="auc", text="mean over labels", statistic="auc")
SHOTS, PRETRAININGS, PATIENTS = (3, 6, 12, 25, 50, None), 17, 123
"""Of ``write_cells``: 11 methods x 9 tasks x 6 x 10 seeds x 17 and the untrained network: 101,520 cells."""
LIMITS = {"dice": (10.0, 1.0), "auc": (20.0, None), "cells": (60.0, 2.0)}
"""Case to the most seconds and GiB."""


def write_dice(out: Path) -> None:
    """Write METHODS x TASKS x SEEDS records of CASES cases each; methods, seeds and patients vary."""
    draw = np.random.default_rng(0)
    for task in range(TASKS):
        patients = draw.normal(0.9, 0.02, CASES)
        for method in range(METHODS):
            own = patients + draw.normal(0.002 * method, 0.01, CASES)
            for seed in range(SEEDS):
                values = own + draw.normal(0, 0.005) + draw.normal(0, 0.01, CASES)
                names = [f"p{number:05}" for number in range(CASES)]
                cases = {"case": names, "patient": names, "dice": values.tolist()}
                name = "adam" if method == 0 else f"method-{method:02}"
                store(out, name, float(values.mean()), seed, task=f"task-{task}", cases=cases)


def write_auc(out: Path) -> None:
    """Write METHODS x SEEDS records of FILMS films with LABELS probabilities each."""
    from eden_bench.case_statistics import mean_auc

    draw = np.random.default_rng(0)
    targets = draw.random((FILMS, LABELS)) < 0.05
    names = [f"{number:08}" for number in range(FILMS)]
    patients = [f"p{number // 3:05}" for number in range(FILMS)]
    for method in range(METHODS):
        for seed in range(SEEDS):
            logits = targets + draw.normal(0, 1, (FILMS, LABELS))
            cases: dict[str, list[object]] = {"case": list(names), "patient": list(patients)}
            for label in range(LABELS):
                cases[f"probability_label{label}"] = (1 / (1 + np.exp(2 - logits[:, label]))).round(6).tolist()
                cases[f"target_label{label}"] = targets[:, label].astype(int).tolist()
            value = mean_auc({name: np.array(column) for name, column in cases.items()}, "auc")
            name = "adam" if method == 0 else f"method-{method:02}"
            store(out, name, value, seed, task="films", score=AUC, kind="classification", cases=cases)


def write_cells(out: Path, pretrainings: int = PRETRAININGS) -> int:
    """Write 100,000 cells of records as large as those of a segmentation task; return how many.

    They are not flushed one by one as the store does it, which takes an hour.
    """
    draw = np.random.default_rng(0)
    names = [f"p{number:03}" for number in range(PATIENTS)]
    counts = {f"{kind}_px_{level}": draw.integers(0, 9000, PATIENTS) for level in _LEVELS for kind in _KINDS}
    tail = [",".join(map(str, row)) for row in zip(*counts.values(), strict=True)]
    written = 0
    for method in range(METHODS):
        name = {0: "adam", METHODS - 1: "random"}.get(method, f"method-{method:02}")
        for task, shots in product(range(TASKS), SHOTS):
            first = {"case": names, "patient": names, "dice": [0.5] * PATIENTS, **counts}
            like = store(None, name, 0.5, 0, task=f"task-{task}", shots=shots, cases=first)
            patients = np.random.default_rng(task).normal(0.85, 0.05, PATIENTS) + 0.003 * method
            for pretraining in range(1 if name == "random" else pretrainings):
                own = patients + draw.normal(0, 0.006) + draw.normal(0, 0.01, PATIENTS)
                for seed in range(SEEDS):
                    values = own + draw.normal(0, 0.005) + draw.normal(0, 0.01, PATIENTS)
                    lines = [f"{n},{n},{v},{t}" for n, v, t in zip(names, values.tolist(), tail, strict=True)]
                    table = "\n".join([",".join(first), *lines, ""]).encode()
                    _write_cell(out, like.content, table, float(values.mean()), pretraining, seed)
                    written += 1
    return written


_LEVELS, _KINDS = range(50, 100, 5), ("overlap", "predicted")
_CONFIG = {f"setting_{number:02}": 0.1 * number for number in range(24)}
_PROTOCOL = {f"setting_{number:02}": [0.5, number] for number in range(36)}
_STAGES = [
    {"name": f"stage {number}", "epochs": 30, "without_negatives": 0.1, "losses": [0.5] * 30} for number in (1, 2)
]
_MACHINE = {"device": "cuda", "versions": {f"package-{number:02}": f"{number}.0.1" for number in range(12)}}


def _write_cell(out: Path, like: Mapping[str, Any], table: bytes, value: float, pretraining: int, seed: int) -> None:
    """Write a record like another, of another pretraining and seed."""
    seeded = like["checkpoint"]["digest"] == "seeded"
    weights = "seeded" if seeded else digest([like["cell"]["method"], pretraining])
    protocol, config = {**like["cell"]["protocol"], **_PROTOCOL}, {**like["cell"]["method_config"], **_CONFIG}
    own = {"checkpoint": weights, "seed": seed, "protocol": protocol, "method_config": config}
    cell = Cell(**{**like["cell"], **own})
    card = (
        {}
        if seeded
        else {"digest": weights, "card": {**like["checkpoint"]["card"], "seed": pretraining, "stages": _STAGES}}
    )
    facts = {**like["cases"], "sha256": hashlib.sha256(table).hexdigest(), "bytes": len(table)}
    content = {
        **like,
        "schema": SCHEMA,
        "id": cell.id,
        "cell": json.loads(canonical_json(cell)),
        "score": DICE.as_json(),
        "scores": {"dice": value},
        "cases": facts,
        "checkpoint": {**like["checkpoint"], **card},
        "provenance": {**like["provenance"], **_MACHINE},
    }
    folder = out / "records" / cell.id
    folder.mkdir(parents=True)
    (folder / "cases.csv").write_bytes(table)
    (folder / "record.json").write_text(to_json(seal(content)))


def report(out: Path) -> tuple[float, float, float]:
    """Run ``eden-bench report`` over a folder, start-up and end included.

    Returns:
        Seconds by the clock, seconds of the processor with those of its processes, peak GiB of the command itself.
    """
    start = time.perf_counter()
    command = [sys.executable, "-m", "eden_bench", "report", "--out", str(out), "--format", "csv"]
    with (out / "log.txt").open("w+b") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise SystemExit(f"the command ended with exit code {code}: {(out / 'log.txt').read_text()[-2000:]}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def main() -> None:
    """Write the records, report them, and print what it took beside the limits; exit code 1 if one is missed."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", default="dice,auc", help="dice, auc, cells: one or several")
    parser.add_argument("--repeats", type=int, default=3, help="the median counts")
    options = parser.parse_args()
    missed = False
    for case in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            {"dice": write_dice, "auc": write_auc, "cells": write_cells}[case](Path(folder))
            found = [report(Path(folder)) for _ in range(options.repeats)]
        seconds, busy, peak = (median(values) for values in zip(*found, strict=True))
        limit, gib = LIMITS[case]
        missed |= seconds > limit or bool(gib and peak > gib)
        memory = f"{peak:.2f} GiB" + (f" (limit {gib:g})" if gib else "")
        each = ", ".join(f"{seconds:.1f}" for seconds, _, _ in found)
        print(
            f"{case}: {seconds:.1f} s (limit {limit:g}; {each}), {busy:.1f} s of the processor, {memory}",
            flush=True,
        )
    raise SystemExit(missed)


if __name__ == "__main__":
    main()
