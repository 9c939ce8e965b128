"""Show what ``run --launcher`` does on a Ray cluster of two nodes on this machine, and print it as a table.

    python -m benchmarks.cluster                       # all parts, 400 cells of 0.25 s
    python -m benchmarks.cluster --parts scale --work cpu

Parts: ``scale`` (cells over 1, 2 and 4 workers: efficiency, records equal to those of ``--launcher local``),
``devices`` (the same by processes, without Ray), ``workers`` (killed every 5 s), ``node`` (one killed mid-run),
``driver`` (killed and issued again), ``apart`` (two users' clusters on this host, beside one that RAY_ADDRESS
names). Efficiency is the share of the time in which the workers computed, from when all had begun to the last end.
``--work sleep`` (the default) measures what the launcher costs on however many cores, ``--work cpu`` the cores too.
Exit code 1 where a record differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cluster_cells as cells
from eden_bench import records

PLUGIN = Path(cells.__file__)
PARTS = ("scale", "devices", "workers", "node", "driver", "apart")


@dataclass
class Show:
    """The settings of one call, and what was found."""

    folder: Path
    cells: int
    seconds: float
    work: str
    products: int
    kill_every_s: float
    lines: list[tuple[str, ...]] = field(default_factory=list)
    differs: bool = False

    def run(self, name: str, *options: str, **variables: str) -> Run:
        """Start a run of all cells into an output folder of its own, or go on with it."""
        out = self.folder / name
        log = out.with_suffix(".jsonl")
        log.touch()
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("EDEN_BENCH_", "RAY_ADDRESS"))}
        how = {
            "EDEN_BENCH_CELL_LOG": str(log),
            "EDEN_BENCH_CELL_S": str(self.seconds),
            "EDEN_BENCH_CELL_WORK": self.work,
        }
        environment = {
            **kept,
            **how,
            "EDEN_BENCH_CELL_PRODUCTS": str(self.products),
            "OMP_NUM_THREADS": "1",
            **variables,
        }
        command = [
            *(sys.executable, "-m", "eden_bench", "run", "--methods", "fake-random", "--tasks", "cell-task-*"),
            *("--n-seeds", str(self.cells // cells.TASKS), "--plugin", str(PLUGIN), "--threads", "1", "--json"),
            *("--device", "cpu", "--out", str(out), "--cache", str(self.folder / "cache"), *options),
        ]
        said = out.with_suffix(".txt").open("ab")
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        return Run(process, out, log)

    def add(self, what: str, made: Run, note: str = "") -> None:
        """Compare a run's records with those of one process, and keep a line of the table."""
        same = stored(made.out) == stored(self.folder / "local")
        self.differs |= not same
        verdict = "identical" if same else "DIFFER"
        row = (what, str(len(stored(made.out))), verdict, f"{made.span:.1f}", note)
        self.lines.append(row)
        print("  ".join(row), flush=True)


@dataclass
class Run:
    """A run of the command line, and its log."""

    process: subprocess.Popen[bytes]
    out: Path
    log: Path

    def done(self) -> Run:
        """Wait for its end."""
        code = self.process.wait()
        if code not in (0, 3):
            raise SystemExit(f"exit code {code}: see {self.out.with_suffix('.txt')}")
        return self

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Lines of its cells."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def efficiency(self, workers: int, seconds: float) -> float:
        """Return what cells take alone over what the workers had for them, once all of them had begun."""
        entries = self.entries
        first: dict[int, float] = {}
        for entry in entries:
            first.setdefault(entry["process"], entry["at"])
        begun = max(first.values())
        ended = [entry["at"] for entry in entries if entry["what"] == "end" and entry["at"] > begun]
        return len(ended) * seconds / (workers * (max(ended) - begun))

    @property
    def span(self) -> float:
        """Seconds from the first beginning to the last end of a cell."""
        times = [entry["at"] for entry in self.entries]
        return max(times) - min(times)

    def wait_for(self, begun: int) -> None:
        """Wait until so many cells have begun."""
        while sum(entry["what"] == "begin" for entry in self.entries) < begun and self.process.poll() is None:
            time.sleep(0.05)


def stored(out: Path) -> dict[str, tuple[str, bytes]]:
    """Return what every record says but for times, machine and folder."""
    found = {}
    for record in records.load(out):
        content = {key: value for key, value in record.content.items() if key not in ("provenance", "digest")}
        content["command"] = str(content["command"]).replace(str(out), "OUT")
        found[record.id] = (json.dumps(content), record.cases_bytes())
    return found


@contextmanager
def nodes(count: int = 2) -> Iterator[Any]:
    """Start a Ray cluster of nodes of two processors each on this machine; yield it and its last node."""
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="eb-", dir="/tmp")
    Path("/tmp/ray").mkdir(exist_ok=True)  # where Ray notes the last cluster that began
    store = {"object_store_memory": 100 * 1024**2}
    head = {"num_cpus": 2, "num_gpus": 0, "temp_dir": folder, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={**head, **store})
    try:
        added = [cluster.add_node(num_cpus=2, num_gpus=2, **store) for _ in range(count - 1)]
        yield cluster, added[-1] if added else cluster.head_node
    finally:
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


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
        tries = sum(entry["what"] == "begin" for entry in made.entries) - show.cells
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
        cluster.remove_node(second, allow_graceful=False)
        made.done()
        tries = sum(entry["what"] == "begin" for entry in made.entries) - show.cells
        show.add("a whole node killed mid-run", made, f"{tries} cells tried again")


def driver_killed(show: Show) -> None:
    """Kill the driver twice and issue its command again: on a cluster of others, and on one of its own."""
    with nodes() as (cluster, _):
        driven(show, "driver", "killed driver, re-issued", "--ray-address", cluster.address)
    before = set(ray_processes())
    driven(show, "driver-own", "killed driver with its own cluster, re-issued")
    time.sleep(3)
    left = sorted(set(ray_processes()) - before)
    show.lines.append(("Ray processes left", str(len(left)), "", "", " ".join(left)[:80]))
    print("Ray processes left:", len(left), flush=True)
    show.differs |= bool(left)


def driven(show: Show, name: str, what: str, *options: str) -> None:
    """Kill a driver after a third and after two thirds of the cells."""
    at = []
    for share in (1, 2, 3):
        made = show.run(name, "--launcher", "ray", "--workers", "2", *options)
        made.wait_for(show.cells * share // 3 if share < 3 else show.cells * 2)
        at.append(len(stored(made.out)))
        made.process.kill() if share < 3 else made.done()
        made.process.wait()
    repeated = sum(entry["what"] == "begin" for entry in made.entries) - show.cells
    show.add(what, made, f"killed with {at[0]} and {at[1]} stored; {repeated} cells begun twice")


def two_users(show: Show) -> None:
    """Run two users' own clusters side by side, beside a third that everything points at."""
    with nodes(1) as (third, _):
        both = [
            show.run(f"user-{name}", "--launcher", "ray", "--workers", "2", RAY_ADDRESS=third.address) for name in "ab"
        ]
        for made in both:
            made.wait_for(show.cells // 4)
        raylets = [parents_of(made) for made in both]
        others = [line for line in ray_processes("ray::Actor") if third.address in line]
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


def ray_processes(name: str = "raylet") -> list[str]:
    """Return the command lines of this user's processes with a name in them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        lines += [line] if name in line and "benchmarks.cluster" not in line else []
    return lines


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
        "apart": two_users,
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
