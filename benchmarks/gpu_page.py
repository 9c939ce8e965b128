"""Write what ``benchmarks/gpu.py`` measured as a page of Markdown for ``docs/results/``."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.gpu_targets import TARGETS, Ceiling, target_of, unmeasured
from benchmarks.timing import Bar, machine, time_text
from eden_bench.records import provenance

if TYPE_CHECKING:
    from benchmarks.gpu import Outcome

_COLUMNS = ("bar", "what", "ours", "peer, same run", "ratio", "asked", "verdict", "checked")
_RATES = ("bar", "ours, a second", "published or reckoned ceiling", "share", "source")


def surroundings(device: str) -> dict[str, Any]:
    """Return the device, driver, torch, date and commit of a run."""
    import torch

    found = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": provenance.git_commit(),
        "machine": machine(),
        "torch": torch.__version__,
        "device": "cpu",
        "driver": "",
    }
    if device.startswith("cuda") and torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(device)
        found["device"] = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"
        found["driver"] = _driver()
        found["cuda"], found["cudnn"] = torch.version.cuda, torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return found


def page(found: Mapping[str, Any]) -> str:
    """Return the page: where it ran, the bars, the rates beside their ceilings, the parts, and what is missing."""
    bars = [Bar(**bar) for part in found["parts"] for bar in part["bars"]]
    return "\n".join([*_head(found), *_measured(bars), *_rates(bars), *_parts(found["parts"]), *_missing(found, bars)])


def progress(outcome: Outcome) -> str:
    """Return the line that tells what became of a part while others wait."""
    told = ", ".join(f"{bar.id} {bar.verdict} {bar.ratio:.2f}x" for bar in outcome.bars)
    return f"{outcome.name}: {outcome.ended}, {outcome.seconds:.0f} s of {outcome.limit_s:.0f}" + f"; {told}" * bool(
        told
    )


def _head(found: Mapping[str, Any]) -> list[str]:
    kind = "Rehearsed on a processor: no figure of a card" if found["small"] else f"Measured on {found['device']}"
    versions = [f"torch {found['torch']}"]
    versions += [f"{name} {found[name]}" for name in ("driver", "cuda", "cudnn") if found.get(name)]
    place = f"{found['machine']}; {', '.join(versions)}; commit {found['commit'] or 'unknown'}."
    return [f"# {kind}, {found['date'][:10]}", "", place, "", f"`{found['command']}`, {found['date']}."]


def _measured(bars: Iterable[Bar]) -> list[str]:
    """Return the table of ratios, each beside its peer in the same run."""
    rows = [_row(bar) for bar in bars]
    return ["", "## Ratios", "", *table(_COLUMNS, rows)] if rows else []


def _row(bar: Bar) -> list[str]:
    if bar.verdict in ("skipped", "failed"):
        return [bar.id, bar.title, "", "", "", "", bar.verdict, bar.equality]
    if bar.verdict == "stated":
        return [bar.id, bar.title, f"{time_text(bar.ours_s)} ({bar.ours})", "", "", "", "stated", bar.equality]
    sides = [f"{time_text(each)} ({name})" for each, name in ((bar.ours_s, bar.ours), (bar.peer_s, bar.peer))]
    return [
        bar.id,
        bar.title,
        *sides,
        f"{bar.ratio:.2f}x",
        f"{bar.target:.3g}x" if bar.target else "",
        bar.verdict,
        bar.equality,
    ]


def _rates(bars: Iterable[Bar]) -> list[str]:
    """Return the table of absolute figures, each beside what the card allows."""
    pairs = [(bar, target.ceiling) for bar in bars if bar.ours_s and (target := target_of(bar.id)) and target.ceiling]
    return ["", "## Beside the ceiling", "", *table(_RATES, [_rate(*pair) for pair in pairs])] if pairs else []


def _rate(bar: Bar, ceiling: Ceiling) -> list[str]:
    rate = 1 / bar.ours_s
    return [bar.id, f"{rate:,.0f}", f"{ceiling.rate:,.0f} {ceiling.unit}", f"{rate / ceiling.rate:.0%}", ceiling.source]


def _parts(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [part["name"], part["title"], f"{part['seconds']:.0f} of {part['limit_s']:.0f} s", part["ended"]]
        for part in parts
    ]
    return ["", "## Parts", "", *table(("part", "what", "time", "ended"), rows)]


def _missing(found: Mapping[str, Any], bars: Sequence[Bar]) -> list[str]:
    """Return what is not measured: in a rehearsal everything, else what no bar measured."""
    reasons = {bar.id.partition("-")[0]: bar.equality for bar in bars if bar.verdict in ("skipped", "failed")}
    missing = TARGETS if found["small"] else unmeasured(bars)
    lines = [
        f"- {each.id}: {each.what}; asked: {each.asked}"
        + (f" ({why})" if (why := reasons.get(each.id, each.no_part)) else "")
        for each in missing
    ]
    return ["", "## Not measured", "", *(lines or ["Nothing: every target has a figure."]), ""]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table of Markdown."""
    yield f"| {' | '.join(columns)} |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def _driver() -> str:
    """Return the version of NVIDIA's driver, or "unknown"."""
    tool = shutil.which("nvidia-smi")
    command = [tool or "", "--query-gpu=driver_version", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20) if tool else None
    return done.stdout.strip().partition("\n")[0] or "unknown" if done else "unknown"
