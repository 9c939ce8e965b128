"""Tasks: the contract of fine-tuning tasks and probes, and of the outcome of a run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from eden_bench.encoders import Encoder
from eden_bench.contracts.checks import Progress, no_progress
from eden_bench.contracts.datasets import Dataset, DatasetIndex
from eden_bench.contracts.scores import ScoreDefinition

Seeds = Literal["seeds", "once"]
Kind = Literal["segmentation", "classification", "probe"]


class Shared(NamedTuple):
    """How a seed shared a device with others of its pack."""

    at_once: int
    """Seeds that were under way at a time."""
    seconds: float
    """Its share of the wall clock; those of a pack add up to it."""


@dataclass(frozen=True)
class Outcome:
    """Result of one fine-tuning or probe run: scores, cases, training, controls, arrays."""

    scores: Mapping[str, float]
    """The primary score (under ``ScoreDefinition.name``) and its alternatives, each within its bounds."""
    cases: Mapping[str, Sequence[Any]]
    """Columns of equal length, one row a test case: "case", "patient", then numbers."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """Budget, steps taken, best step, validation curve: whatever the reader needs to judge the run."""
    controls: Mapping[str, float] = field(default_factory=dict)
    """What controls score by the primary definition on the same cases, by name: "chance", "copy the coordinates". One
    whose name has the word oracle is a ceiling, all others are floors of what a report lets a row claim. A column of
    the cases with a control's name, or "<score>_of_<its_name>", pairs it with the row; else it is a fixed number."""
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Numeric arrays that figures are drawn from, by name; stored beside the record, 64 MB in all at most."""
    masks: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    """The predicted masks of all cases (``eden_bench.records.masks.bundle``); stored only where they were asked for."""
    network: nn.Module | None = field(default=None, compare=False)
    """The fine-tuned network, weights of the tested step, where another task may look at it. Kept on disk only where
    a task that looks at it was asked for."""
    shared: Shared | None = field(default=None, compare=False)
    """Where several seeds were trained at once; None where it ran alone."""


class OpenTask(ABC):
    """A task ready to run: data decoded, splits made, protocol resolved."""

    data: dict[str, Any]
    """Provenance: everything that identifies the data.

    Every task has: "dataset"; "digest" (of the decoded pixels, masks and labels); "splits" (digest of the split
    lists) and "split_rule" (a sentence); "train", "validation", "test" (image counts); "part"; "phantom".
    A task whose cases are the index's test items has "test_list", ``index.split_digest("test")``, by which stored
    audits and pretrainings are recognised as being about the same test images.
    A task that computes in a precision the hardware chooses has "precision", the one chosen, which is part of every
    cell's identity.
    """

    @abstractmethod
    def run(self, encoder: Encoder, seed: int, shots: int | None = None) -> Outcome:
        """Fine-tune or probe an encoder (which may be changed) and score it; bitwise reproducible on a CPU.

        Args:
            encoder: the backbone to start from. A task with ``Task.looks_at`` is given that task's fine-tuned network.
            seed: fixes head initialisation, order, augmentation and the few-shot subset, for all methods alike. A task
                done once a checkpoint gets the seed of the checkpoint's drawing, 0 for weights that are not drawn.
            shots: number of labelled training images; None for all.
        """

    def run_many(
        self, encoder_of: Callable[[int], Encoder], seeds: Sequence[int], shots: int | None = None
    ) -> Iterator[tuple[int, Outcome | Exception | SystemExit]]:
        """Run several seeds of one backbone; yield each seed's outcome, or its exception, as it ends.

        One after the other; a task that trains several at once on a card overrides it. Each seed's outcome must be the
        one that ``run`` returns. Nothing of a seed that ended is kept while the next one runs.

        Args:
            encoder_of: seed to a fresh encoder.
            seeds: in the order in which they start.
            shots: as in ``run``.
        """
        for seed in seeds:
            yield seed, self._outcome(encoder_of, seed, shots)

    def _outcome(
        self, encoder_of: Callable[[int], Encoder], seed: int, shots: int | None
    ) -> Outcome | Exception | SystemExit:
        try:
            return self.run(encoder_of(seed), seed, shots)
        except (Exception, SystemExit) as error:  # the edge: one seed's failure must not stop the others
            return error

    def network(self, encoder: Encoder, seed: int) -> nn.Module:
        """Build the network that ``run`` trains, untrained, so that kept weights can be loaded into it.

        Raises:
            NotImplementedError: the task returns no ``Outcome.network``.
        """
        raise NotImplementedError(f"{type(self).__name__} keeps no network for another task to look at")


class TaskDefaults:
    """Optional members of a task and their defaults."""

    repeats: ClassVar[Seeds] = "seeds"
    """"seeds": one cell a seed. "once": one cell a checkpoint (nothing of it depends on a seed, as in a probe of frozen
    features); methods whose weights are drawn from the seed have a checkpoint a seed."""
    frozen: ClassVar[tuple[str, ...]] = ()
    """Names of the frozen protocols (``eden_bench.protocols.frozen``) that its ``protocol`` knows, in both sizes."""
    looks_at: ClassVar[str] = ""
    """Name of the task whose fine-tuned network it is given in place of an encoder (Grad-CAM); "" for none."""
    groups: tuple[str, ...] = ()
    """Groups it is in besides its kind and dataset, for ``--tasks @NAME``."""
    ceilings: tuple[str, ...] = ()
    """Controls that this task tells the answer, such as ``position`` where a patch lies at the landmark that is asked
    for: ceilings in a report, never floors."""
    statistics: ClassVar[tuple[str, ...]] = ()
    """Modules that register its scores' statistics, where importing the task does not: a report imports them."""

    def repeats_for(self, protocol: Any, shots: int | None) -> Seeds:  # noqa: ANN401 - each kind has its own
        """Return ``repeats`` under a protocol: what a frozen protocol computes of all images may depend on no seed."""
        return self.repeats

    def lists(self, index: DatasetIndex, protocol: Any) -> tuple[dict[str, list[str]], str] | None:  # noqa: ANN401
        """Return the image ids of "train", "validation" and "test", and the split rule in words.

        None where the task makes no validation list of its own.
        """
        return None


class Task(TaskDefaults, ABC):
    """A dataset, a target, a protocol and a primary score; inherit from it. Importing a task must not import torch."""

    name: str
    dataset: str
    kind: Kind
    title: str
    score: ScoreDefinition

    @abstractmethod
    def protocol(self, name: str) -> Any:  # noqa: ANN401 - each kind of task has its own frozen dataclass
        """Return the frozen dataclass of a named protocol ("paper", "quick").

        Raises:
            UsageError: the task has no protocol of that name.
        """

    @abstractmethod
    def open(self, index: DatasetIndex, protocol: Any, context: Context) -> OpenTask:  # noqa: ANN401
        """Decode the data (or map them from the cache) and make the splits."""


@dataclass(frozen=True, kw_only=True)
class Context:
    """Cache folder, device, dataset, progress and dry-run mode that a task or the engine runs with."""

    cache: Path
    device: str = "cpu"
    at_once: int = 1
    """Seeds of a pack that a fine-tuning may train at once, by turns; moves no score on a CPU."""
    dataset: Dataset | None = None
    progress: Progress = no_progress
    build: bool = True
    """False in a dry run: what is not in the cache yet raises NotBuilt instead of being decoded."""
