"""Timing ours against a peer in one process: A B A B …, a median ratio, and an equality clause.

A bar passes only where both compute the same thing, the median ratio reaches the target, and the peer was steady
(its two halves agree within 25 %): a noisy machine yields "unsteady", never "pass". Every repeat is timed by the wall
clock, accelerator waited for. A side whose start-up must not count returns ``Seconds``, which have to fit that clock;
nothing else that a side returns is taken for time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

STEADY = 0.25
MIN_REPEATS = 7
LEAST_TOLD = 0.1
"""Least share of a repeat's wall clock that told seconds may be: a start-up takes part of a repeat, not all of it."""


class Equality(NamedTuple):
    """Result of the check that ours and the peer compute the same thing."""

    holds: bool
    text: str
    """What was compared and the figure found, for example "relative gradient error 7e-08 <= 1e-05"."""


@dataclass(frozen=True)
class Seconds:
    """Time measured by a side itself; a type of its own, so that no loss or score is mistaken for it."""

    value: float


class Side(NamedTuple):
    """One side of a comparison: what one repeat runs, and its units of work."""

    name: str
    run: Callable[[], object]
    """One repeat; what it returns is dropped unless it is ``Seconds``."""
    units: int = 1


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One measured bar; times are seconds per unit of work."""

    id: str
    title: str
    verdict: Literal["pass", "miss", "unequal", "unsteady", "stated", "skipped", "failed"]
    ours: str = ""
    peer: str = ""
    ours_s: float = 0.0
    peer_s: float = 0.0
    ratio: float = 0.0
    """Median over the repeats of peer / ours."""
    target: float = 0.0
    repeats: int = 0
    peer_halves: float = 0.0
    """Relative difference of the medians of the peer's first and second half."""
    equality: str = ""
    machine: str = ""


def arguments(description: str, **texts: str) -> argparse.Namespace:
    """Parse the options of every benchmark (--json, --repeats, --only, --device), and text options with defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--repeats", type=int, default=MIN_REPEATS)
    parser.add_argument("--only", default="", help="comma-separated ids of bars to run")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    for name, default in texts.items():
        parser.add_argument(f"--{name}", default=default)
    return parser.parse_args()


def compare(
    id: str,
    title: str,
    ours: Side,
    peer: Side,
    *,
    target: float,
    equality: Equality,
    repeats: int = MIN_REPEATS,
) -> Bar:
    """Time ours and the peer alternately, after one untimed run of each.

    Raises:
        ValueError: fewer repeats than the seven a bar needs, or told seconds that do not fit the wall clock.
    """
    if repeats < MIN_REPEATS:
        raise ValueError(f"repeats must be at least {MIN_REPEATS}, not {repeats}")
    ours.run()
    peer.run()
    pairs = [(_seconds(ours), _seconds(peer)) for _ in range(repeats)]
    ratio = statistics.median(theirs / mine for mine, theirs in pairs)
    halves = _halves([theirs for _, theirs in pairs])
    return Bar(
        id=id,
        title=title,
        verdict=_verdict(ratio, target, halves, equality),
        ours=ours.name,
        peer=peer.name,
        ours_s=statistics.median(mine for mine, _ in pairs),
        peer_s=statistics.median(theirs for _, theirs in pairs),
        ratio=ratio,
        target=target,
        repeats=repeats,
        peer_halves=halves,
        equality=equality.text,
        machine=machine(),
    )


def against_rate(
    id: str, title: str, ours: Side, rate: float, *, equality: Equality, repeats: int = MIN_REPEATS
) -> Bar:
    """Time ours alone, after one untimed run, against a rate it has to reach, in units a second.

    What stands for the peer's halves is ours'.
    """
    ours.run()
    times = [_seconds(ours) for _ in range(repeats)]
    ours_s, halves = statistics.median(times), _halves(times)
    return Bar(
        id=id,
        title=title,
        verdict=_verdict(1 / (ours_s * rate), 1.0, halves, equality),
        ours=ours.name,
        peer=f"{rate:,g} a second",
        ours_s=ours_s,
        peer_s=1 / rate,
        ratio=1 / (ours_s * rate),
        target=1.0,
        repeats=repeats,
        peer_halves=halves,
        equality=equality.text,
        machine=machine(),
    )


def skipped(id: str, title: str, reason: str) -> Bar:
    """Record a bar that was skipped, and why."""
    return Bar(id=id, title=title, verdict="skipped", equality=reason, machine=machine())


def attempted(id: str, title: str, make: Callable[[], Bar]) -> Bar:
    """Measure a bar; where that fails say why, so that those after it are measured."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001, RUF100 - whatever a device or a peer raises
        text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        return Bar(id=id, title=title, verdict="failed", equality=text, machine=machine())


