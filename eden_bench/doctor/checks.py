"""Check the machine and the installation for ``eden-bench doctor``. Each failed check names a remedy."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

from eden_bench import devices
from eden_bench.plugins.name_conflicts import HOME, PACKAGES, shadows
from eden_bench.settings import Settings, available_cores

_LOW_DISK_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Check:
    """The result of one check: its name, its state, and a sentence."""

    name: str
    level: Literal["ok", "note", "error"]
    text: str


def examine(settings: Settings) -> Iterator[Check]:
    """Run and yield every check; the slow one, importing torch, comes last."""
    yield _python()
    yield from _packages()
    yield from _folders(settings)
    yield Check("threads", "ok", f"{settings.threads} on {available_cores()} cores ({settings.sources.get('threads')})")
    yield from torch_build(import_module)


def torch_build(load: Callable[[str], object]) -> Iterator[Check]:
    """Check that torch and torchvision load and were built for each other, and list the devices.

    Args:
        load: imports a module by name.
    """
    for name in ("torch", "torchvision"):
        try:
            module = load(name)
        except Exception as error:  # noqa: BLE001, RUF100 - a broken build raises anything
            yield Check(name, "error", _build_remedy(name, error))
            return
        yield Check(name, "ok", str(getattr(module, "__version__", "")))
    yield _bf16()
    yield from _devices()


def _python() -> Check:
    version = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    text = version if fits else f"{version}, expected 3.11 to 3.13: make the virtual environment with one of them"
    return Check("python", "ok" if fits else "error", text)


def _packages() -> Iterator[Check]:
    found = shadows()
    for sentence in found:
        yield Check("packages", "error", sentence)
    if not found:
        yield Check("packages", "ok", f"{', '.join(PACKAGES)} come from {HOME}")


def _folders(settings: Settings) -> Iterator[Check]:
    for name, folder in (("out", settings.out), ("cache", settings.cache)):
        yield _writable(name, folder)
    if settings.data is None:
        yield Check("data", "note", "no folder is set (EDEN_BENCH_DATA): the phantom serves")
    elif settings.data.is_dir():
        yield Check("data", "ok", str(settings.data))
    else:
        yield Check("data", "error", f"{settings.data} ({settings.sources.get('data')}) is not a folder: correct it")


def _writable(name: str, folder: Path) -> Check:
    there = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Check(name, "error", f"{folder} cannot be written ({error.strerror}): choose another with --{name}")
    low = free < _LOW_DISK_BYTES
    remedy = ": free some, a checkpoint takes about 100 MB" if low else ""
    return Check(name, "note" if low else "ok", f"{folder} is writable, {free / 1e9:,.0f} GB free{remedy}")


def _bf16() -> Check:
    found, all_there_are = devices.cpu_instructions(), " or ".join(devices.CPU_PROBES)
    if devices.fast_precision("cpu") == "bfloat16":
        return Check("bf16 on the CPU", "ok", f"{', '.join(found)}: pretraining and fine-tuning run in bf16")
    return Check("bf16 on the CPU", "note", f"no {all_there_are}: pretraining and fine-tuning run in fp32")


def _build_remedy(name: str, error: Exception) -> str:
    first = str(error).partition("\n")[0]
    if "torchvision::" in first:
        return f"{first}: torch and torchvision are of different builds; reinstall both together from one index"
    return f"{name} cannot be imported ({type(error).__name__}: {first}): reinstall torch and torchvision together"


def _devices() -> Iterator[Check]:
    import torch

    count = torch.cuda.device_count()
    for number in range(count):
        properties = torch.cuda.get_device_properties(number)
        yield Check(f"cuda:{number}", "ok", f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    if not count:
        yield Check("devices", "note", "no CUDA device: runs on the CPU")
