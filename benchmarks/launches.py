"""Count a step's kernel launches, the share of its time in which the GPU works, and where it makes the host wait.

Launches and work come from torch's profiler, waits from its debug mode of synchronisations, which names the line.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import Bar, stated

_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
"""Beginnings of what the runtime calls a launch; a graph is one."""
_NOT_WORK = ("Context Sync", "Stream Sync", "Event Sync", "Stream Wait", "Event Record")
"""Beginnings of what the profiler sets beside kernels on the device though nothing runs."""
_PLACES = 3
"""Places that are named at most."""


def hot_loop(id: str, title: str, step: Callable[[], object], device: torch.device, steps: int = 8) -> Bar:
    """Return a bar that states a loop's time, launches, busy share and waits; on a CPU there is nothing to launch."""
    step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    seconds = (time.perf_counter() - start) / steps
    launches, worked = _profiled(step, device, steps)
    text = f"{launches:,.0f} launches a step; the GPU works {worked:.1e} s of {seconds:.1e} s, {worked / seconds:.0%}"
    bound = "" if device.type == "cpu" else f", {_bound(worked / seconds)}"
    return stated(id, title, f"{text}{bound}; {_waits(step)}", "a step", seconds)


def _bound(share: float) -> str:
    """Say what a step's time is bound by, from the share of it in which the GPU works."""
    return "bound by the GPU" if share > 0.9 else "bound by the host that issues it" if share < 0.6 else "bound by both"


def _profiled(step: Callable[[], object], device: torch.device, steps: int) -> tuple[float, float]:
    """Return launches a step, and seconds of a step in which at least one kernel runs or memory is copied.

    On a card the host's operations are not recorded: of thousands a step each would cost more than it takes.
    """
    kind = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[kind]) as found:
        for _ in range(steps):
            step()
        _wait(device)
    events = found.events() or []
    launches = sum(event.name.startswith(_LAUNCHES) for event in events)
    worked = union((event.time_range.start, event.time_range.end) for event in events if _is_work(event))
    return launches / steps, worked * 1e-6 / steps


def _is_work(event: Any) -> bool:  # noqa: ANN401 - torch.autograd.profiler_util.FunctionEvent
    """Return whether the device works in an event: no wait, nor the span of a named region."""
    on_device = event.device_type != torch.autograd.DeviceType.CPU  # type: ignore[attr-defined]
    return on_device and not event.is_user_annotation and not event.name.startswith(_NOT_WORK)


def _waits(step: Callable[[], object]) -> str:
    """Say how often the host waits for the GPU in a step, and on which lines most."""
    if not torch.cuda.is_initialized():
        return "no waits"
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            step()
        finally:
            torch.cuda.set_sync_debug_mode(before)
    return waits_of(told)


def waits_of(told: Iterable[warnings.WarningMessage]) -> str:
    """Count what torch warned of as waiting, by the line that did it."""
    places = Counter(
        f"{Path(each.filename).name}:{each.lineno}" for each in told if "synchronizing CUDA" in str(each.message)
    )
    most = ", ".join(f"{place} {count}x" for place, count in places.most_common(_PLACES))
    return f"the host waits {places.total()} times a step ({most})" if places else "no waits"


def union(spans: Iterable[tuple[float, float]]) -> float:
    """Return the length that spans cover together; where several overlap it counts once."""
    total, end = 0.0, float("-inf")
    for first, last in sorted(spans):
        total += max(0.0, last - max(first, end))
        end = max(end, last)
    return total


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
