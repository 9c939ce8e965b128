"""Collect the provenance of a cell: versions, commit, machine, time. Only the threads are part of its identity."""

from __future__ import annotations

import datetime
import functools
import platform
import resource
import shutil
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

_PACKAGES = (
    "eden-bench",
    "torch",
    "torchvision",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "opencv-python-headless",
    "scikit-learn",
)


class Clock:
    """Measures time and memory of a piece of work, from construction to ``measured()``."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._start = time.perf_counter()
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        if device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(device)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    def measured(self) -> dict[str, Any]:
        """Return when it started, how long it took, and the peak memory (of this process; of this work on a GPU)."""
        return {"started": self.started, "seconds": round(self.seconds, 3), **peak_memory(self._device)}


def peak_memory(device: str) -> dict[str, int]:
    """Return the peak memory in bytes: of this process and, on a card, of the work since the last ``Clock`` began."""
    kilobytes = 1 if sys.platform == "darwin" else 1024
    found = {"peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobytes}
    if device.startswith("cuda"):
        import torch

        found["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return found


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that can move a score; absent ones are skipped."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = distribution(name).version
        except PackageNotFoundError:
            continue
    return found


@functools.cache
def git_commit() -> str:
    """Return the commit of the source, with "+changes" if files differ; "" outside a checkout."""
    git, root = shutil.which("git"), Path(__file__).absolute().parents[2]
    if git is None or not (root / ".git").exists():
        return ""
    commit = _output(git, "-C", str(root), "rev-parse", "HEAD")
    changed = _output(git, "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return commit + ("+changes" if commit and changed else "")


def machine(device: str, threads: int) -> dict[str, Any]:
    """Return the device, processor and thread count that a cell runs on."""
    import torch

    found: dict[str, Any] = {
        "device": device,
        "device_name": _device_name(device),
        "threads": threads,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
    }
    if device.startswith("cuda"):
        found |= {"deterministic": torch.are_deterministic_algorithms_enabled()}
        found |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return found


def gather(device: str, threads: int) -> dict[str, Any]:
    """Collect the provenance that all cells of a run share."""
    return {"versions": versions(), "git": git_commit(), **machine(device, threads)}


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return _cpu_name()


@functools.cache
def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603 - our own git call
    except (OSError, subprocess.SubprocessError):  # a hanging network disk must not cost a cell
        return ""
    return done.stdout.strip()
