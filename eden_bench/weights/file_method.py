"""Register a user's own weights as a method: ``--methods mine=PATH`` compares a checkpoint of any dialect."""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eden_bench.contracts import EncoderSource, MethodCard, MethodConfig
from eden_bench.errors import UsageError
from eden_bench.registry import Registry
from eden_bench.weights import embeddings
from eden_bench.weights.checkpoints import Checkpoint
from eden_bench.weights.paths import is_there, wrong_folder

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder


@dataclass(frozen=True, kw_only=True)
class FileConfig(MethodConfig):
    """Empty config: weights from a file are identified by their SHA-256, not by their path."""


class FileWeights(EncoderSource):
    """Method that loads its encoder from a user's file; ``register_file`` makes one class a file."""

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
        return self._weights().digest

    def load_encoder(self, seed: int) -> Encoder:
        """Load the encoder, the same for every seed. Raises as ``weights_digest``."""
        from eden_bench.encoders import unfilled_encoder

        found = self._weights()
        encoder = unfilled_encoder(found.arch)
        encoder.load_state_dict(found.weights)
        return encoder

    def told(self) -> dict[str, str]:
        """Return the provenance of the file for a record. Raises as ``weights_digest``."""
        found = self._weights()
        return {"file": self.file, "from": f"a file ({found.arch}; {found.found})", "reads": found.reads}

    def _weights(self) -> _Weights:
        path = Path(self.file).expanduser()
        return _read(path, *_changed(path))


class FileEmbeddings(FileWeights):
    """Method whose vectors are in a user's file; read by frozen protocols alone."""

    probe_only = True
    card = MethodCard(
        title="Embeddings from a file",
        paper="none: brought along by the user",
        licence="the file's own",
        backbone="not at hand",
        data="not known here",
        differences=("it was embedded elsewhere: what its user did to the images is not checked beyond their pixels",),
    )

    def weights_digest(self) -> str:
        """Return the SHA-256 of the file.

        Raises:
            WeightsMissing: there is no such file.
            WeightsRefused: it is no file of embeddings.
        """
        return self._found().digest

    def load_encoder(self, seed: int) -> Encoder:
        """Return the encoder that looks vectors up, the same for every seed. Raises as ``weights_digest``."""
        return embeddings.encoder_of(self._found())

    def told(self) -> dict[str, str]:
        """Return the provenance of the file for a record. Raises as ``weights_digest``."""
        found = self._found()
        return {"file": self.file, "from": f"embeddings of {found.model}, weights {found.weights[:12] or 'not told'}"}

    def _found(self) -> embeddings.Embeddings:
        path = Path(self.file).expanduser()
        return embeddings.read(path, *_changed(path))


@dataclass(frozen=True)
class _Weights:
    digest: str
    arch: str
    weights: dict[str, Any]
    found: str
    """Where in the file, and how much of the encoder."""
    reads: str
    """How its own embedding is pooled, and of which norm: part of what each number of it means."""


def register_file(registry: Registry, text: str, taken: Collection[str] = ()) -> str:
    """Register NAME=PATH as a method and return the name.

    Args:
        registry: of the methods.
        text: NAME=PATH.
        taken: names that mean something else in the same command.

    Raises:
        UsageError: there is no name or no path, or the name is another method's.
    """
    name, _, file = text.partition("=")
    if not name or not file or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UsageError(f"--methods {text!r}: expected NAME=PATH, the name of letters, digits, '-', '_' and '.'")
    known = registry.get(name) if name in registry.names() else FileWeights
    if name in taken or not issubclass(known, FileWeights):
        raise UsageError(f"--methods {text!r}: {name!r} is already a method here: choose another name for your weights")
    kind = FileEmbeddings if file.endswith(embeddings.ENDING) else FileWeights
    registry.register(name, type(name, (kind,), {"file": file, "__module__": __name__}), module=__name__)
    return name


def refuse_missing(text: str) -> None:
    """Validate that NAME=PATH holds a checkpoint, so that a slip ends the command instead of skipping a method.

    Raises:
        UsageError: there is nothing there, or a folder of something else.
    """
    path = path_of(text)
    if not is_there(path):
        raise UsageError(
            f"--methods {text!r}: {path} does not exist, expected a checkpoint or a folder of one; commas separate "
            "methods, so a path with one must exist as it is written"
        )
    if path.is_dir() and not Checkpoint(path).exists:
        raise UsageError(f"--methods {text!r}: {path} {wrong_folder(path)}")


def path_of(text: str) -> Path:
    """Return the path of NAME=PATH."""
    return Path(text.partition("=")[2]).expanduser()


def _changed(path: Path) -> tuple[int, int]:
    """Return size and time of change, the key of the cache: a file that was replaced is read again."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return 0, 0
    return found.st_size, found.st_mtime_ns


@functools.lru_cache(maxsize=4)
def _read(path: Path, size: int, changed: int) -> _Weights:
    """Read and cache a file's weights for all cells; warn if the encoder is not whole."""
    from eden_bench.encoders import tensors_digest
    from eden_bench.weights.importing import import_weights

    if path.is_dir():
        checkpoint = Checkpoint(path)
        encoder = checkpoint.load_encoder()
        weights = dict(encoder.state_dict())
        return _Weights(
            tensors_digest(weights),
            encoder.arch,
            weights,
            f"a checkpoint folder{_untrained(checkpoint.card)}",
            encoder.reads,
        )
    imported = import_weights(path)
    coverage = imported.coverage
    if coverage.lack:
        print(f"warning: {coverage.lack}", file=sys.stderr)  # noqa: T201
    found = f"{coverage.dialect}: {coverage.matched} of {coverage.expected} entries"
    return _Weights(tensors_digest(imported.weights), coverage.arch, imported.weights, found, coverage.reads)


def _untrained(card: dict[str, Any]) -> str:
    """Return the warning that imported weights were never trained, "" if they were."""
    imported = card.get("imported")
    coverage = imported.get("coverage") if isinstance(imported, dict) else None
    return ", untrained" if isinstance(coverage, dict) and coverage.get("untrained") else ""
