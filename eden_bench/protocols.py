"""Protocols: named recipes for a whole comparison. ``paper`` is the paper's, ``quick`` takes minutes on a laptop.

A protocol says three things: what changes in every method's config (``pretrain``), what changes in single
methods (``methods``), and which of each task's own protocols is meant, with what changed (``finetune``). A TOML
file can override any field::

    base = "quick"
    [pretrain]
    epochs = 20
    [methods.adam]
    pruning_threshold = 0.7
    [finetune]
    few_shot_budget = "epochs"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from eden_bench.contracts import with_overrides
from eden_bench.errors import UsageError, nearest, unknown


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """A recipe for pretraining and fine-tuning."""

    name: str
    base: str
    """The built-in protocol it starts from; names the tasks' own protocol and marks every table."""
    title: str = ""
    """One line for lists."""
    pretrain: Mapping[str, Any] = field(default_factory=dict)
    """Overrides for the config of every method that has the field."""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    finetune: Mapping[str, Any] = field(default_factory=dict)

    def method_config(self, name: str, config: Any) -> Any:  # noqa: ANN401 - each method has its own dataclass
        """Return a method's config under this protocol."""
        known = {f.name for f in fields(config)}
        shared = {key: value for key, value in self.pretrain.items() if key in known}
        own = self.methods.get(name, {})
        return with_overrides(config, {**shared, **own}, f"protocol {self.name}, method {name}")

    def task_protocol(self, task: Any) -> Any:  # noqa: ANN401 - each kind of task has its own dataclass
        """Return a task's protocol dataclass under this protocol."""
        return with_overrides(task.protocol(self.base), self.finetune, f"protocol {self.name}, task {task.name}")


PAPER = Protocol(name="paper", base="paper", title="Every method's and task's own paper values.")

QUICK = Protocol(
    name="quick",
    base="quick",
    title="Minutes on a laptop: a small encoder, 64-px views, short schedules.",
    pretrain={
        "arch": "resnet18-w16",
        "size_px": 64,
        "epochs": 20,
        "batch_size": 64,
        "lr": 0.03,
        "queue_size": 1024,
        "teacher_momentum": 0.99,
    },
)
"""Not as in the paper: a ResNet-18 at a quarter of the width, 64-px views, short schedules, a short queue and a
faster teacher (0.999 would move it by a tenth in the few hundred steps there are)."""

_BUILT_IN = {protocol.name: protocol for protocol in (PAPER, QUICK)}


def names() -> list[str]:
    """Return the names of the built-in protocols."""
    return list(_BUILT_IN)


def load(name: str) -> Protocol:
    """Return a built-in protocol, or read one from a TOML file.

    Raises:
        UsageError: no such name or file, broken TOML, or an unknown key.
    """
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise unknown("protocol", name, [*_BUILT_IN, "a file ending in .toml"])
    return _from_toml(path)


def _from_toml(path: Path) -> Protocol:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"protocol {path}: {error}") from error
    allowed = ("base", "pretrain", "methods", "finetune")
    for key in content:
        if key not in allowed:
            raise UsageError(
                f"protocol {path}: unknown key {key!r}.{nearest(key, allowed)} Known: {', '.join(allowed)}."
            )
    base = load(content.get("base", "paper"))
    methods = {name: {**base.methods.get(name, {}), **table} for name, table in content.get("methods", {}).items()}
    return Protocol(
        name=path.stem,
        base=base.base,
        title=f"{path}, from {base.name}.",
        pretrain={**base.pretrain, **content.get("pretrain", {})},
        methods={**base.methods, **methods},
        finetune={**base.finetune, **content.get("finetune", {})},
    )
