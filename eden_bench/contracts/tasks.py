"""Tasks: what is scored on which data, and what one run leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder
from eden_bench.contracts.checks import Progress, no_progress
from eden_bench.contracts.datasets import Dataset, DatasetIndex

# ── tasks ────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, kw_only=True)
class ScoreDefinition:
    """The one written definition of a task's primary score."""

    name: str
    """For example "dice"; unless pooled, it is also the column of the cases whose mean it is."""
    text: str
    """What is computed, over what, with which threshold and empty-mask rule."""
    version: int = 1
    """Part of every cell's identity: raise it when the definition changes."""
    decimals: int = 2
    """Digits shown, after scaling to percent."""
    pooled: bool = False
    """It is computed from all cases together, by its text from columns of the cases (counts, or probabilities and
    targets). There need be no column of its name; where there is, as each image's own, its mean is not the score."""
    alternatives: Mapping[str, str] = field(default_factory=dict)
    """What stands beside it in every record: name to definition."""


@dataclass(frozen=True)
class Outcome:
    """What one fine-tuning or probe run leaves."""

    scores: dict[str, float]
    """The primary score (under ``ScoreDefinition.name``) and its alternatives, each in [0, 1]."""
    cases: dict[str, Sequence[Any]]
    """Columns of equal length, one row a test case: "case", "patient", then numbers."""
    training: dict[str, Any] = field(default_factory=dict)
    """Budget, steps taken, best step, validation curve: whatever the reader needs to judge the run."""


class OpenTask(Protocol):
    """A task with its data decoded once, its splits made and its protocol resolved."""

    data: dict[str, Any]
    """Provenance: everything that identifies the data.

    Every task has: "dataset"; "digest" (of the decoded pixels, masks and labels); "splits" (digest of the split
    lists) and "split_rule" (a sentence); "train", "validation", "test" (image counts); "part"; "phantom".
    A task whose cases are the index's test items has "test_list", ``index.split_digest("test")``, by which stored
    audits and pretrainings are recognised as being about the same test images.
    A task that computes in a precision the hardware chooses has "precision", the one chosen, which is part of every
    cell's identity.
    """

    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune (or embed) and score. May change the encoder it is given; repeats bit for bit on a CPU.

        Args:
            encoder: the backbone to start from.
            seed: fixes head initialisation, order, augmentation and the few-shot subset, for all methods alike.
            shots: number of labelled training images; None for all.
        """
        ...


class Task(Protocol):
    """A dataset, a target, a protocol and a primary score. Importing a task must not import torch.

    One that makes a validation list of its own also has ``lists(index, protocol)``, which returns the image ids of
    "train", "validation" and "test" and the rule in words, for ``data splits``.
    """

    name: str
    dataset: str
    kind: Literal["segmentation", "classification", "probe"]
    title: str
    score: ScoreDefinition

    def protocol(self, name: str) -> Any:  # noqa: ANN401 - each kind of task has its own frozen dataclass
        """Return the frozen dataclass of a named protocol ("paper", "quick").

        Raises:
            UsageError: the task has no protocol of that name.
        """
        ...

    def open(self, index: DatasetIndex, protocol: Any, context: Context) -> OpenTask:  # noqa: ANN401
        """Decode the data (or map them from the cache) and make the splits."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where and on what a task or the engine runs."""

    cache: Path
    device: str = "cpu"
    dataset: Dataset | None = None
    progress: Progress = no_progress


class TaskOptions(Protocol):
    """Members that a task may have besides; a name one slip away from one of them is refused."""

    groups: tuple[str, ...]
    """Names of groups it is in, which ``--tasks @NAME`` selects."""

    def lists(self, index: DatasetIndex, protocol: Any) -> tuple[dict[str, list[str]], str]:  # noqa: ANN401
        """Return the image ids of "train", "validation" and "test", and the rule in words."""
        ...
