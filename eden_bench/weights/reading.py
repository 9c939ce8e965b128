"""Reading a checkpoint that nobody has checked: in a child process, with limits, and without a fallback."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.weights.child import SECONDS

if TYPE_CHECKING:
    import torch

_RESAVE = "save its weights alone with torch.save(model.state_dict(), …) where it was made"
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of a checkpoint by its path in it, dictionaries joined with "/".

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it is no checkpoint, it is damaged, it needs code to be read, or it takes too long.
    """
    from safetensors.torch import load

    if wrong := _no_file(path):
        raise WeightsMissing(f"{path} {wrong}, expected a checkpoint (.pth, .pt, .tar, .ckpt, .safetensors)")
    with tempfile.TemporaryDirectory(prefix="eden-bench-weights-") as folder:
        target = Path(folder) / "tensors.safetensors"
        _convert(path, target)
        return dict(sorted(load(target.read_bytes()).items()))


def _no_file(path: Path) -> str:
    """Say what stands where a file should, "" where one does; a pipe is never opened, it would wait for ever."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        return f"does not exist ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(found.st_mode):
        return "is a folder" if stat.S_ISDIR(found.st_mode) else "is no regular file"
    if not os.access(path, os.R_OK):
        return "may not be read (permission denied)"
    return "" if found.st_size else "is empty"


def _convert(path: Path, target: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "eden_bench.weights.child", str(path.absolute()), str(target)]
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            command, capture_output=True, text=True, timeout=2 * SECONDS, env={**os.environ, **_THREADS}, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsRefused(f"{path} takes over {2 * SECONDS} s to read, expected a checkpoint: {_RESAVE}") from error
    if done.returncode or not target.is_file():
        raise WeightsRefused(f"{path} cannot be read as weights: {_reason(done)}; or {_RESAVE}")


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    try:
        return str(json.loads(done.stdout)["error"])
    except (ValueError, KeyError, TypeError):
        return f"its reader was stopped with code {done.returncode}, out of memory or time"
