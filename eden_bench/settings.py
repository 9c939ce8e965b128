"""Resolve the settings: folders of data, results and cache, device and threads.

Precedence: flag, ``EDEN_BENCH_*``, ``./eden-bench.toml``, default. Each value remembers which of them it came
from, so that ``eden-bench paths`` can say it. An empty environment variable counts as not set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eden_bench.errors import DataMissing, UsageError, nearest
from eden_bench.files import plain_text

FILE = "eden-bench.toml"
NAMES = (
    "data",
    "out",
    "cache",
    "device",
    "threads",
    "weights",
    "splits",
    "track",
    "at_once",
    "deterministic",
    "speedups",
)
SPEEDUPS = ("compile", "tune")
"""What pretraining may be asked for besides (``pretrain.engine.speedups``)."""
_MOST = 4_096
"""Threads, or seeds at once."""
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The resolved settings of one command."""

    data: Path | None
    """Root of the datasets' folders; None where the phantom serves."""
    out: Path
    """Records, checkpoints and reports."""
    cache: Path
    device: str
    """"auto", "cpu", "mps", "cuda" or "cuda:N"; see ``resolve_device``."""
    threads: int
    weights: Path | None = None
    """Folder of published weights; None: only torch's own cache is looked in."""
    splits: Path | None = None
    """Folder of the user's own list files, <dataset>/train.txt and so on; None: each dataset's own split."""
    track: str | None = None
    """Names of trackers, commas between; None: nothing is sent anywhere."""
    at_once: int = 1
    """Seeds of a pack that a fine-tuning on a GPU may train at once."""
    deterministic: bool = False
    """Every operation gives the same digits twice, or fails."""
    speedups: tuple[str, ...] = ()
    """Of ``SPEEDUPS``, sorted; part of what a pretraining is."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Name of a setting to where its value came from, in words."""


def resolve(**flags: object) -> Settings:
    """Resolve the settings and validate that the folders of data and of lists exist.

    Args:
        flags: values given on the command line, by name; None for those not given.

    Raises:
        UsageError: a value or a key of eden-bench.toml means nothing.
        DataMissing: one of the folders does not exist.
    """
    settings = gather(**flags)
    if settings.data is not None and not os.path.isdir(settings.data):  # noqa: PTH112 - Path.is_dir raises on EACCES
        raise DataMissing(
            f"{settings.sources['data']}: {settings.data} is not a folder: make it the folder that holds the datasets, "
            "or leave it out to use the phantom"
        )
    if settings.splits is not None and not os.path.isdir(settings.splits):  # noqa: PTH112 - as above
        raise DataMissing(
            f"{settings.sources['splits']}: {settings.splits} is not a folder: make it the folder that holds "
            "<dataset>/train.txt and <dataset>/test.txt, as 'eden-bench data splits NAME --out FOLDER' writes them"
        )
    return settings


def gather(**flags: object) -> Settings:
    """Resolve the settings without validating the folders; for commands that need no data.

    Raises:
        UsageError: as ``resolve``.
    """
    for name in flags:
        if name not in NAMES:
            raise UsageError(f"unknown setting {name!r}.{nearest(name, NAMES)} Known: {', '.join(NAMES)}.")
    file = _read_file(Path(FILE))
    chosen = {name: _choose(name, flags.get(name), file) for name in NAMES}
    sources = {name: source for name, (_, source) in chosen.items()}
    data, out, cache, device, threads, weights, splits, track, at_once, fixed, fast = (v for v, _ in chosen.values())
    return Settings(
        data=None if data is None else _path(data, sources["data"]),
        out=_path("runs" if out is None else out, sources["out"]),
        cache=_default_cache() if cache is None else _path(cache, sources["cache"]),
        device="auto" if device is None else _device(device, sources["device"]),
        threads=available_cores() if threads is None else _count(threads, sources["threads"], "threads"),
        weights=None if weights is None else _path(weights, sources["weights"]),
        splits=None if splits is None else _path(splits, sources["splits"]),
        track=None if track is None else _names(track, sources["track"]),
        at_once=1 if at_once is None else _count(at_once, sources["at_once"], "at_once"),
        deterministic=fixed is not None and _switch(fixed, sources["deterministic"]),
        speedups=() if fast is None else _speedups(fast, sources["speedups"]),
        sources=sources,
    )


