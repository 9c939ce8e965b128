"""Count a step's kernel launches and the share of its time in which the GPU works, by torch's profiler."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.timing import Bar, stated

_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
"""Beginnings of what the runtime calls a launch; a graph is one."""


def hot_loop(id: str, title: str, step: Callable[[], object], device: torch.device, steps: int = 8) -> Bar:
    """Return a bar that states a loop's time, launches and busy share; on a CPU there is nothing to launch."""
    step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    _wait(device)
    seconds = (time.perf_counter() - start) / steps
    launches, worked = _profiled(step, device, steps)
    text = f"{launches:,.0f} launches a step; the GPU works {worked:.1e} s of {seconds:.1e} s, {worked / seconds:.0%}"
    return stated(id, title, text, "a step", seconds)


def _profiled(step: Callable[[], object], device: torch.device, steps: int) -> tuple[float, float]:
    """Return launches a step, and seconds of a step in which at least one kernel runs."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds) as found:
        for _ in range(steps):
            step()
        _wait(device)
    events = found.events() or []
    launches = sum(event.name.startswith(_LAUNCHES) for event in events)
    on_device = [event for event in events if event.device_type != torch.autograd.DeviceType.CPU]
    worked = union((event.time_range.start, event.time_range.end) for event in on_device)
    return launches / steps, worked * 1e-6 / steps


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
