"""Store fine-tuned networks that another task of the run inspects: OUT/networks/<cell id>.safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eden_bench.errors import EdenError
from eden_bench.files import atomic

if TYPE_CHECKING:
    from torch import nn


def path_of(out: Path, cell_id: str) -> Path:
    """Return the path of a cell's network, stored or not."""
    return out / "networks" / f"{cell_id}.safetensors"


def encode(network: nn.Module | None, task: str) -> bytes:
    """Encode a network's weights as the bytes of a safetensors file.

    Raises:
        EdenError: the task returned no network.
    """
    from safetensors.torch import save

    weights = returned(network, task).state_dict()
    return save({name: value.detach().cpu().contiguous() for name, value in weights.items()})


def returned(network: nn.Module | None, task: str) -> nn.Module:
    """Return the network of a task's outcome.

    Raises:
        EdenError: the task returned no network.
    """
    if network is None:
        raise EdenError(f"task {task} returns no network, so that no other task can look at it")
    return network


def put(out: Path, cell_id: str, content: bytes) -> None:
    """Store a network's weights.

    Raises:
        StoreFailed: the disk is full or read-only.
    """
    atomic.write_bytes(path_of(out, cell_id), content)


def load(path: Path, network: nn.Module) -> nn.Module:
    """Load stored weights into a network of the same task and return it."""
    from safetensors.torch import load_file

    network.load_state_dict(load_file(path))
    return network.eval()


def names(out: Path) -> set[str]:
    """Return the ids of the cells whose networks are stored."""
    return {path.stem for path in (out / "networks").glob("[!.]*.safetensors")}


def discard(out: Path, cell_id: str) -> None:
    """Delete a network that is no longer needed; it can be trained again."""
    path_of(out, cell_id).unlink(missing_ok=True)