def resolve_device(device: str) -> str:
    """Resolve a device name for torch: "auto" becomes "cuda" if available, else "cpu". Imports torch.

    Raises:
        UsageError: the device named is not on this machine.
    """
    if device == "cpu":
        return device
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    there = torch.backends.mps.is_available() if kind == "mps" else int(number or 0) < torch.cuda.device_count()
    if not there:
        raise UsageError(
            f"device {device!r} is not on this machine ({torch.cuda.device_count()} CUDA devices): use --device cpu"
        )
    return device


def available_cores() -> int:
    """Count the physical cores this process may run on, at least 1; hardware threads of one core count once."""
    if not hasattr(os, "sched_getaffinity"):
        return os.cpu_count() or 1
    return max(1, len({_siblings(number) for number in os.sched_getaffinity(0)}))


def _siblings(number: int) -> str:
    """Return the hardware threads that share a core with CPU number, as the kernel writes them."""
    try:
        return Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").read_text()
    except OSError:
        return str(number)


def _choose(name: str, flag: object, file: Mapping[str, Any]) -> tuple[object, str]:
    variable = f"EDEN_BENCH_{name.upper()}"
    if flag is not None:
        return flag, f"flag --{name.replace('_', '-')}"
    if os.environ.get(variable):
        return os.environ[variable], variable
    if name in file:
        return file[name], FILE
    return None, "default"


def _read_file(path: Path) -> dict[str, Any]:
    if not os.path.lexists(path):
        return {}
    import tomllib

    try:
        content = tomllib.loads(plain_text.read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path}: {error}") from error
    for key in content:
        if key not in NAMES:
            raise UsageError(f"{path}: unknown key {key!r}.{nearest(key, NAMES)} Known: {', '.join(NAMES)}.")
    return content


def _path(value: object, source: str) -> Path:
    if not isinstance(value, str | Path):
        raise UsageError(f"{source}: expected a path, not {value!r}")
    try:
        path = Path(value).expanduser().absolute()
        str(path).encode()
    except RuntimeError as error:
        raise UsageError(f"{source}: {value}: {error}") from error
    except UnicodeEncodeError as error:  # its records name it
        raise UsageError(f"{source}: {os.fsencode(path)!r} is no UTF-8: choose a folder whose name is") from error
    return path


def _switch(value: object, source: str) -> bool:
    known = {"1": True, "true": True, "0": False, "false": False}
    if str(value).lower() not in known:
        raise UsageError(f"{source}: expected 1, true, 0 or false, not {value!r}")
    return known[str(value).lower()]


def _names(value: object, source: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{source}: expected names with commas between, not {value!r}")
    return value


def _speedups(value: object, source: str) -> tuple[str, ...]:
    asked = sorted({name.strip() for name in _names(value, source).split(",")})
    for name in asked:
        if name not in SPEEDUPS:
            raise UsageError(
                f"{source}: unknown speed-up {name!r}.{nearest(name, SPEEDUPS)} Known: {', '.join(SPEEDUPS)}."
            )
    return tuple(asked)


def _device(value: object, source: str) -> str:
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise UsageError(f"{source}: device must be auto, cpu, mps, cuda or cuda:N, not {value!r}")
    return value


def _count(value: object, source: str, name: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or int(text[:9]) < 1:
        raise UsageError(f"{source}: {name} must be a whole number of at least 1, not {value!r}")
    if len(text) > len(str(_MOST)) or int(text) > _MOST:
        raise UsageError(f"{source}: {name} is {text[:20]}, expected at most {_MOST:,}")
    return int(text)


def _default_cache() -> Path:
    import platformdirs

    return Path(platformdirs.user_cache_dir("eden-bench", appauthor=False)).absolute()
