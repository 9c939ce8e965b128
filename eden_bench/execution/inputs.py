"""Inputs of a run, each opened once: dataset folders, tasks, pretraining data and encoders."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from eden_bench import registry
from eden_bench.contracts import DETERMINISTIC, Context, DatasetIndex, OpenTask, Progress, Task, no_progress
from eden_bench.data.dataset_folders import open_index, pretraining_sets, reader
from eden_bench.devices import be_deterministic, is_deterministic
from eden_bench.digests import canonical_json
from eden_bench.errors import UsageError
from eden_bench.protocols import Protocol
from eden_bench.settings import Settings, resolve_device
from eden_bench.weights.checkpoints import Checkpoint

if TYPE_CHECKING:
    from eden_bench.encoders import Encoder

V = TypeVar("V")
_FEW_SHOT = "few_shot_"
_RESOLVED = ("precision", "capture")
"""Fields of a protocol of which the opened task's data say what became of them on this hardware."""


@dataclass(frozen=True)
class OpenedTask:
    """A task, its protocol and its data."""

    task: Task
    protocol: Mapping[str, Any]
    open: OpenTask
    unhashed: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the protocol that came later (``contracts.LATER``), and their defaults."""
    deterministic: bool = False
    """Its digits are those of deterministic operations on a GPU."""

    def hashed_protocol(self, shots: int | None) -> dict[str, Any]:
        """Return the part of the protocol that can change a cell's scores, which its id hashes.

        The full training set has nothing few-shot about it, "auto" is the precision it became, as ``capture`` is
        what was done, and a field that came later counts where it is not at its default.
        """
        kept = {k: v for k, v in self.protocol.items() if shots is not None or not k.startswith(_FEW_SHOT)}
        kept |= {name: self.open.data[name] for name in _RESOLVED if name in kept and name in self.open.data}
        kept = {k: v for k, v in kept.items() if k not in self.unhashed or v != self.unhashed[k]}
        return kept | ({DETERMINISTIC: True} if self.deterministic else {})


class Inputs:
    """Inputs of a run, opened lazily and once.

    Where ``build`` is False, as in a dry run, nothing is decoded, drawn or written: what is not in the cache yet
    raises NotBuilt.
    """

    def __init__(self, settings: Settings, progress: Progress = no_progress, *, build: bool = True) -> None:
        self.settings, self.build = settings, build
        self.device = resolve_device(settings.device)
        if settings.deterministic:
            be_deterministic()
        self.deterministic = is_deterministic(self.device)
        self.threads = settings.threads if self.device == "cpu" else 0
        self.progress = progress
        self._kept: dict[tuple[str, ...], Any] = {}

    def index(self, dataset: str) -> DatasetIndex:
        """List a dataset's items.

        Raises:
            DataMissing: it is not at hand.
            UsageError: its folder is the phantom while another's is real, or the other way round.
        """
        return self._once(("index", dataset), lambda: self._checked(dataset))

    def task(self, name: str, protocol: Protocol) -> OpenedTask:
        """Open a task under a protocol.

        Raises:
            DataMissing: its dataset is not at hand.
        """
        task: Task = registry.tasks.get(name)
        return self.opened(task, protocol.task_protocol(task))

    def opened(self, task: Task, protocol: Any) -> OpenedTask:  # noqa: ANN401 - each kind of task has its own dataclass
        """Open a task under its own protocol dataclass."""
        index = self.index(task.dataset)
        key = ("task", task.name, canonical_json(protocol))

        def opened() -> OpenedTask:
            own = task.open(index, protocol, self.context(task.dataset))
            return OpenedTask(task, plain(protocol), own, plain(_later(protocol)), self.deterministic)

        return self._once(key, opened)

    def pretrain_data(self, dataset: str) -> Any:  # noqa: ANN401 - the engine's own type
        """Open the images to pretrain on."""
        index = self.index(dataset)
        return self._once(
            ("pretrain", dataset), lambda: registry.engine().open_data(index, self.context(dataset), seed=0)
        )

    def context(self, dataset: str) -> Context:
        """Return the context that a task or the engine runs in."""
        return Context(
            cache=self.settings.cache,
            device=self.device,
            at_once=self.settings.at_once,
            dataset=reader(dataset),
            progress=self.progress,
            build=self.build,
        )

    def encoder(self, checkpoint: Path) -> Encoder:
        """Return a fresh copy of a checkpoint's encoder; the last few are cached, so the file is read once."""
        key = ("encoder", str(checkpoint))
        kept = [known for known in self._kept if known[0] == "encoder" and known != key]
        for old in kept[:-3]:
            del self._kept[old]
        return copy.deepcopy(self._once(key, lambda: Checkpoint(checkpoint).load_encoder()))

    @property
    def phantom(self) -> bool:
        """Whether the data opened so far are the phantom."""
        return any(kept.phantom for key, kept in self._kept.items() if key[0] == "index")

    def _checked(self, dataset: str) -> DatasetIndex:
        index = open_index(dataset, self.settings, self.progress, build=self.build)
        others = {key[1]: kept for key, kept in self._kept.items() if key[0] == "index"}
        for name, other in others.items():
            if other.phantom != index.phantom:
                which = (dataset, name) if index.phantom else (name, dataset)
                raise UsageError(
                    f"{which[0]} is the phantom and {which[1]} is real: the two never stand in one run; give them "
                    "different --data folders and run them apart"
                )
        return index

    def _once(self, key: tuple[str, ...], make: Callable[[], V]) -> V:
        if key not in self._kept:
            self._kept[key] = make()
        kept: V = self._kept[key]
        return kept


def pretraining_dataset(task: Task) -> str:
    """Return the dataset that methods are pretrained on before a task of this modality.

    Raises:
        UsageError: the modality has none.
    """
    modality = registry.datasets.get(task.dataset).card.modality
    known = pretraining_sets()
    if modality not in known:
        raise UsageError(f"task {task.name}: nothing to pretrain on for {modality!r}: name it with --pretrain-data")
    return known[modality]


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Convert a value as JSON would read it back: dataclasses and mappings to dicts, tuples to lists."""
    return json.loads(canonical_json(value))


def rebuilt(default: V, values: Mapping[str, Any]) -> V:
    """Rebuild a dataclass from what ``plain`` made of it, of the same type as default.

    Few-shot fields may be absent, as in the cells of the full training set, and those that came later
    (``contracts.LATER``): they keep their defaults.

    Raises:
        UsageError: the fields are not those of default, so another version wrote them.
    """
    names = {each.name for each in fields(default)}  # type: ignore[arg-type]
    may_lack = {name for name in names if name.startswith(_FEW_SHOT)} | set(_later(default))
    strange = (names ^ set(values)) - (may_lack - set(values))
    if strange:
        strange_text = ", ".join(sorted(strange))
        raise UsageError(f"{type(default).__name__} of this version differs from the record's in: {strange_text}")
    likened = {name: _like(getattr(default, name), value) for name, value in values.items()}
    return replace(default, **likened)  # type: ignore[type-var]


def _later(protocol: object) -> dict[str, Any]:
    """Return the fields of a protocol that came later, and their defaults."""
    later = [each for each in fields(protocol) if each.metadata.get("later")]  # type: ignore[arg-type]
    return {each.name: each.default for each in later}


def _like(default: object, value: Any) -> Any:  # noqa: ANN401 - JSON
    if is_dataclass(default) and isinstance(value, dict):
        return rebuilt(default, value)
    return tuple(_like(None, part) for part in value) if isinstance(value, list) else value