def stated(id: str, title: str, text: str, ours: str, ours_s: float) -> Bar:
    """Record a figure of which nothing is asked: seconds per unit of work, and what else was found."""
    return Bar(id=id, title=title, verdict="stated", ours=ours, ours_s=ours_s, equality=text, machine=machine())


def wanted(options: argparse.Namespace, id: str) -> bool:
    """Return whether --only selects this bar."""
    return not options.only or id in options.only.split(",")


def report(bars: Sequence[Bar], *, as_json: bool = False) -> None:
    """Print the bars and exit: 0 where each passed or was skipped, 1 otherwise."""
    if as_json:
        print(json.dumps([asdict(bar) for bar in bars], indent=2))
    else:
        print(machine())
        for bar in bars:
            print(_line(bar))
    sys.exit(any(bar.verdict not in ("pass", "stated", "skipped") for bar in bars))


def machine() -> str:
    """Describe the processor, its cores and load, the accelerator and the relevant versions."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "no accelerator"
    return (
        f"{_processor()}, {os.cpu_count()} cores (load {load:.1f}), {accelerator}, torch {torch.__version__} on "
        f"{torch.get_num_threads()} threads ({torch.backends.cpu.get_cpu_capability()}), "
        f"Python {platform.python_version()}"
    )


def _seconds(side: Side) -> float:
    """Run one repeat and return its seconds per unit of work."""
    _wait_for_accelerator()
    start = time.perf_counter()
    returned = side.run()
    _wait_for_accelerator()
    wall_s = time.perf_counter() - start
    return (_checked(side, returned.value, wall_s) if isinstance(returned, Seconds) else wall_s) / side.units


def _checked(side: Side, told_s: float, wall_s: float) -> float:
    if not LEAST_TOLD * wall_s <= told_s <= wall_s:
        raise ValueError(
            f"{side.name} told {told_s:g} s of a repeat that took {wall_s:g} s by the wall clock, expected "
            f"{LEAST_TOLD:.0%} to 100%: return Seconds only of a time that was measured within the repeat"
        )
    return told_s


def _wait_for_accelerator() -> None:
    """Wait for queued work, if torch is loaded and has used a GPU."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _halves(times: Sequence[float]) -> float:
    middle = len(times) // 2
    first, second = statistics.median(times[:middle]), statistics.median(times[-middle:])
    return abs(first - second) / min(first, second)


def _verdict(
    ratio: float, target: float, halves: float, equality: Equality
) -> Literal["pass", "miss", "unequal", "unsteady"]:
    if not equality.holds:
        return "unequal"
    if halves > STEADY:
        return "unsteady"
    return "pass" if ratio >= target else "miss"


def _line(bar: Bar) -> str:
    if bar.verdict in ("skipped", "failed"):
        return f"{bar.id:5} {bar.verdict:9} {bar.title}: {bar.equality}"
    if bar.verdict == "stated":
        return f"{bar.id:5} stated    {bar.title}: {time_text(bar.ours_s)} ({bar.ours}); {bar.equality}"
    return (
        f"{bar.id:5} {bar.verdict:9} {bar.title}: {bar.ratio:.1f}x (target {bar.target:g}x, median of {bar.repeats})\n"
        f"      ours {time_text(bar.ours_s)} ({bar.ours}), peer {time_text(bar.peer_s)} ({bar.peer}), "
        f"peer's halves differ {bar.peer_halves:.0%}\n"
        f"      equality: {bar.equality}"
    )


def time_text(seconds: float) -> str:
    """Format a time to three digits, from seconds to nanoseconds."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.3g} ns"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
