"""A user's own weights as a method: ``--methods mine=PATH`` puts a checkpoint of any dialect into the table."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import MethodCard
from eden_bench.errors import UsageError
from eden_bench.registry import Registry

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder


@dataclass(frozen=True, kw_only=True)
class FileConfig:
    """Nothing: the digest of the weights, not their path, says whether two are the same."""


class FileWeights:
    """An encoder from a file that its user brings along; ``register_file`` makes one class a file."""

    file = ""
    """A checkpoint, or a folder that ``import-weights`` wrote."""
    Config = FileConfig
    card = MethodCard(
        title="Weights from a file",
        paper="none: brought along by the user",
        licence="the file's own",
        backbone="as detected in the file",
        data="not known here",
        differences=("what it was pretrained on, and whether that overlaps a test set, only its user knows",),
    )

    def __init__(self, config: FileConfig) -> None:
        self.config = config

    def weights_digest(self) -> str:
        """Return the SHA-256 of the encoder's weights; equal whichever dialect they came in.

        Raises:
            WeightsMissing: there is no such file.
            WeightsRefused: it cannot be read, or holds too little of a known encoder.
        """
        return _read(*_identity(self.file))[0]

    def load_encoder(self, seed: int) -> Encoder:
        """Return the encoder, whatever the seed. Raises as ``weights_digest``."""
        from eden_bench.encoders import build_encoder

        _, arch, weights = _read(*_identity(self.file))
        encoder = build_encoder(arch, seed=0)
        encoder.load_state_dict(weights)
        return encoder


def register_file(registry: Registry, text: str) -> str:
    """Register NAME=PATH as a method and return the name.

    Raises:
        UsageError: there is no name or no path, or the name is another method's.
    """
    name, _, file = text.partition("=")
    if not name or not file or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--methods {text!r}: expected NAME=PATH, the name of letters, digits, '-', '_' and '.'")
    if name in registry.names() and not issubclass(registry.get(name), FileWeights):
        raise UsageError(f"--methods {text!r}: {name!r} is a method here: choose another name for your weights")
    registry.register(name, type(name, (FileWeights,), {"file": file, "__module__": __name__}), module=__name__)
    return name


def _identity(file: str) -> tuple[str, int, int]:
    """Return a path with size and time of change, so that a file that was replaced is read again."""
    try:
        found = Path(file).stat()
    except OSError:
        return file, 0, 0
    return file, found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _read(file: str, size: int, changed: int) -> tuple[str, str, dict[str, Any]]:
    """Return digest, architecture and weights, read once for all cells."""
    from eden_bench.checkpoints import Checkpoint
    from eden_bench.weights.importing import import_weights

    path = Path(file)
    if path.is_dir():
        encoder = Checkpoint(path).load_encoder()
        return _digest(encoder.state_dict()), encoder.arch, dict(encoder.state_dict())
    imported = import_weights(path)
    return _digest(imported.weights), imported.coverage.arch, imported.weights


def _digest(weights: dict[str, Any]) -> str:
    sha = hashlib.sha256()
    for name, value in sorted(weights.items()):
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.contiguous().numpy().tobytes())
    return sha.hexdigest()
