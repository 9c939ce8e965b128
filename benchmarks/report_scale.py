"""The whole report at full size: seconds and memory, from records on the disk to every file (no peer does this)."""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from eden_bench.contracts import Cell, ScoreDefinition
from eden_bench.digests import canonical_json, digest
from eden_bench.records.store import SCHEMA, seal, to_json
from tests.eden_bench.stored import DICE, store

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


def report(out: Path) -> dict[str, float]:
    """Build and render the whole report of a folder; return seconds of the clock and the processor, and peak GiB."""
    from eden_bench.cli.report_files import of_folder, rendered, write

    start, busy = time.perf_counter(), time.process_time()
    write(out, rendered(out, of_folder(out)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": time.perf_counter() - start, "processor": time.process_time() - busy, "gib": peak}


def main() -> None:
    """Write the records, report them in a process of its own, and print what it took beside the limits."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", default="dice,auc")
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        print(json.dumps(report(options.report)))
        return
    for case in options.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            {"dice": write_dice, "auc": write_auc, "cells": write_cells}[case](Path(folder))
            command = [sys.executable, "-m", "benchmarks.report_scale", "--report", folder]
            found = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
        seconds, gib = LIMITS[case]
        memory = f", {found['gib']:.2f} GiB" + (f" (limit {gib:g})" if gib else "")
        print(
            f"{case}: {found['seconds']:.1f} s (limit {seconds:g}), {found['processor']:.1f} s of the processor{memory}"
        )


if __name__ == "__main__":
    main()
