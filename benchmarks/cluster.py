"""Show what ``run --launcher`` does on a Ray cluster of two nodes on this machine, and print it as a table.

    python -m benchmarks.cluster                       # all parts, 400 cells of 0.25 s
    python -m benchmarks.cluster --parts scale --work cpu

Parts: ``scale`` (cells over 1, 2 and 4 workers: efficiency, records equal to those of ``--launcher local``),
``devices`` (the same by processes, without Ray), ``workers`` (killed every 5 s), ``node`` (one killed mid-run),
``driver`` (killed and issued again), ``preempted`` (SIGTERM, SIGUSR1 and Ctrl-C, and issued again), ``apart`` (two
users' clusters on this host, beside one that RAY_ADDRESS names). Efficiency is the share of the time in which the
workers computed, from when all had begun to the last end.
``--work sleep`` (the default) measures what the launcher costs on however many cores, ``--work cpu`` the cores too.
Exit code 1 where a record differs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

from benchmarks import cluster_cells as cells
from benchmarks.cluster_runs import Run, Show, nodes
from benchmarks.cluster_stops import driver_killed, preempted

PARTS = ("scale", "devices", "workers", "node", "driver", "preempted", "apart")


def scale(show: Show) -> None:
    """Run the cells over 1, 2 and 4 workers of two nodes."""
    with nodes() as (cluster, _):
        over_workers(show, "ray, 2 nodes", "ray", "--ray-address", cluster.address)


def by_devices(show: Show) -> None:
    """Run the cells over 1, 2 and 4 processes."""
    over_workers(show, "devices", "devices")


def over_workers(show: Show, title: str, launcher: str, *options: str) -> None:
    """Run the cells over 1, 2 and 4 workers; print efficiency, and what the cells saw."""
    for workers in (1, 2, 4):
        made = show.run(f"{launcher}-{workers}", "--launcher", launcher, "--workers", str(workers), *options).done()
        begun = [entry for entry in made.entries if entry["what"] == "begin"]
        used = len({entry["process"] for entry in begun})
        gpus, threads = ({entry[name] for entry in begun} for name in ("gpus", "threads"))
        efficiency = made.efficiency(workers, show.seconds)
        seen = f"GPUs seen {gpus}, CUDA_VISIBLE_DEVICES { ({entry['visible'] for entry in begun}) }, threads {threads}"
        show.add(f"{title}, {workers} workers", made, f"efficiency {efficiency:.3f}; {used} processes; {seen}")


def workers_killed(show: Show) -> None:
    """Kill a worker every few seconds."""
    with nodes() as (cluster, _):
        made = show.run("workers", "--launcher", "ray", "--workers", "4", "--ray-address", cluster.address)
        kills = killing(made, random.Random(0), show.kill_every_s)
        made.done()
        tries = made.begun - show.cells
        show.add(
            f"a worker killed every {show.kill_every_s:g} s", made, f"{len(kills)} killed, {tries} cells tried again"
        )


def killing(made: Run, draw: random.Random, every_s: float) -> list[int]:
    """Kill one of the processes that computed the last cells, again and again, until the run ends; return which."""
    kills: list[int] = []

    def kill() -> None:
        while made.process.poll() is None:
            time.sleep(every_s)
            last = {entry["process"] for entry in made.entries[-8:]} - set(kills)
            if last and made.process.poll() is None:
                kills.append(draw.choice(sorted(last)))
                try:
                    os.kill(kills[-1], signal.SIGKILL)
                except ProcessLookupError:
                    kills.pop()

    threading.Thread(target=kill, daemon=True).start()
    return kills


def node_killed(show: Show) -> None:
    """Kill the second node, with its workers, in the middle."""
    with nodes() as (cluster, second):
        made = show.run("node", "--launcher", "ray", "--workers", "4", "--ray-address", cluster.address)
        made.wait_for(show.cells // 3)
        raylet = second.all_processes["raylet"][0].process.pid
        for lost in (raylet, *children(raylet)):  # as where the power goes: its workers send nothing more
            os.kill(lost, signal.SIGKILL)
        cluster.remove_node(second, allow_graceful=False)
        made.done()
        tries = made.begun - show.cells
        show.add("a whole node killed mid-run", made, f"{tries} cells tried again")


def two_users(show: Show) -> None:
    """Run two users' own clusters side by side, beside a third that everything points at."""
    with nodes(1) as (third, _):
        both = [
            show.run(f"user-{name}", "--launcher", "ray", "--workers", "2", RAY_ADDRESS=third.address) for name in "ab"
        ]
        for made in both:
            made.wait_for(show.cells // 4)
        raylets = [parents_of(made) for made in both]
        at_third = children(third.head_node.all_processes["raylet"][0].process.pid)
        others = {entry["process"] for made in both for entry in made.entries} & set(at_third)
        for made in both:
            made.done()
    met = bool(raylets[0] & raylets[1]) or bool(others)
    for name, made in zip("ab", both, strict=True):
        show.add(f"own cluster of user {name}", made, "MET another's" if met else "met nobody's, RAY_ADDRESS or not")
    show.differs |= met


def parents_of(made: Run) -> set[int]:
    """Return the processes that started a run's workers: its raylets."""
    found = set()
    for process in {entry["process"] for entry in made.entries}:
        stat = Path(f"/proc/{process}/stat")
        found |= {int(stat.read_text().rpartition(")")[2].split()[1])} if stat.exists() else set()
    return found


def children(parent: int) -> list[int]:
    """Return the processes that a process started."""
    found = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in found.read_text().split()] if found.exists() else []


def main() -> None:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=0.25, help="of one cell")
    parser.add_argument("--work", choices=("sleep", "cpu"), default="sleep")
    parser.add_argument("--kill-every", type=float, default=5.0, help="seconds between two kills of workers")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = given.folder or Path(tempfile.mkdtemp(prefix="cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    work = {
        "scale": scale, "devices": by_devices, "workers": workers_killed, "node": node_killed, "driver": driver_killed,
        "preempted": preempted, "apart": two_users,
    }  # fmt: skip
    show = Show(folder, given.cells, given.seconds, given.work, cells.calibrated(given.seconds), given.kill_every)
    show.add("one process (local)", show.run("local").done())
    for part in given.parts.split(","):
        work[part](show)
    print(f"\n{given.cells} cells of {given.seconds} s ({given.work}) on {os.cpu_count()} cores")
    print("\n| what | records | against one process | seconds | |\n|---|---|---|---|---|")
    for row in show.lines:
        print("|", " | ".join(row), "|")
    if given.folder is None:
        shutil.rmtree(folder)
    raise SystemExit(1 if show.differs else 0)


if __name__ == "__main__":
    main()
