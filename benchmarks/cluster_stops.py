"""Parts of ``benchmarks.cluster`` that stop a run from outside: its driver killed, or asked to stop by a signal."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from benchmarks.cluster_runs import Run, Show, nodes, stored

STOPS = ((signal.SIGTERM, False, 75), (signal.SIGUSR1, False, 75), (signal.SIGINT, True, 130))
"""A signal, whether the driver's whole group gets it as by Ctrl-C, and the exit code that it must have."""
GRACE_S = 30


_MOST_TO_END_S = 60.0
"""Ray's agents look every few seconds whether what they serve still lives."""


def driver_killed(show: Show) -> None:
    """Kill the driver twice and issue its command again: on a cluster of others, and on one of its own."""
    with nodes() as (cluster, _):
        driven(show, "driver", "killed driver, re-issued", "--ray-address", cluster.address)
    before = folders()
    made = driven(show, "driver-own", "killed driver with its own cluster, re-issued")
    nothing_left(show, made, before)


def driven(show: Show, name: str, what: str, *options: str) -> Run:
    """Kill a driver after a third and after two thirds of the cells."""
    at = []
    for share in (1, 2, 3):
        made = show.run(name, "--launcher", "ray", "--workers", "2", *options)
        made.wait_for(show.cells * share // 3 if share < 3 else show.cells * 2)
        at.append(len(stored(made.out)))
        made.process.kill() if share < 3 else made.done()
        made.process.wait()
    repeated = made.begun - show.cells
    show.add(what, made, f"killed with {at[0]} and {at[1]} stored; {repeated} cells begun twice")
    return made


def preempted(show: Show) -> None:
    """Ask a driver with a cluster of its own to stop after a third of the cells, and issue its command again."""
    for number, to_group, expected in STOPS:
        before, name = folders(), f"stopped-{number.name}"
        made = show.run(name, "--launcher", "ray", "--workers", "2")
        made.wait_for(show.cells // 3)
        started = time.monotonic()
        os.killpg(made.process.pid, number) if to_group else made.process.send_signal(number)
        code, seconds = made.process.wait(), time.monotonic() - started
        kept = len(stored(made.out))
        nothing_left(show, made, before)
        show.differs |= code != expected or seconds > GRACE_S
        again = show.run(name, "--launcher", "ray", "--workers", "2").done()
        said = (
            f"exit code {code} after {seconds:.1f} s with {kept} stored; {again.begun - show.cells} cells begun twice"
        )
        show.add(f"{number.name} to the {'group' if to_group else 'driver'}, re-issued", again, said)


def nothing_left(show: Show, made: Run, before: set[Path]) -> None:
    """Tell whether a run left a folder of its Ray cluster, or processes that do not end by themselves."""
    start = time.monotonic()
    while (left := processes(made)) and time.monotonic() - start < _MOST_TO_END_S:
        time.sleep(1)
    found, after = sorted(map(str, folders() - before)), time.monotonic() - start
    told = f"{len(left)} processes after {after:.0f} s, {len(found)} folders"
    show.note("left by it", told, " ".join([*left.values(), *found])[:80])
    show.differs |= bool(left or found)


def folders() -> set[Path]:
    """Return the folders of Ray clusters that runs of this machine started."""
    return set(Path("/tmp").glob("eb-*"))


def processes(made: Run) -> dict[int, str]:
    """Return the command lines of the processes that a run started: they have its log in their environment."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if f"EDEN_BENCH_CELL_LOG={made.log}\0".encode() in (path / "environ").read_bytes():
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
    return found
