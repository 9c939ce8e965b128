"""Protocols: named settings for a whole comparison. ``paper`` is the paper's, ``quick`` takes minutes on a laptop.

A protocol says three things: what changes in every method's config (``pretrain``), what changes in single
methods (``methods``), and which of each task's own protocols is meant, with what changed: in all that fine-tune
(``finetune``), in one kind (``segmentation``, ``classification``, ``probes``), in one task (``tasks``); the narrower
wins. It may make pretrainings alike (``fair``), and name variants of methods, which ``--methods`` then takes beside
them (``@variants``: all). A TOML file can override any field::

    base = "quick"
    [pretrain]
    epochs = 20
    [methods.adam]
    pruning_threshold = 0.7
    [variants.adam-no-pruner]
    method = "adam"
    pruning_threshold = 2
    [fair]
    epochs_total = 60
    [finetune]
    few_shot_budget = "epochs"
    [segmentation]
    loss = "bce"
    [probes]
    patches = 500
    [tasks.scr-heart]
    lr = 1e-3
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.contracts import PretrainConfig, with_overrides
from eden_bench.errors import PluginError, UsageError, nearest, unknown
from eden_bench.files import plain_text
from eden_bench.plugin_modules import in_a_line
from eden_bench.protocols import fair, frozen


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """Settings of pretraining and fine-tuning."""

    name: str
    base: str
    """The built-in protocol it starts from: the size of pretraining, and of tasks."""
    evaluation: str = ""
    """Name of a frozen protocol (``protocols.frozen``); "" where encoders are fine-tuned."""
    title: str = ""
    """One line for lists."""
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """Overrides for the config of every method that has the field."""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)
    """Overrides for the protocol of every task that fine-tunes."""
    segmentation: Mapping[str, Any] = field(default_factory=dict)
    classification: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, Any] = field(default_factory=dict)
    """Overrides for the protocol of every probe that has the field."""
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name to "method", the method it is a variant of, and overrides of its config."""
    fair: Mapping[str, Any] = field(default_factory=dict)
    """Switches of ``eden_bench.protocols.fair``."""

    @property
    def of_tasks(self) -> str:
        """Name of the tasks' own protocol."""
        return frozen.of_tasks(self.evaluation, self.base)

    def method_of(self, name: str) -> str:
        """Return the registered method behind a name: a variant's, or the name itself."""
        return str(self.variants.get(name, {}).get("method", name))

    def method_config(self, name: str, config: Any) -> Any:  # noqa: ANN401 - each method has its own dataclass
        """Return a method's or a variant's config under this protocol."""
        known = {f.name for f in fields(config)} - set(config.keeps)
        shared = {key: value for key, value in self.pretrain.items() if key in known}
        quick = config.quick if self.base == "quick" else {}
        own = {**self.methods.get(self.method_of(name), {}), **self.variants.get(name, {})}
        own.pop("method", None)
        overrides = {**shared, **quick, **own, **fair.shared(self.fair, config)}
        made = with_overrides(config, overrides, f"protocol {self.name}, method {name}")
        total = self.fair.get("epochs_total") if isinstance(made, PretrainConfig) else None
        return fair.with_epochs_total(made, total) if total else made

    def task_protocol(self, task: Any) -> Any:  # noqa: ANN401 - each kind of task has its own dataclass
        """Return a task's protocol dataclass under this protocol.

        Raises:
            UsageError: the task has no protocol of the base's name, or not a field that is overridden.
            PluginError: its protocol cannot be made.
        """
        own = _protocol_of(task, self.of_tasks)
        if task.kind == "probe":
            known = {f.name for f in fields(own)}
            overrides = {key: value for key, value in self.probes.items() if key in known}
        else:
            overrides = {**self.finetune, **getattr(self, task.kind, {})}
        overrides |= self.tasks.get(task.name, {})
        return with_overrides(own, overrides, f"protocol {self.name}, task {task.name}")


def _protocol_of(task: Any, base: str) -> Any:  # noqa: ANN401 - each kind of task has its own dataclass
    try:
        return task.protocol(base)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise PluginError(f"task {task.name!r}: its protocol {base!r} fails with {in_a_line(error)}") from error


