"""Kill drivers and workers with SIGKILL a thousand times, re-issue the command, and compare with an undisturbed run.

    python -m benchmarks.kills --kills 1000 --folder kills

Drivers are forked from a process that has torch loaded, since its import takes longer than all of their work; each runs
the whole of ``eden_bench.run`` on tiny cells (tests/eden_bench/fakes.py) through the real store, from an empty cache.
Four kinds of kills, told apart in what is printed: a driver that computes itself; one that was stopped (SIGSTOP) for a
moment first; one of two workers (``--launcher devices``), time and again while their driver goes on; a driver whose two
workers are at work, of which none may outlive it. A kill cuts short one piece of work of each process, and with workers
also the result that the driver is about to store, since its worker has begun the next by then. Nothing stored may be
lost, computed again or changed, and nothing be left aside at the end, in OUT, the cache or the folder for temporary
files. Exit code 1 where that is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from eden_bench import api
from eden_bench.execution.launchers.launcher import Launch
from tests.eden_bench.execution.test_runner import stored

FAKES = Path(__file__).parents[1] / "tests" / "eden_bench" / "fakes.py"
PLAN = {"methods": "fake-random,fake-trained", "tasks": "fake-heart,fake-lung", "shots": "3,full"}
SEEDS = 12
WORKERS = 2
SHARES = {"driver": 0.7, "driver, stopped first": 0.15, "worker": 0.09, "driver with workers": 0.06}
"""Kind of kill to its share of all."""
_WORK_S = 0.05
"""How long a worker's cell takes, so that a kill meets it at work."""
_DEATH_S = 5.0
"""A worker that is alive this long after its driver has outlived it."""


def run(out: Path, cache: Path, *, seeds: int = SEEDS, workers: int = 0) -> int:
    """Run the plan in this process, or with workers; return its exit code."""
    launch = Launch(launcher="devices", workers=workers) if workers else None
    how = {"protocol": "quick", "pretrain_data": "fake-set", "device": "cpu", "threads": 1, "launch": launch}
    return api.run(**PLAN, seeds=range(seeds), out=out, cache=cache, plugins=[FAKES], **how).exit_code


