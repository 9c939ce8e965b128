"""A stored record, read by attribute."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eden_bench.contracts import NETWORK_OF, Cell, ScoreDefinition
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from eden_bench.files import plain_text
from eden_bench.records import arrays
from eden_bench.records.columns import columns
from eden_bench.records.content import (
    CheckpointFacts,
    Content,
    DataFacts,
    FileFacts,
    Marks,
    MethodFacts,
    PretrainingData,
    Provenance,
    TaskFacts,
    TrainingFacts,
)
from eden_bench.records.shape import parse

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from eden_bench.records.shared import Shared

T = TypeVar("T")
RECORD, CASES, ARRAYS = "record.json", "cases.csv", "arrays.npz"
REMEDY = "issue its 'eden-bench run' again, which keeps this one in superseded/, or put the file back"


class RecordDamaged(DataMissing):
    """A record is invalid or cannot be read; the message names its folder."""


@dataclass(frozen=True)
class Record:
    """One stored cell.

    Attributes:
        folder: where it lies.
        content: ``record.json`` as read.
        shared: holds what the records that were read with it have in common.
        ahead: columns of its cases that were parsed when it was read, by name.
    """

    folder: Path
    content: Mapping[str, Any]
    shared: Shared | None = field(default=None, repr=False, compare=False, kw_only=True)
    ahead: dict[str, np.ndarray] = field(default_factory=dict, repr=False, compare=False, kw_only=True)

    @cached_property
    def facts(self) -> Content:
        """Parse every entry that is read later. Raises Misshapen if one is absent or of another type."""
        return parse(Content, self.content, shared=self.shared)

    @property
    def id(self) -> str:
        """The cell's id, 64 hex digits."""
        return self.facts.id

    @property
    def cell(self) -> Cell:
        """Everything that can change the scores."""
        return self.facts.cell

    @property
    def label(self) -> str:
        """Name of its row: the method's, or that of a protocol's variant."""
        return self.method.variant or self.cell.method

    @cached_property
    def config_digest(self) -> str:
        """Digest of the method's config."""
        return self._once(digest, self.cell.method_config)

    @cached_property
    def protocol_digest(self) -> str:
        """Digest of the protocol without the id of the network that it inspects, which differs for each cell."""
        return self._once(_protocol_digest, self.cell.protocol)

    @property
    def scores(self) -> dict[str, float]:
        """The primary score and its alternatives, in their definitions' units (a share for "%")."""
        return dict(self.facts.scores)

    @cached_property
    def score(self) -> ScoreDefinition:
        """Definition of the primary score."""
        return self._once(ScoreDefinition.from_json, self.content["score"])

    @property
    def value(self) -> float:
        """The primary score."""
        return self.facts.scores[self.facts.score.name]

    @property
    def controls(self) -> Mapping[str, float]:
        """Scores of controls on the same cases, by name."""
        return self.facts.controls

    @property
    def task(self) -> TaskFacts:
        """Title, kind and dataset of the task."""
        return self.facts.task

    @property
    def method(self) -> MethodFacts:
        """Title of the method, and the variant if it ran as one."""
        return self.facts.method

    @property
    def data(self) -> DataFacts:
        """Digests and counts that identify the task's data."""
        return self.facts.data

    @property
    def marks(self) -> Marks:
        """Phantom, quick, part, protocol."""
        return self.facts.marks

    @property
    def checkpoint(self) -> CheckpointFacts:
        """Provenance of the weights."""
        return self.facts.checkpoint

    @cached_property
    def pretraining(self) -> PretrainingData:
        """Data and settings of the pretraining; all empty for weights that were imported."""
        found = self.checkpoint.card.data
        if isinstance(found, Mapping):
            return self._once(_pretraining, found)
        return PretrainingData(digest=str(found or ""))

    @property
    def training(self) -> TrainingFacts:
        """Fine-tuning budget, for tasks that train."""
        return self.facts.training or TrainingFacts()

    @property
    def provenance(self) -> Provenance:
        """Time, device and versions."""
        return self.facts.provenance

    @property
    def phantom(self) -> bool:
        """Whether it was computed on the phantom instead of patients."""
        return self.marks.phantom

    @property
    def protocol(self) -> str:
        """Name of the protocol: "paper", "quick" or the stem of a TOML file."""
        return self.marks.protocol

    @property
    def seconds(self) -> float:
        """Wall-clock time the cell took."""
        return self.provenance.seconds

    def cases(self, only: Collection[str] = ()) -> pd.DataFrame:
        """Read the per-case scores: columns "case", "patient" (text), then numbers, exactly as computed.

        Args:
            only: columns to read, where they are there; none for all.

        Raises:
            RecordDamaged: the file is absent or not the one that was written.
        """
        import pandas as pd

        found = self.columns(only)
        return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in found.items()})

    def columns(self, only: Collection[str] = ()) -> dict[str, np.ndarray]:
        """Read the per-case scores as arrays, by column, text as objects. Arguments and errors as of ``cases``."""
        wanted = [name for name in self.facts.cases.columns if not only or name in only]
        if self.ahead and all(name in self.ahead for name in wanted):
            return {name: self.ahead[name] for name in wanted}
        return columns(self.cases_bytes(), wanted, self.facts.cases.rows)

    def look_ahead(self, wanted: Callable[[Record], Collection[str]], cases: bytes) -> None:
        """Parse the columns that will be asked for, of the file of the cases; none if that fails."""
        with contextlib.suppress(Exception):  # which is told to whoever asks for them
            if names := wanted(self):
                found = [name for name in self.facts.cases.columns if name in names]
                self.ahead.update(columns(cases, found, self.facts.cases.rows))

    def cases_bytes(self) -> bytes:
        """Return the file of the cases.

        Raises:
            RecordDamaged: it is not the one that was written.
        """
        return self._bytes(CASES, self.facts.cases)

    def arrays(self) -> dict[str, np.ndarray]:
        """Read the arrays that the task stored, by name; empty if it stored none.

        Raises:
            RecordDamaged: the file is absent or not the one that was written.
        """
        content = self.arrays_bytes()
        try:
            return arrays.decode(content) if content else {}
        except ValueError as error:
            raise RecordDamaged(f"{self.folder / ARRAYS} cannot be used ({error}): {REMEDY}") from error

    def arrays_bytes(self) -> bytes:
        """Return the file of the arrays, b"" if there is none. Raises RecordDamaged as ``cases_bytes``."""
        return b"" if self.facts.arrays is None else self._bytes(ARRAYS, self.facts.arrays)

    def _once(self, make: Callable[[Any], T], part: Any) -> T:  # noqa: ANN401 - JSON
        """Return what is made of a part of the content; once for all records that share it."""
        return self.shared.once(make, make, part) if self.shared else make(part)

    def _bytes(self, name: str, told: FileFacts) -> bytes:
        path = self.folder / name
        try:
            content = plain_text.read_bytes(path, told.bytes)
        except (OSError, ValueError) as error:
            raise RecordDamaged(f"{path} is not the file that was written ({reason(error)}): {REMEDY}") from error
        if hashlib.sha256(content).hexdigest() != told.sha256:
            raise RecordDamaged(f"{path} is not the file that was written: {REMEDY}")
        return content


def _protocol_digest(protocol: Mapping[str, Any]) -> str:
    return digest({name: value for name, value in protocol.items() if name != NETWORK_OF})


def _pretraining(content: Mapping[str, Any]) -> PretrainingData:
    return parse(PretrainingData, content, "checkpoint.card.data.")


def reason(error: Exception) -> str:
    """Format an error's message; of the operating system's, only the sentence."""
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
