"""Cells: one unit of work each, identified by a digest of everything that can change its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from eden_bench.digests import canonical_json, text_digest

NUMBERS_VERSION = 4
"""Part of the identity of every cell and pretraining. Raise it when a change of code moves scores and no field of a
config shows it: in an encoder, a training loop, an augmentation. A score's definition has its own version."""


NETWORK_OF = "network_of"
"""Entry of a cell's protocol: id of the cell whose fine-tuned network it looks at (``Task.looks_at``)."""

DETERMINISTIC = "deterministic"
"""Entry of a cell's protocol: true where it ran with deterministic operations on a GPU, whose digits are others."""


LATER = MappingProxyType({"later": True})
"""Metadata of a protocol's field that came after records were written and moves nothing at its default: such a field is
part of a cell's id only where it has another value, so that no stored cell is lost to it."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One unit of work: method, checkpoint, task, shots, seed, protocol. Its id hashes all that can change scores."""

    method: str
    method_config: Mapping[str, Any]
    checkpoint: str
    """SHA-256 of the encoder's weights, or "seeded" for weights drawn from the cell's seed."""
    task: str
    data: str
    """Digest of the decoded data."""
    splits: str
    """Digest of the split lists."""
    protocol: Mapping[str, Any]
    shots: int | None
    seed: int
    score_version: int
    threads: int
    """CPU threads: results are bit-identical only at equal counts. 0 on a GPU."""
    code: int = NUMBERS_VERSION
    """``NUMBERS_VERSION`` when it was computed; records without it are left out with a warning."""

    @property
    def id(self) -> str:
        """SHA-256 of everything that can change the scores, 64 hex digits."""
        return self.id_by(canonical_json)

    def id_by(self, serialise: Callable[[object], str]) -> str:
        """Return the id, the cell serialised by what gives the same as ``canonical_json``, faster perhaps."""
        return text_digest(serialise(vars(self)))
