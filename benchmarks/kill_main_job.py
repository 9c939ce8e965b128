"""Kill the README's main job with SIGKILL at random moments, re-issue it, and compare the final table byte for byte.

    python -m benchmarks.kill_main_job --kills 20 --folder kill

Two outputs are made, each with its own cache, so that writing the phantom and decoding are killed too: one
uninterrupted, one killed. The command line is the README's. Prints one line a kill and a verdict; exit code 1 where the
tables differ.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

JOB = ("-m", "eden_bench", "run", "--methods", "adam,densecl", "--tasks", "scr-heart")


def environment(folder: Path) -> dict[str, str]:
    """Return an environment whose results and caches lie in folder and whose data are the phantom."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EDEN_BENCH_")}
    return {**kept, "EDEN_BENCH_OUT": str(folder / "runs"), "EDEN_BENCH_CACHE": str(folder / "cache")}


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start the main job in its own process group."""
    log = (folder / "log.txt").open("ab")
    return subprocess.Popen(
        [sys.executable, *JOB], cwd=folder, env=environment(folder), stdout=log, stderr=log, start_new_session=True
    )


def finish(folder: Path) -> float:
    """Run the job to its end; return its seconds."""
    started = time.monotonic()
    code = start(folder).wait()
    if code != 0:
        raise SystemExit(f"the job ended with exit code {code}: see {folder / 'log.txt'}")
    return time.monotonic() - started


def table(folder: Path) -> dict[str, bytes]:
    """Return the report of folder in every format, as bytes."""
    command = [sys.executable, "-m", "eden_bench", "report"]
    subprocess.run(command, cwd=folder, env=environment(folder), check=True, capture_output=True)
    return {file.name: file.read_bytes() for file in sorted((folder / "runs" / "report").iterdir())}


def kill_once(folder: Path, longest_s: float, draw: random.Random) -> None:
    """Start the job and kill its whole process group after a random time."""
    after = draw.uniform(0, longest_s)
    process = start(folder)
    try:
        process.wait(after)
        print(f"finished before the kill at {after:.1f} s", flush=True)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        records = len(list((folder / "runs" / "records").glob("[!.]*")))
        print(f"killed after {after:5.1f} s; {records} records stored", flush=True)


def main() -> None:
    """Compare an uninterrupted job with one killed many times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, help="latest kill, seconds after a start; a quarter of the whole job")
    given = parser.parse_args()
    whole, killed = given.folder / "whole", given.folder / "killed"
    for folder in (whole, killed):
        folder.mkdir(parents=True, exist_ok=True)
    seconds = finish(whole)
    print(f"uninterrupted: {seconds:.0f} s", flush=True)
    draw = random.Random(given.seed)
    for _ in range(given.kills):
        kill_once(killed, given.longest or seconds / 4, draw)
    finish(killed)
    same = table(whole) == table(killed)
    print(f"{given.kills} kills: final tables {'identical, byte for byte' if same else 'DIFFER'}")
    raise SystemExit(0 if same else 1)


if __name__ == "__main__":
    main()
