"""Shows of faults that take minutes: the disk full, a process stopped, clocks that jump, pretrainings resumed.

    python -m benchmarks.faults --only disk,stopped,clock,resume --points 20 --resumes 50 --folder faults

Each prints one line; exit code 1 where one does not hold. ``disk`` needs root, for it mounts a small tmpfs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from benchmarks.fault_parts.disk import disk
from benchmarks.fault_parts.resume import resume
from benchmarks.kills import ended, forked, run
from tests.eden_bench.execution.test_runner import stored

HOUR_S = 3600.0


def stopped(folder: Path, points: int) -> tuple[bool, str]:
    """Stop one of three processes on one folder for a while; the others do the rest, and nothing is done twice."""
    run(folder / "whole", folder / "cache")
    expected, log = stored(folder / "whole"), folder / "log.txt"
    with mock.patch.dict(os.environ, {"FAKE_LOG": str(log), "FAKE_SLEEP_S": "0.05"}):
        children = [forked(lambda: run(folder / "shared", folder / "cache")) for _ in range(3)]
        _until(lambda: log.is_file() and log.read_text().count("\n") > 6)
        os.kill(children[0], signal.SIGSTOP)
        _until(lambda: len(list((folder / "shared" / "records").glob("[!.]*"))) >= len(expected) - 1)
        os.kill(children[0], signal.SIGCONT)
        codes = [ended(child) for child in children]
    begun = [line for line in log.read_text().splitlines() if not line.startswith("pretrain")]
    same = stored(folder / "shared") == expected
    text = f"SIGSTOP of one of three: codes {codes}, {len(begun)} of {len(expected)} cells begun, records alike: {same}"
    return codes == [0, 0, 0] and len(begun) == len(expected) and same, text


def clock(folder: Path, points: int) -> tuple[bool, str]:
    """Run three processes whose clocks are an hour ahead, an hour behind, and jump to and fro."""
    run(folder / "whole", folder / "cache")
    expected, log, real = stored(folder / "whole"), folder / "log.txt", time.time
    clocks = (lambda: real() + HOUR_S, lambda: real() - HOUR_S, lambda: real() + HOUR_S * random.choice((-1, 0, 1)))

    def with_clock(told: Callable[[], float]) -> int:
        def told_ns() -> int:
            return int(told() * 1e9)

        with mock.patch("time.time", told), mock.patch("time.time_ns", told_ns):
            return run(folder / "shared", folder / "cache")

    with mock.patch.dict(os.environ, {"FAKE_LOG": str(log), "FAKE_SLEEP_S": "0.02"}):
        children = [forked(lambda told=told: with_clock(told)) for told in clocks]
        codes = [ended(child) for child in children]
    begun = [line for line in log.read_text().splitlines() if not line.startswith("pretrain")]
    same = stored(folder / "shared") == expected
    text = f"clocks an hour apart: codes {codes}, {len(begun)} of {len(expected)} cells begun, records alike: {same}"
    return codes == [0, 0, 0] and len(begun) == len(expected) and same, text


def _until(holds: Callable[[], bool], limit_s: float = 600.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit("nothing happened for ten minutes")
        time.sleep(0.02)


SHOWS = {"disk": disk, "stopped": stopped, "clock": clock, "resume": resume}


def main() -> None:
    """Show what is asked for."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", default=",".join(SHOWS))
    parser.add_argument("--points", type=int, default=20, help="at which the disk is full")
    parser.add_argument("--resumes", type=int, default=50)
    parser.add_argument("--folder", type=Path, required=True)
    given = parser.parse_args()
    held = []
    for name in given.only.split(","):
        folder = given.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        holds, text = SHOWS[name](folder, given.resumes if name == "resume" else given.points)
        held.append(holds)
        print(f"{name}: {text}", flush=True)
    sys.exit(not all(held))


if __name__ == "__main__":
    main()