PAPER = Protocol(name="paper", base="paper", title="Every method's and task's own paper values.")

QUICK = Protocol(
    name="quick",
    base="quick",
    title="Minutes on a laptop: a small encoder, gentle 64-px views, short schedules.",
    pretrain={
        "arch": "resnet18-w16",
        "size_px": 64,
        "epochs": 20,
        "batch_size": 32,
        "bn_groups": 2,
        "queue_size": 192,
        "teacher_momentum": 0.99,
        "view_strength": 0.25,
    },
)
"""Not as in the paper: a ResNet-18 at a quarter of the width, 64-px views, 20 epochs a stage, batches of 32, a faster
teacher (0.999 would move it by a tenth in the few hundred steps there are), and a queue of 192 keys, which is to the
phantom's 283 images what 65,536 is to ChestX-ray14's 75,312: a longer one would hold several keys of each image as
its own negatives. Crops and colours are at a quarter of their strength: at full strength two 64-px views of one phantom
are less alike than two phantoms, and in so few steps no loss leaves chance. These were chosen by MoCo-v2's validation
loss, and nothing here by a downstream score. What single methods differ in stands on their configs (``quick``)."""

_TABLES = (
    *("pretrain", "methods", "variants", "fair"),
    *("finetune", "segmentation", "classification", "probes", "tasks"),
)
_BUILT_IN = {protocol.name: protocol for protocol in (PAPER, QUICK)}
_ABLATIONS = Path(__file__).parent / "ablations"
_AT_PAPER_SIZE = "-paper"


def names() -> list[str]:
    """Return the names of the built-in protocols."""
    return list(_BUILT_IN)


def ablations() -> list[str]:
    """Return the names of the paper's ablations, each at the size of ``quick`` and, with "-paper", of ``paper``."""
    return [
        stem + size for stem in sorted(path.stem for path in _ABLATIONS.glob("*.toml")) for size in ("", _AT_PAPER_SIZE)
    ]


def load(name: str) -> Protocol:
    """Return a built-in or frozen protocol or an ablation, or read one from a TOML file.

    Raises:
        UsageError: no such name or file, broken TOML, an unknown key, or a value of the wrong kind.
    """
    return _load(name, ())


def check_used(protocol: Protocol, configs: Mapping[str, Any], tasks: Iterable[Any] = ()) -> None:
    """Validate that every key of a protocol file applies to a requested method or task.

    Args:
        protocol: as loaded.
        configs: method to config, of the methods asked for.
        tasks: the tasks asked for.

    Raises:
        UsageError: a method or task that is not registered, or a key of [pretrain] or [probes] that nothing has; names
            the nearest.
    """
    _check_tasks(protocol, list(tasks))
    methods = registry.methods.names() if protocol.methods or protocol.variants else []
    for name in (*protocol.methods, *map(protocol.method_of, protocol.variants)):
        if name not in methods:
            raise UsageError(f"protocol {protocol.name}: {unknown('method', name, methods)}")
    for name in protocol.variants:
        if name in methods:
            raise UsageError(f"protocol {protocol.name}: variant {name!r} is a method's name: give it another")
    known = {each.name for config in configs.values() for each in fields(config)}
    known |= {key for built_in in _BUILT_IN.values() for key in built_in.pretrain}
    for key in protocol.pretrain if configs else ():
        if key not in known:
            raise UsageError(
                f"protocol {protocol.name}: [pretrain] {key!r} is an option of none of {', '.join(configs)}."
                f"{nearest(key, known)}"
            )


def _check_tasks(protocol: Protocol, tasks: Sequence[Any]) -> None:
    names = registry.tasks.names() if protocol.tasks else []
    for name in protocol.tasks:
        if name not in names:
            raise UsageError(f"protocol {protocol.name}: [tasks.{name}]: {unknown('task', name, names)}")
    probes = [
        _protocol_of(task, protocol.of_tasks) for task in tasks if task.kind == "probe" and not protocol.evaluation
    ]
    known = {each.name for probe in probes for each in fields(probe)}
    for key in protocol.probes if probes else ():
        if key not in known:
            raise UsageError(
                f"protocol {protocol.name}: [probes] {key!r} is a field of none of the probes asked for."
                f"{nearest(key, known)}"
            )


