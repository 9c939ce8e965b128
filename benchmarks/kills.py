"""Kill drivers and workers with SIGKILL a thousand times, re-issue the command, and compare with an undisturbed run.

    python -m benchmarks.kills --kills 1000 --folder kills

Drivers are forked from a process that has torch loaded, since its import takes longer than all of their work; each runs
the whole of ``eden_bench.run`` on tiny cells (tests/eden_bench/fakes.py) through the real store. A quarter of them is
stopped for a moment (SIGSTOP) first. One in fifty has two workers (``--launcher devices``, which import torch anew), of
which one is killed in place of the driver. Nothing may be lost, nothing stored twice or changed, and nothing be left
aside at the end. Exit code 1 where that is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from eden_bench import api
from eden_bench.execution.launchers.launcher import Launch
from tests.eden_bench.execution.test_runner import stored

FAKES = Path(__file__).parents[1] / "tests" / "eden_bench" / "fakes.py"
PLAN = {"methods": "fake-random,fake-trained", "tasks": "fake-heart,fake-lung", "shots": "3,full"}
SEEDS = 12


WITH_WORKERS = 0.02


def run(out: Path, cache: Path, *, seeds: int = SEEDS, workers: int = 0) -> int:
    """Run the plan in this process, or with workers; return its exit code."""
    launch = Launch("devices", workers=workers) if workers else None
    how = {"protocol": "quick", "pretrain_data": "fake-set", "device": "cpu", "threads": 1, "launch": launch}
    return api.run(**PLAN, seeds=range(seeds), out=out, cache=cache, plugins=[FAKES], **how).exit_code


def forked(work: Callable[[], int]) -> int:
    """Start work in a child process in a group of its own; return its id."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setsid()
            code = work()
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child; return its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(child: int, after_s: float, stopped: bool) -> bool:
    """Kill a driver after some seconds, stopped for a moment before; return whether it was still at work."""
    time.sleep(after_s)
    try:
        if stopped:
            os.kill(child, signal.SIGSTOP)
            time.sleep(0.01)
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(child, signal.SIGKILL)
    return ended(child) == -signal.SIGKILL


def worker_killed(child: int, draw: random.Random) -> bool:
    """Kill one worker of a driver some time after it has started some; return whether the driver coped with it."""
    children = Path(f"/proc/{child}/task/{child}/children")
    deadline = time.monotonic() + 60
    while not (workers := children.read_text().split()) and time.monotonic() < deadline and _is_alive(child):
        time.sleep(0.05)
    time.sleep(draw.uniform(0, 10))
    with contextlib.suppress(ProcessLookupError, IndexError):  # the driver has ended before
        os.kill(int(draw.choice(workers)), signal.SIGKILL)
    return ended(child) == 0


def _is_alive(child: int) -> bool:
    return "Z" not in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]


def left_aside(out: Path) -> int:
    """Count temporary files and folders, and locks of cells; those of pretrainings are swept by the next run."""
    return sum(1 for _ in out.rglob(".aside-*")) + sum(len(path.stem) == 64 for path in (out / "locks").iterdir())


def main() -> None:
    """Kill, compare, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    out, cache, draw = given.folder / "killed", given.folder / "cache", random.Random(given.seed)
    shutil.rmtree(given.folder, ignore_errors=True)
    given.folder.mkdir(parents=True)
    os.environ["FAKE_LOG"] = str(given.folder / "log.txt")
    run(given.folder / "warm", cache, seeds=1)
    start = time.monotonic()
    run(given.folder / "whole", cache)
    whole_s, expected = time.monotonic() - start, stored(given.folder / "whole")
    print(f"undisturbed: {len(expected)} cells in {whole_s:.1f} s", flush=True)
    Path(os.environ["FAKE_LOG"]).unlink()
    found, done, plans, orphans, told = Counter[str](), dict[str, object](), 1, 0, 0
    while found["killed"] < given.kills:
        if draw.random() < WITH_WORKERS:
            found["failed at the end"] += not worker_killed(forked(lambda: run(out, cache, workers=2)), draw)
            found["killed"] += 1
        elif killed(forked(lambda: run(out, cache)), draw.uniform(0, whole_s / 12), draw.random() < 0.25):
            found["killed"] += 1
        now = stored(out) if (out / "records").is_dir() else {}
        found["lost"] += len(done.keys() - now.keys())
        found["changed"] += sum(value != expected.get(name) for name, value in now.items())
        done = now
        if len(now) == len(expected):
            found["failed at the end"] += run(out, cache) != 0
            orphans += left_aside(out)
            shutil.rmtree(out)
            plans, done = plans + 1, {}
        if found["killed"] >= told + 50:
            told = found["killed"]
            print(f"{found['killed']} kills, {plans} plans, {time.monotonic() - start:.0f} s", flush=True)
    found["failed at the end"] += run(out, cache) != 0
    found["lost"] += len(expected.keys() - stored(out).keys())
    orphans += left_aside(out)
    begun = sum(not line.startswith("pretrain") for line in (given.folder / "log.txt").read_text().splitlines())
    cut_short = begun - plans * len(expected)
    print(
        f"{found['killed']} kills over {plans} plans of {len(expected)} cells: {found['lost']} lost, "
        f"{found['changed']} changed, {cut_short} begun again (at most one a kill), {orphans} left aside, "
        f"{found['failed at the end']} failed at the end"
    )
    wrong = found["lost"] or found["changed"] or orphans or found["failed at the end"] or cut_short > found["killed"]
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