def forked(work: Callable[[], int]) -> int:
    """Start work in a child process in a group of its own; return its id. It ends with 99 where work raises."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setsid()
            code = work()
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child; return its exit code, negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def waited(child: int, *, wait: bool = True) -> int | None:
    """Return a child's exit code as ``ended``; without waiting, None while it works."""
    process, status = os.waitpid(child, 0 if wait else os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if process else None


def left_aside(*folders: Path) -> int:
    """Count temporary files and folders, and locks of cells; those of pretrainings are swept by the next run."""
    locks = sum(len(path.stem) == 64 for folder in folders for path in folder.glob("locks/*.lock"))
    return locks + sum(1 for folder in folders for _ in folder.rglob(".aside-*"))


@dataclass
class Place:
    """Where one plan after the other is killed and re-issued until it is done."""

    folder: Path
    draw: random.Random
    expected: dict[str, object]
    whole_s: float
    found: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    cut_short: Counter[str] = field(default_factory=Counter)
    plans: int = 1
    _done: dict[str, object] = field(default_factory=dict)
    _made: int = 0

    @property
    def out(self) -> Path:
        """Output folder of the plan."""
        return self.folder / "killed"

    @property
    def cache(self) -> Path:
        """Cache of the plan, empty when it begins."""
        return self.folder / "killed-cache"

    def begun(self) -> int:
        """Count the cells and pretrainings that were begun so far, over all plans."""
        log = self.folder / "log.txt"
        return log.read_text().count("\n") if log.exists() else 0

    def kill(self) -> None:
        """Kill once, or one worker after the other, of the kind that is furthest behind its share; and look."""
        kind, before = min(SHARES, key=lambda name: self.kinds[name] / SHARES[name]), self.begun()
        kills, most_cut_short = KILLS[kind](self)
        self.kinds[kind] += kills
        self._look(kind, self.begun() - before, most_cut_short)

    def _look(self, kind: str, begun: int, most_cut_short: int) -> None:
        """Compare what is stored with what was, and with what shall be."""
        now = stored(self.out) if (self.out / "records").is_dir() else {}
        made = len(now) + sum(1 for _ in self.out.glob("checkpoints/*/card.json"))
        cut_short = begun - (made - self._made)
        self.found["lost"] += len(self._done.keys() - now.keys())
        self.found["changed"] += sum(value != self.expected.get(name) for name, value in now.items())
        if cut_short > most_cut_short:
            self.found["repeated"] += cut_short - most_cut_short
            print(f"{kind}: {cut_short} begun in vain, expected at most {most_cut_short}", flush=True)
        self.cut_short[kind] += cut_short
        self._done, self._made = now, made
        if len(now) == len(self.expected):
            self.finish()

    def finish(self) -> None:
        """Issue the command once more, to its end; see that all is there and nothing else; begin another plan."""
        self.found["failed"] += ended(forked(lambda: run(self.out, self.cache))) != 0
        self.found["lost"] += len(self.expected.keys() - stored(self.out).keys())
        self.found["left aside"] += left_aside(self.out, self.cache) + len(list(Path(os.environ["TMPDIR"]).iterdir()))
        shutil.rmtree(self.out)
        shutil.rmtree(self.cache)
        self.plans, self._done, self._made = self.plans + 1, {}, 0

    def grown(self, lines: int, driver: int) -> bool:
        """Wait until so many cells more were begun; return False where the driver has ended before."""
        until = self.begun() + lines
        while self.begun() < until:
            if not _is_alive(driver):
                return False
            time.sleep(0.005)
        return True


def driver_killed(place: Place, *, stopped: bool = False) -> tuple[int, int]:
    """Kill a driver that computes itself, at any moment; return how many kills, and how much work they cut short."""
    child = forked(lambda: run(place.out, place.cache))
    time.sleep(place.draw.uniform(0, place.whole_s / 12))
    if stopped:
        os.kill(child, signal.SIGSTOP)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    was_at_work = ended(child) == -signal.SIGKILL
    return was_at_work, was_at_work


def workers_killed(place: Place) -> tuple[int, int]:
    """Kill one of two workers, at work or as it starts, again and again until their driver has done the plan."""
    driver, kills = forked(lambda: _run_with_workers(place)), 0
    while place.grown(place.draw.randint(3, 8), driver):
        if workers := list(_workers_of(driver)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(place.draw.choice(workers), signal.SIGKILL)
                kills += 1
    place.found["failed"] += ended(driver) != 0
    return kills, kills


def driver_with_workers_killed(place: Place) -> tuple[int, int]:
    """Kill a driver while its workers work, or start; half the time the command is issued again before they ended."""
    driver = forked(lambda: _run_with_workers(place))
    if place.draw.random() < 0.75:
        place.grown(place.draw.randint(1, 12), driver)
    else:
        time.sleep(place.draw.uniform(0, 4))
    os.kill(driver, signal.SIGKILL)
    was_at_work = ended(driver) == -signal.SIGKILL
    if place.draw.random() < 0.5:
        place.found["outlived"] += outlived(place)
    return was_at_work, (WORKERS + 1) * was_at_work


KILLS: dict[str, Callable[[Place], tuple[int, int]]] = {
    "driver": driver_killed,
    "driver, stopped first": lambda place: driver_killed(place, stopped=True),
    "worker": workers_killed,
    "driver with workers": driver_with_workers_killed,
}


def outlived(place: Place) -> int:
    """Give workers without a driver a moment to end; return how many have not."""
    deadline = time.monotonic() + _DEATH_S
    while (there := sum(1 for _ in _workers_in(place))) and time.monotonic() < deadline:
        time.sleep(0.01)
    return there


def _run_with_workers(place: Place) -> int:
    os.environ["FAKE_SLEEP_S"] = str(_WORK_S)
    return run(place.out, place.cache, workers=WORKERS)


def _workers_of(driver: int) -> Iterator[int]:
    for child in Path(f"/proc/{driver}/task/{driver}/children").read_text().split():
        if _is_alive(int(child)):
            yield int(child)


def _workers_in(place: Place) -> Iterator[int]:
    """Yield the processes that were started with the log of this place in their environment, by /proc."""
    mark = os.fsencode(f"FAKE_LOG={place.folder / 'log.txt'}")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                yield int(process.name)


def _is_alive(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def undisturbed(folder: Path) -> tuple[dict[str, object], float]:
    """Run the plan twice; return what it leaves, and how long it takes where the cache is there."""
    run(folder / "warm", folder / "cache", seeds=1)
    start = time.monotonic()
    run(folder / "whole", folder / "cache")
    whole_s, expected = time.monotonic() - start, dict(stored(folder / "whole"))
    print(f"undisturbed: {len(expected)} cells in {whole_s:.1f} s", flush=True)
    return expected, whole_s


def told(place: Place) -> str:
    """Return the counts, of each kind of kill and of what went wrong."""
    kinds = "; ".join(f"{place.kinds[kind]} of a {kind} ({place.cut_short[kind]} cut short)" for kind in SHARES)
    found = place.found
    return (
        f"{place.kinds.total()} kills over {place.plans} plans of {len(place.expected)} cells: {kinds}\n"
        f"{found['lost']} lost, {found['changed']} changed, {found['repeated']} repeated beyond that, "
        f"{found['left aside']} left aside, {found['outlived']} workers outlived their driver, {found['failed']} failed"
    )


def main() -> None:
    """Kill, compare, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    folder, start, said = given.folder.absolute(), time.monotonic(), 0
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "temporary").mkdir(parents=True)
    expected, whole_s = undisturbed(folder)
    os.environ |= {"FAKE_LOG": str(folder / "log.txt"), "TMPDIR": str(folder / "temporary")}
    tempfile.tempdir = None
    place = Place(folder, random.Random(given.seed), expected, whole_s)
    while (kills := place.kinds.total()) < given.kills:
        place.kill()
        if kills >= said + 50:
            said = kills
            print(f"{kills} kills, {place.plans} plans, {time.monotonic() - start:.0f} s", flush=True)
    place.found["outlived"] += outlived(place)
    place.finish()
    print(f"{told(place)}; {time.monotonic() - start:.0f} s")
    raise SystemExit(bool(place.found.total()))


if __name__ == "__main__":
    main()
