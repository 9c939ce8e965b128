"""Choose the precision of a device, set CPU threads, free GPU memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Literal

Precision = Literal["float32", "bfloat16"]
CPU_PROBES: Mapping[str, str] = {"AMX": "_is_amx_tile_supported", "AVX512-bf16": "_is_avx512_bf16_supported"}
"""Instructions of a processor that multiply bfloat16 faster than float32, and torch's question for each."""

_NO_MEMORY = ("out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED")
"""What RuntimeErrors say of it: CUDA and MPS, torch's CPU allocator, cuBLAS."""


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
    """Set the number of torch's CPU threads inside the block; restore it after."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out: Python's, NumPy's, or one of torch's allocators."""
    told = isinstance(error, RuntimeError) and any(text in str(error) for text in _NO_MEMORY)
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or told


def free_device_memory(device: str) -> None:
    """Release cached GPU memory after work on it failed."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
