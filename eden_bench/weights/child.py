"""The child process that unpickles: ``python -m eden_bench.weights.child IN OUT`` turns a checkpoint into safetensors.

Only ``torch.load(weights_only=True)`` reads pickles, so no code of the file runs; limits on memory, time and the size
of files hold whatever a file claims. The names of nested dictionaries are joined with "/", so that a state dictionary
inside a checkpoint keeps its own dotted names.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_DEEPEST = 8
_MOST_TENSORS = 50_000
_DATA_BYTES = 4 << 30
SECONDS = 120


def main() -> int:
    """Convert; on failure print one line of JSON with the reason."""
    source, target = (Path(argument) for argument in sys.argv[1:3])
    limit(source)
    try:
        convert(source, target)
    except Exception as error:  # noqa: BLE001, RUF100 - the edge: whatever a hostile file raises becomes one sentence
        reason = " ".join(str(error).split()) or type(error).__name__
        sys.stdout.write(json.dumps({"error": _told(reason)}))
        return 1
    return 0


def limit(source: Path) -> None:
    """Bound this process's memory, CPU time and output."""
    import resource

    size = source.stat().st_size
    for what, most in (
        (resource.RLIMIT_DATA, _DATA_BYTES + 6 * size),
        (resource.RLIMIT_CPU, SECONDS),
        (resource.RLIMIT_FSIZE, _DATA_BYTES + 2 * size),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def convert(source: Path, target: Path) -> None:
    """Write every tensor of a checkpoint to a safetensors file, under its path in the checkpoint.

    Raises:
        ValueError: it holds no tensors, or more than any checkpoint does.
    """
    from safetensors.torch import save_file

    tensors = dict(_tensors(read(source), ""))
    if not tensors:
        raise ValueError("it holds no tensors")
    save_file(tensors, target)


def read(source: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    """Read safetensors, or a pickle of plain types and tensors."""
    import torch
    from safetensors.torch import load_file

    with source.open("rb") as file:
        start = file.read(9)
    if start[8:9] == b"{":
        return load_file(source)
    with torch.serialization.safe_globals([argparse.Namespace, *_numpy_scalars()]):
        return torch.load(source, map_location="cpu", weights_only=True)


def _numpy_scalars() -> list[Any]:
    """What a NumPy number in a checkpoint (best_acc, say) is pickled as: constructors of plain values."""
    import numpy as np
    from numpy._core import multiarray

    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "b1")]
    return [multiarray.scalar, (multiarray.scalar, "numpy.core.multiarray.scalar"), np.dtype, *dtypes]


def _tensors(value: Any, path: str, depth: int = 0) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    import torch

    if isinstance(value, torch.Tensor):
        yield path, _plain(value, path)
    elif isinstance(value, Mapping) and depth < _DEEPEST:
        if len(value) > _MOST_TENSORS:
            raise ValueError(f"{path or 'it'} has {len(value):,} entries, expected at most {_MOST_TENSORS:,}")
        for name, inner in value.items():
            if isinstance(name, str) and name != "optimizer":
                yield from _tensors(inner, f"{path}/{name}" if path else name, depth + 1)


def _plain(value: Any, path: str) -> Any:  # noqa: ANN401 - a tensor
    """Return a tensor with memory of its own; one that claims more than it stores is refused."""
    if value.layout.__str__() != "torch.strided" or value.is_quantized or value.is_meta:
        raise ValueError(f"{path} is not a dense tensor")
    if value.numel() * value.element_size() > 2 * value.untyped_storage().nbytes() + 64:
        raise ValueError(f"{path} claims {value.numel():,} values and stores fewer")
    return value.detach().clone(memory_format=_contiguous())


def _contiguous() -> Any:  # noqa: ANN401
    import torch

    return torch.contiguous_format


def _told(reason: str) -> str:
    """Cut torch's advice to load without protection."""
    for advice in ("In PyTorch 2.6", "Please file an issue", "Check the documentation", "(1) "):
        reason = reason.partition(advice)[0]
    return reason.strip()[:300]


if __name__ == "__main__":
    sys.exit(main())
