"""Choose the precision of a device, set CPU threads, make torch deterministic, free GPU memory."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from eden_bench.errors import UsageError

Precision = Literal["float32", "bfloat16"]
CPU_PROBES: Mapping[str, str] = {"AMX": "_is_amx_tile_supported", "AVX512-bf16": "_is_avx512_bf16_supported"}
"""Instructions of a processor that multiply bfloat16 faster than float32, and torch's question for each."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What OpenMP, MKL and OpenBLAS read as they are loaded."""

_NO_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What RuntimeErrors say of it: CUDA and MPS, torch's CPU allocator, cuBLAS."""

_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"


def fast_precision(device: str) -> Precision:
    """Return "bfloat16" if a kind of device multiplies it faster than float32; the one rule of every run.

    Args:
        device: as torch writes it; a number behind a colon does not matter.
    """
    import torch

    kind = device.partition(":")[0]
    if kind == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    return "bfloat16" if kind == "cpu" and cpu_instructions() else "float32"


def cpu_instructions() -> list[str]:
    """Name the instructions of this processor that multiply bfloat16, as torch sees them."""
    import torch

    return [name for name, probe in CPU_PROBES.items() if getattr(torch.cpu, probe, bool)()]


@contextlib.contextmanager
def cpu_threads(threads: int) -> Iterator[None]:
    """Set the number of CPU threads of torch, BLAS and OpenMP inside the block; restore it after.

    What is loaded already is told; what is loaded later, as SciPy's BLAS may be, reads its variable.
    """
    import torch
    from threadpoolctl import threadpool_limits

    before, variables = torch.get_num_threads(), {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        with threadpool_limits(threads):
            torch.set_num_threads(threads)
            yield
    finally:
        torch.set_num_threads(before)
        _restore(variables)


def _restore(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def be_deterministic() -> None:
    """Make every operation of this process give the same digits twice, or raise; must come before CUDA starts.

    Raises:
        UsageError: CUDA has started, and its products were not asked to be deterministic before.
    """
    import torch

    if torch.cuda.is_initialized() and _CUBLAS not in os.environ:  # type: ignore[no-untyped-call]
        raise UsageError(f"--deterministic came after CUDA had started: set {_CUBLAS}=:4096:8 before, or begin anew")
    os.environ.setdefault(_CUBLAS, ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True


def is_deterministic(device: str) -> bool:
    """Return whether digits of a device follow from ``be_deterministic``: a CPU's are the same with and without."""
    if device.startswith("cpu"):
        return False
    import torch

    return torch.are_deterministic_algorithms_enabled()


def undetermined_operation(error: BaseException) -> str:
    """Return a sentence that names the operation for which torch knows no deterministic way; "" for other errors."""
    if not isinstance(error, RuntimeError):
        return ""
    found = re.match(r"(\S+) does not have a deterministic implementation", str(error))
    name = (
        found[1] if found else "a matrix product of cuBLAS" * ("not deterministic because it uses CuBLAS" in str(error))
    )
    return name and f"{name} gives other digits each time on this device: leave out --deterministic, or run on the CPU"


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: Python's, NumPy's, or one of torch's allocators."""
    told = isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or told


def free_device_memory(device: str) -> None:
    """Release cached GPU memory after work on it failed."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
