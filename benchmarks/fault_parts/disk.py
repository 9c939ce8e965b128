"""Fill a disk at points spread over a run: in each record, in a pretraining's state, in the cache and in the report.

The command line itself runs, every fifth time with two workers, with results and cache on a small tmpfs (which needs
root). A full disk shall be one sentence and exit code 2 (what was made cannot be stored) or 3 (a cell or a pretraining
failed of it), and leave only whole files; with room made, the same command ends in the same records. A report that
cannot be written where every cell is stored is one warning and exit code 0.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fault_parts import noise
from benchmarks.kills import FAKES, forked, left_aside, waited
from eden_bench import cli, records
from tests.eden_bench.execution.test_runner import stored

PLANS = {"records": "fake-random", "a pretraining": "moco-v2"}
"""What the disk is full in, to the methods of the plan that shows it."""
_WORKERS = ("--launcher", "devices", "--workers", "2")
_ROOM = 1 << 28
_SAYS_FULL = re.compile(r"No space left|GB free")


@dataclass
class Shown:
    """What was found at all points."""

    codes: Counter[int] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)


def disk(folder: Path, points: int) -> tuple[bool, str]:
    """Fill the disk at several points of each plan, in turn, make room, and issue the same command again."""
    (folder / "protocol.toml").write_text(noise.protocol())
    shown, shares = Shown(), [points - points // 2, points // 2]
    for methods, share in zip(PLANS.values(), shares, strict=True):
        expected, most = _undisturbed(folder, methods)
        for point in range(share):
            launcher = _WORKERS if point % 5 == 3 else ()
            _try(folder, methods, most * (2 * point + 1) // (2 * share), expected, shown, launcher)
    codes = ", ".join(f"{number} with exit code {code}" for code, number in sorted(shown.codes.items()))
    places = ", ".join(f"{number} in {place}" for place, number in sorted(shown.places.items()))
    wrong = ", ".join(f"{number} {what}" for what, number in shown.wrong.items()) or "nothing wrong"
    return (
        not shown.wrong and shown.codes.total() == points,
        f"disk full at {points} points: {codes}; {places}; {wrong}",
    )


def _try(
    folder: Path, methods: str, size: int, expected: dict[str, object], shown: Shown, launcher: Sequence[str]
) -> None:
    """Run on a disk of some bytes, look at what is there, make room, and run again."""
    log, wrong = folder / "log.txt", Counter[str]()
    with _small_disk(folder / "disk", size) as mounted:
        code = waited(forked(lambda: _command(folder, mounted, methods, launcher)))
        said = log.read_text()
        shown.codes[code] += 1
        has_state = any(mounted.glob("out/checkpoints/*/training.state"))
        shown.places[_place(said, mounted) + " with a state saved before" * has_state] += 1
        wrong["not said in one sentence"] += not _is_one_sentence(said, code)
        damaged: list[str] = []
        records.load(mounted / "out", damaged.append)
        wrong["corrupt"] += len(damaged)
        wrong["left aside"] += left_aside(mounted)
        found = stored(mounted / "out") if (mounted / "out" / "records").is_dir() else {}
        wrong["changed"] += sum(value != expected[name] for name, value in found.items())
        subprocess.run(["mount", "-o", f"remount,size={_ROOM}", mounted], check=True)
        wrong["failed afterwards"] += waited(forked(lambda: _command(folder, mounted, methods))) != 0
        wrong["other records afterwards"] += stored(mounted / "out") != expected
        wrong["left aside afterwards"] += left_aside(mounted)
    shown.wrong += wrong
    if +wrong:
        print(f"{methods}, {size} bytes, exit code {code}: {dict(+wrong)}\n{said}", file=sys.stderr)


def _is_one_sentence(said: str, code: int) -> bool:
    """Return whether output names a full disk: in one error or warning, or as failed cells' cause."""
    told = [line for line in said.splitlines() if _SAYS_FULL.search(line)]
    if "Traceback" in said or "internal error" in said:
        return False
    begins = {0: "warning: the report's files are not written", 2: "error: ", 3: "["}.get(code, "no such code")
    number = sum(line.startswith(begins) for line in told)
    return number > 0 if code == 3 else number == 1 == said.count(f"\n{begins}")


def _place(said: str, mounted: Path) -> str:
    """Return the folder that could not be written, "elsewhere" where none is named."""
    told = next((line for line in said.splitlines() if _SAYS_FULL.search(line)), "")
    named = re.search(rf"{re.escape(str(mounted))}/(cache|out/\w+|out)", told)
    return named[1] if named else "elsewhere"


def _undisturbed(folder: Path, methods: str) -> tuple[dict[str, object], int]:
    """Run on a disk with room; return what is stored, and the most bytes that were in use."""
    with _small_disk(folder / "disk", _ROOM) as mounted:
        child, most = forked(lambda: _command(folder, mounted, methods)), 0
        while (code := waited(child, wait=False)) is None:
            most = max(most, shutil.disk_usage(mounted).used)
            time.sleep(0.001)
        if code:
            raise SystemExit(f"exit code {code} on a disk with room: {(folder / 'log.txt').read_text()}")
        return dict(stored(mounted / "out")), most


def _command(folder: Path, mounted: Path, methods: str, launcher: Sequence[str] = ()) -> int:
    """Run the command line in this process, its output in a file elsewhere; return its exit code."""
    arguments: Sequence[str] = [
        "run", "--methods", methods, "--tasks", "fake-heart,fake-lung", "--seeds", "0-5", "--pretrain-data", "fake-set",
        "--protocol", "quick" if methods == PLANS["records"] else str(folder / "protocol.toml"),
        "--device", "cpu", "--threads", "1", "--plugin", str(FAKES), "--plugin", str(Path(noise.__file__)),
        "--out", str(mounted / "out"), "--cache", str(mounted / "cache"), *launcher,
    ]  # fmt: skip
    with (folder / "log.txt").open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        try:
            cli.main(arguments)
        except SystemExit as end:
            return int(end.code or 0)
    return 99


@contextlib.contextmanager
def _small_disk(place: Path, size: int) -> Iterator[Path]:
    """Mount a tmpfs that holds some bytes, rounded up to a page: none would be without limit."""
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(size, 4096)}", "tmpfs", place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)
