"""The whole report at full size: seconds and memory, from records on the disk to every file (no peer does this)."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from eden_bench.contracts import ScoreDefinition
from tests.eden_bench.stored import store

METHODS, TASKS, SEEDS = 12, 9, 10
CASES = 2_000
FILMS, LABELS = 25_596, 14
AUC = ScoreDefinition(name="auc", text="mean over labels", statistic="auc")
LIMITS = {"dice": (10.0, 1.0), "auc": (20.0, None)}
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
            {"dice": write_dice, "auc": write_auc}[case](Path(folder))
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
