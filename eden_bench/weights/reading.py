"""Read an untrusted checkpoint: in an isolated child process, with limits on memory and time, without a fallback."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from eden_bench.devices import THREAD_VARIABLES
from eden_bench.errors import WeightsMissing, WeightsRefused
from eden_bench.weights import unpickling
from eden_bench.weights.paths import wrong_folder
from eden_bench.weights.unpickling import SECONDS

if TYPE_CHECKING:
    import torch

_RESAVE = "its weights alone are read, saved by torch.save(model.state_dict(), …) where its code is at hand"
_HOLES_BYTES = 64 << 20
"""Zeros that some copying programs leave out; more than that and than what is stored is a lie."""
_MOST_PIECES = 100_000
_SETTINGS = dict.fromkeys(THREAD_VARIABLES, "1") | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read every tensor of an untrusted checkpoint, by its path in it, dictionaries joined with "/".

    What the child writes has no name, so nothing stays behind however this process ends, and is mapped, not read:
    only the tensors that are used take memory.

    Raises:
        WeightsMissing: there is no such file.
        WeightsRefused: it is no checkpoint, it is damaged, it needs code to be read, or it takes too long.
    """
    from safetensors.torch import load_file

    if wrong := _no_file(path):
        inside = f"; it {wrong_folder(path)}" if path.is_dir() else ""
        raise WeightsMissing(f"{path} {wrong}, expected a checkpoint (.pth, .pt, .tar, .ckpt, .safetensors){inside}")
    with tempfile.TemporaryFile() as file:
        _convert(path, file)
        return dict(sorted(load_file(f"/dev/fd/{file.fileno()}").items()))


def _no_file(path: Path) -> str:
    """Explain why a path is no readable file, "" if it is one; a pipe is never opened, it would wait for ever."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        return f"does not exist ({getattr(error, 'strerror', None) or error})"
    if not stat.S_ISREG(found.st_mode):
        return "is a folder" if stat.S_ISDIR(found.st_mode) else "is no regular file"
    if not os.access(path, os.R_OK):
        return "may not be read (permission denied)"
    return "" if found.st_size else "is empty"


def _convert(path: Path, out: BinaryIO) -> None:
    waiting, alive = os.pipe()
    try:
        done = _run(_command(path.absolute(), _size(path)), waiting, out)
    except subprocess.TimeoutExpired as error:
        raise WeightsRefused(f"{path} takes over {2 * SECONDS} s to read, expected a checkpoint: {_RESAVE}") from error
    finally:
        os.close(waiting)
        os.close(alive)
    if done.returncode:
        why = _reason(done)
        where = "" if unpickling.AGAIN in why else f"; {_RESAVE}"
        raise WeightsRefused(f"{path} cannot be read as weights: {why}{where}")


def stored_bytes(source: Path) -> int:
    """Return the bytes that a file occupies on disk: its size without its holes.

    Not ``st_blocks``, which some file systems report late, packed, or not at all; those know of no holes either.
    """
    end = source.stat().st_size
    if not hasattr(os, "SEEK_DATA"):
        return end
    with source.open("rb") as file:
        return sum(stop - start for start, stop in _extents(file.fileno(), end))


def _extents(file: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the extents of a file that hold data; many small pieces count as one."""
    stop = 0
    for _ in range(_MOST_PIECES):
        try:
            start = os.lseek(file, stop, os.SEEK_DATA)
        except OSError:  # none beyond
            return
        stop = os.lseek(file, start, os.SEEK_HOLE)
        yield start, stop
        if stop >= end:
            return
    yield stop, end


def _size(path: Path) -> int:
    """Return the bytes that a checkpoint has on the disk; raise WeightsRefused if it claims far more."""
    size, claimed = stored_bytes(path), path.stat().st_size
    if claimed > 2 * size + _HOLES_BYTES:
        raise WeightsRefused(
            f"{path} cannot be read as weights: it claims {claimed:,} bytes and has {size:,} on the disk, the others "
            f"are holes: {unpickling.AGAIN}"
        )
    return size


def _command(path: Path, size: int) -> list[str]:
    """Return the child's command line: isolated, so neither the current folder nor PYTHONPATH can slip it a module.

    Where torch was found by other ways, its folder comes last on the child's path.
    """
    import safetensors
    import torch

    folders = [str(Path(str(module.__file__)).parents[1]) for module in (torch, safetensors)]
    return [
        sys.executable,
        "-I",
        "-W",
        "ignore",
        unpickling.__file__,
        str(path),
        str(size),
        *dict.fromkeys(folders),
    ]


def _run(command: list[str], waiting: int, out: BinaryIO) -> subprocess.CompletedProcess[bytes]:
    """Run the child in the root folder, where no user's file shadows a module, without Python's environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(  # noqa: S603 - our own module
        command, stdin=waiting, stdout=out, stderr=subprocess.PIPE, cwd="/", env=kept | _SETTINGS,
        timeout=2 * SECONDS, check=False,
    )  # fmt: skip


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    try:
        return str(json.loads(done.stderr.rpartition(b"\n")[2])["error"])
    except (ValueError, KeyError, TypeError):
        return f"its reader was stopped with code {done.returncode}, out of memory or time"
