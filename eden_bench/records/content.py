"""Schema of a record, section by section: the fields that are read later, with their types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from eden_bench.contracts import Cell
from eden_bench.records.shape import DIGITS, NUMBERS, SECONDS, STAGES, VALUES


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """Section "task"."""

    title: str
    kind: str
    dataset: str
    repeats: str = "seeds"
    looks_at: str = ""
    ceilings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MethodFacts:
    """Section "method"."""

    name: str = ""
    title: str = ""
    headline: bool = False
    variant: str = ""
    """Name of the protocol's variant that it ran as."""
    groups: tuple[str, ...] = ()
    """Groups that the method is in; "controls" are what a property is claimed against."""
    paper: str = ""
    licence: str = ""
    """Of the original code and weights."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """Section "data": what identifies the task's data, and counts."""

    train: int | None = None
    validation: int | None = None
    test: int | None = None
    test_list: str | None = None
    labels: tuple[str, ...] | None = None
    labels_without_auc: tuple[str, ...] | None = None
    structures: tuple[str, ...] | None = None
    shared_labels: Mapping[str, Any] | None = None
    """Of an external validation: finding to the labels of the network's own dataset that stand for it."""

    @property
    def counts(self) -> str:
        """Image counts in words, for example "112 train, 12 validation, 123 test"."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return ", ".join(f"{count} {name}" for name, count in named.items() if count is not None)


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Section "marks": phantom, quick, part, protocol, which restrict what a number means."""

    phantom: bool
    quick: bool
    protocol: str
    base: str
    part: str | None = None


@dataclass(frozen=True, kw_only=True)
class PretrainingData:
    """Data that a checkpoint was pretrained on."""

    digest: str = ""
    dataset: str = ""
    phantom: bool = False
    part: str | None = None
    images: int | None = None
    train_list: str = ""
    test_list: str | None = None


@dataclass(frozen=True, kw_only=True)
class Card:
    """Part of a checkpoint's card that a record repeats."""

    arch: str | None = None
    data: Any = None
    """``PretrainingData`` as JSON; other engines may store a bare digest."""
    seed: int | None = None
    epochs: int | None = None
    images_seen: int | None = None
    views: int | None = None
    precision: str | None = None
    processes: int | None = None
    selected: Mapping[str, Any] | None = None
    stages: Annotated[tuple[Mapping[str, Any], ...], STAGES] | None = None
    normalisation: Annotated[tuple[Any, ...], VALUES] | None = None
    augmentation: Any = None


NO_CARD = Card()
"""Of weights that were brought along."""


@dataclass(frozen=True, kw_only=True)
class CheckpointFacts:
    """Section "checkpoint": provenance of the weights."""

    digest: str = ""
    folder: str = ""
    file: str | None = None
    """Path of weights that were named on the command line."""
    card: Card = field(default_factory=lambda: NO_CARD)


@dataclass(frozen=True, kw_only=True)
class TrainingFacts:
    """Section "training": the part that reports use."""

    steps_planned: int = -1
    """-1 where the task trains nothing."""
    one_value_in_training: tuple[str, ...] | None = None
    thresholds: Annotated[Mapping[str, float], NUMBERS] | None = None
    """Label to the probability from which it is positive, of the highest F1 on the validation images; {} where none
    validated, None of a record from before there were any."""


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """A file beside the record: its digest and size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CasesFacts(FileFacts):
    """Section "cases"."""

    rows: int
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Section "provenance": machine, versions and time of a cell; only the threads are part of its id."""

    seconds: Annotated[float, SECONDS]
    started: str = ""
    device: str = ""
    device_name: str = ""
    threads: int = -1
    peak_memory_bytes: int = 0
    """Of the process up to then; 0 where it was not measured."""
    peak_device_memory_bytes: int = 0
    """Of this cell on a card; 0 on a processor."""
    versions: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ScoreFacts:
    """Section "score", parsed by ``ScoreDefinition.from_json``."""

    name: str
    text: str
    version: int
    decimals: Annotated[int, DIGITS]
    alternatives: Mapping[str, Any]
    pooled: bool = False
    """Of schema 2, which named no statistic."""
    unit: str = "%"
    higher_is_better: bool = True
    statistic: str = "mean"


@dataclass(frozen=True, kw_only=True)
class Content:
    """Content of ``record.json``."""

    id: str
    cell: Cell
    scores: Annotated[Mapping[str, float], NUMBERS]
    score: ScoreFacts
    cases: CasesFacts
    task: TaskFacts
    data: DataFacts
    marks: Marks
    checkpoint: CheckpointFacts
    provenance: Provenance
    method: MethodFacts = field(default_factory=MethodFacts)
    training: TrainingFacts | None = None
    controls: Annotated[Mapping[str, float], NUMBERS] = field(default_factory=dict)
    arrays: FileFacts | None = None
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class FailureContent:
    """Content of a file of ``failures/``."""

    what: str | None = None
    kind: str | None = None
    method: str | None = None
    error: str | None = None
    command: str | None = None
    tasks: tuple[str, ...] | None = None
