"""Shows of faults that take minutes: the disk full, a process stopped, clocks that jump, pretrainings resumed.

    python -m benchmarks.faults --only disk,stopped,clock,resume --points 20 --resumes 50 --folder faults

Each prints one line; exit code 1 where one does not hold. ``disk`` needs root, for it mounts a small tmpfs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

from benchmarks.kills import ended, forked, left_aside, run
from eden_bench import preemption, records
from eden_bench.errors import Preempted, StoreFailed
from pretrain.engine import training
from tests.eden_bench.execution.test_runner import stored
from tests.pretrain.engine.running import Stopped, history
from tests.pretrain.engine.running import run as pretrained

HOUR_S = 3600.0


def disk(folder: Path, points: int) -> tuple[bool, str]:
    """Run on a disk that is full at one of several points, make room, and run again."""
    run(folder / "whole", folder / "cache")
    expected = stored(folder / "whole")
    size = sum(4096 * (1 + file.stat().st_size // 4096) for file in (folder / "whole").rglob("*"))
    full = corrupt = aside = differ = 0
    for point in range(1, points + 1):
        with _small_disk(folder / "disk", size * point // (points + 1)) as mounted:
            full += ended(forked(lambda out=mounted: _full(out, folder / "cache"))) in (3, 28)
            damaged: list[str] = []
            found = _stored_where(mounted, damaged.append)
            corrupt += len(damaged) + sum(value != expected[name] for name, value in found.items())
            subprocess.run(["mount", "-o", f"remount,size={4 * size}", mounted], check=True)
            again = ended(forked(lambda out=mounted: run(out, folder / "cache")))
            differ += again != 0 or stored(mounted) != expected
            aside += left_aside(mounted)
    text = f"disk full at {points} points: {full} said so, {corrupt} corrupt files, {aside} left aside, {differ} differ"
    return full == points and not corrupt and not aside and not differ, text


def _stored_where(out: Path, damaged: Callable[[str], None]) -> dict[str, object]:
    """Return what is stored, telling of what is damaged; nothing where there is no such folder."""
    records.load(out, damaged)
    return dict(stored(out)) if (out / "records").is_dir() else {}


def _full(out: Path, cache: Path) -> int:
    """Run; return 28, the number of "no space left", where that is said; 3 where a pretraining failed of it."""
    try:
        return run(out, cache)
    except StoreFailed as error:
        return 28 if "No space left" in str(error) else 99


@contextlib.contextmanager
def _small_disk(place: Path, size: int) -> Iterator[Path]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


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


def resume(folder: Path, points: int) -> tuple[bool, str]:
    """Stop a pretraining at random steps, by a signal or as a kill does, and go on: the weights' digest is the same."""
    draw, equal = random.Random(0), 0
    with mock.patch.object(training, "CHECK_EVERY_STEPS", 1):
        whole = pretrained(folder / "whole", "moco-v2", epochs=5)
        steps = 10
        for point in range(points):
            at, by_signal = draw.randrange(1, steps), draw.random() < 0.5
            _stopped(folder / f"{point}", at, by_signal)
            again = pretrained(folder / f"{point}", "moco-v2", epochs=5)
            alike = history(folder / f"{point}") == history(folder / "whole")
            equal += again.encoder_digest == whole.encoder_digest and alike
    return equal == points, f"resumed at {points} random points: {equal} of {points} equal in SHA-256 and history"


def _stopped(folder: Path, at: int, by_signal: bool) -> None:
    seen = []

    def progress(what: str, done: int, total: int) -> None:
        seen.append(done)
        if len(seen) == at and by_signal:
            os.kill(os.getpid(), signal.SIGTERM)
        elif len(seen) == at:
            raise Stopped

    with contextlib.suppress(Stopped, Preempted), preemption.heeded():
        pretrained(folder, "moco-v2", epochs=5, progress=progress, save_every_s=0.0)


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