def _load(name: str, above: tuple[str, ...]) -> Protocol:
    """Load a protocol and its bases; above are the files that led here."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name in ablations():
        return _ablation(name)
    if name in frozen.names():
        return _frozen(name)
    path, known = Path(name), [*_BUILT_IN, *frozen.names(), *ablations()]
    if path.suffix != ".toml":
        raise unknown("protocol", name, [*known, "a file ending in .toml"])
    if path.stem in known:
        raise UsageError(f"protocol {path}: {path.stem!r} is a built-in protocol: give the file another name")
    place = os.path.abspath(path)  # noqa: PTH100 - Path.absolute keeps '..'
    if place in above:
        raise UsageError(f"protocol {path}: its base leads back to itself: make it one of {', '.join(_BUILT_IN)}")
    return _from_toml(path, (*above, place))


def _ablation(name: str) -> Protocol:
    """Load an ablation: a built-in protocol with the variants of a file that ships with the package."""
    base = PAPER if name.endswith(_AT_PAPER_SIZE) else QUICK
    variants = _read(_ABLATIONS / f"{name.removesuffix(_AT_PAPER_SIZE)}.toml")["variants"]
    return replace(
        base, name=name, title=f"As {base.name}, with the variants {', '.join(variants)}.", variants=variants
    )


def _frozen(name: str) -> Protocol:
    evaluation, base = frozen.of(name)
    size = " At the size of quick." if base == "quick" else ""
    return replace(_BUILT_IN[base], name=name, evaluation=evaluation, title=frozen.TITLES[evaluation] + size)


def _read(path: Path) -> dict[str, Any]:
    """Read a protocol file and validate the types of its values."""
    import tomllib

    try:
        content = tomllib.loads(plain_text.read(path))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"protocol {path}: {error}") from error
    allowed = ("base", *_TABLES)
    for key in content:
        if key not in allowed:
            raise UsageError(
                f"protocol {path}: unknown key {key!r}.{nearest(key, allowed)} Known: {', '.join(allowed)}."
            )
    if not isinstance(content.get("base", ""), str):
        raise UsageError(f"protocol {path}: base is {content['base']!r}, expected the name of a protocol or a file")
    tables = {key: content.get(key, {}) for key in allowed[1:]}
    _need_tables(path, "", tables)
    for above in ("methods", "variants", "tasks"):
        _need_tables(path, f"{above}.", tables[above])
    _need_variants(path, tables["variants"])
    return content


def _need_variants(path: Path, variants: Mapping[str, Mapping[str, Any]]) -> None:
    for name, table in variants.items():
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
            raise UsageError(f"protocol {path}: variant {name!r}: expected a name of a-z, 0-9, '-' and '.'")
        if not isinstance(table.get("method"), str):
            raise UsageError(f'protocol {path}: [variants.{name}] names no method: write for example method = "adam"')


def _need_tables(path: Path, above: str, tables: Mapping[str, Any]) -> None:
    for name, value in tables.items():
        if not isinstance(value, dict):
            raise UsageError(f"protocol {path}: {above}{name} is {value!r}, expected a table [{above}{name}]")


def _from_toml(path: Path, above: tuple[str, ...]) -> Protocol:
    content = _read(path)
    base = _load(content.get("base", "paper"), above)
    tables = {name: {**getattr(base, name), **content.get(name, {})} for name in _TABLES}
    for name in ("methods", "tasks"):
        own = content.get(name, {})
        tables[name] = {**tables[name], **{key: {**getattr(base, name).get(key, {}), **own[key]} for key in own}}
    fair.check(tables["fair"], f"protocol {path}: [fair]")
    return Protocol(
        name=path.stem, base=base.base, evaluation=base.evaluation, title=f"{path}, from {base.name}.", **tables
    )
