"""Everything that only a card can show, in one script of at most six minutes: ``benchmarks/gpu_parts/``, one by one.

    python -m benchmarks.gpu                        # all parts on the card; build/gpu/results.json and page.md
    python -m benchmarks.gpu --only loss,embedding
    python -m benchmarks.gpu --small --device cpu   # a rehearsal of the logic: sizes of seconds, no figure of a card

Each part runs in a process of its own, under its own limit: one that crashes, hangs or is killed stops no other, keeps
what it had measured, and is listed. Results are written after every part. Ends with 1 where a part failed or a bar was
missed; in a rehearsal, where a part failed or computed something else than its peer.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import pkgutil
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import gpu_page
from benchmarks.timing import Bar
from eden_bench.files import atomic

TOTAL_S = 360.0
"""On a card, for all parts."""
_REHEARSAL = 4
"""Times the limits in which a processor that others share may rehearse."""
PACKAGE = "benchmarks.gpu_parts"


@dataclass(frozen=True)
class Outcome:
    """What became of one part."""

    name: str
    title: str
    limit_s: float
    ended: str
    """"done", or why it ended before: one sentence."""
    seconds: float = 0.0
    bars: tuple[Bar, ...] = field(default=())


def main() -> None:
    """Run the parts, or one of them in this process."""
    options = _options()
    if options.part:
        _measure(options)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the part at work is ended too
    outcomes = []
    for outcome in run_parts(options):
        outcomes.append(outcome)
        _write(outcomes, options)
        print(gpu_page.progress(outcome), flush=True)
    print(f"{options.out}/results.json, {options.out}/page.md")
    sys.exit(any(_failed(outcome, options.small) for outcome in outcomes))


def run_parts(options: argparse.Namespace) -> Iterator[Outcome]:
    """Run every part that is asked for; yield what became of it.

    A part's limit is its own, and what those before it left of theirs.
    """
    slower, given, began = _REHEARSAL if options.small else 1, 0.0, time.monotonic()
    for name in part_names(options.parts):
        if options.only and name not in options.only.split(","):
            continue
        try:
            part = importlib.import_module(f"{options.parts}.{name}")
        except Exception as error:  # noqa: BLE001, RUF100 - the edge of the script: one part's fault stops no other
            yield Outcome(name, "", 0.0, f"cannot be imported: {type(error).__name__}: {error}")
            continue
        given = min(given + part.LIMIT_S * slower, TOTAL_S * slower)
        yield _run(name, part.TITLE, given - (time.monotonic() - began), options)


def part_names(package: str) -> list[str]:
    """Name the parts: the modules of a package."""
    return sorted(found.name for found in pkgutil.iter_modules(importlib.import_module(package).__path__))


def _run(name: str, title: str, limit_s: float, options: argparse.Namespace) -> Outcome:
    """Run one part in a process of its own."""
    if limit_s <= 0:
        return Outcome(name, title, 0.0, f"not started: the {TOTAL_S:g} s of all parts were over")
    with tempfile.TemporaryDirectory() as folder:
        bars, told = Path(folder) / "bars.jsonl", Path(folder) / "told.txt"
        start = time.monotonic()
        ended = _ended(_command(name, bars, options), told, limit_s)
        return Outcome(name, title, limit_s, ended, time.monotonic() - start, tuple(_bars(bars)))


def _command(name: str, bars: Path, options: argparse.Namespace) -> list[str]:
    own = ["--part", name, "--to", str(bars), "--device", options.device, "--parts", options.parts]
    return [sys.executable, "-m", "benchmarks.gpu", *own, *(["--small"] if options.small else [])]


def _ended(command: Sequence[str], told: Path, limit_s: float) -> str:
    """Run a command in a session of its own, end all of it at its limit; return "done" or what happened."""
    with told.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        status = process.wait(timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"ended at its limit of {limit_s:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what the part started and left behind
        process.wait()
    lines = told.read_text(errors="replace").strip().splitlines() or ["nothing said"]
    kind = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
    return "done" if status == 0 else f"{kind}: {lines[-1]}"


def _bars(file: Path) -> Iterator[Bar]:
    """Read the bars that a part had written; a line cut by its end is left out."""
    for line in file.read_text().splitlines() if file.exists() else []:
        with contextlib.suppress(ValueError):
            yield Bar(**json.loads(line))


def _measure(options: argparse.Namespace) -> None:
    """Measure one part in this process, a line of JSON a bar."""
    import torch

    part = importlib.import_module(f"{options.parts}.{options.part}")
    if options.small:
        torch.set_num_threads(1)  # a rehearsal shares its processor
    with Path(options.to).open("w") as file:
        for bar in part.measure(torch.device(options.device), options.small):
            file.write(json.dumps(asdict(bar), allow_nan=False) + "\n")
            file.flush()


def _write(outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    found = results(outcomes, options)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_json(folder / "results.json", found)
    atomic.write_text(folder / "page.md", gpu_page.page(found))


def results(outcomes: Sequence[Outcome], options: argparse.Namespace) -> dict[str, Any]:
    """Collect everything that the page shows, as JSON has it."""
    command = shlex.join(["python", "-m", "benchmarks.gpu", *sys.argv[1:]])
    parts = [asdict(outcome) for outcome in outcomes]
    return {"small": options.small, "command": command, **gpu_page.surroundings(options.device), "parts": parts}


def _failed(outcome: Outcome, small: bool) -> bool:
    fine = {"pass", "stated", "skipped", *(("miss", "unsteady") if small else ())}
    return outcome.ended != "done" or any(bar.verdict not in fine for bar in outcome.bars)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, or cpu for a rehearsal")
    parser.add_argument("--small", action="store_true", help="sizes of a rehearsal")
    parser.add_argument("--only", default="", help="comma-separated names of parts")
    parser.add_argument("--out", default="build/gpu", help="folder of results.json and page.md")
    parser.add_argument("--parts", default=PACKAGE, help=argparse.SUPPRESS)
    parser.add_argument("--part", default="", help=argparse.SUPPRESS)
    parser.add_argument("--to", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.device == "cpu" and not options.small:
        parser.error("a processor only rehearses: add --small")
    return options


if __name__ == "__main__":
    main()
