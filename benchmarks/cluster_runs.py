"""Runs of ``benchmarks.cluster``: each a command line of its own, whose records are compared with one process's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import cluster_cells as cells
from eden_bench import records

PLUGIN = Path(cells.__file__)


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
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        return Run(process, out, log)

    def add(self, what: str, made: Run, note: str = "") -> None:
        """Compare a run's records with those of one process, and keep a line of the table."""
        same = stored(made.out) == stored(self.folder / "local")
        self.differs |= not same
        verdict = "identical" if same else "DIFFER"
        self._keep(what, str(len(stored(made.out))), verdict, f"{made.span:.1f}", note)

    def note(self, what: str, *said: str) -> None:
        """Keep a line of the table that compares nothing."""
        self._keep(what, "", "", "", "; ".join(filter(None, said)))

    def _keep(self, *row: str) -> None:
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

    @property
    def begun(self) -> int:
        """How often a cell has begun."""
        return sum(entry["what"] == "begin" for entry in self.entries)

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
        while self.begun < begun and self.process.poll() is None:
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
