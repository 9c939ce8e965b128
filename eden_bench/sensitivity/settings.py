"""Settings that a ranking is tried under: a protocol, and copies of it with one or several choices changed."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eden_bench import registry
from eden_bench.contracts import NORMALISATIONS, Features, with_overrides
from eden_bench.errors import UsageError, unknown
from eden_bench.files import atomic
from eden_bench.protocols import Protocol

FEATURES: Mapping[str, tuple[Any, ...]] = {
    "pooling": ("mean", "class", "embed"),
    "layer": (-1, -2),
    "norm": ("after", "before"),
    "normalisation": tuple(NORMALISATIONS),
    "size_px": (),
}
"""Axes that are fields of a feature contract, and the values that are tried; of the size the half and the double."""
BUDGET = "few_shot_budget"
AXES: Mapping[str, tuple[Any, ...]] = {**FEATURES, BUDGET: ("steps", "epochs")}
NAMES = {"size": "size_px", "budget": BUDGET}
"""Short names on the command line."""


@dataclass(frozen=True)
class Setting:
    """One way to evaluate: what it changes in the protocol."""

    changes: Mapping[str, Any]
    """Axis to value; empty for the protocol as it is."""

    @property
    def name(self) -> str:
        """The changes in words."""
        return ", ".join(f"{axis.removesuffix('_px')} {value}" for axis, value in self.changes.items()) or "as it is"

    def write(self, protocol: Protocol, tasks: Sequence[str], folder: Path, base: str) -> str:
        """Write the protocol with its changes as a TOML file, and return what ``--protocol`` takes.

        Args:
            protocol: that is changed.
            tasks: names; each gets a table of its own, since that is what wins over all others of the base.
            folder: for the file.
            base: what ``--protocol`` took.
        """
        if not self.changes:
            return base
        own = "".join(f"-{axis.removesuffix('_px')}-{value}" for axis, value in self.changes.items())
        features = {axis: value for axis, value in self.changes.items() if axis in FEATURES}
        lines = [f"base = {_toml(str(Path(base).absolute()) if base.endswith('.toml') else base)}"]
        for task in tasks:
            if BUDGET in self.changes:
                lines += [f"[tasks.{_toml(task)}]", f"{BUDGET} = {_toml(self.changes[BUDGET])}"]
            if features:
                lines += [
                    f"[tasks.{_toml(task)}.features]",
                    *(f"{axis} = {_toml(value)}" for axis, value in features.items()),
                ]
        path = folder / f"{protocol.name}{own}.toml"
        atomic.write_text(path, "\n".join(lines) + "\n")
        return str(path)


def settings(protocol: Protocol, tasks: Sequence[str], axes: Sequence[str], *, product: bool) -> list[Setting]:
    """Return the settings: the protocol as it is, then one choice changed at a time, or every combination.

    Args:
        protocol: of the comparison.
        tasks: names.
        axes: what is varied; of ``AXES``, or short names.
        product: every combination of values.

    Raises:
        UsageError: an axis is unknown, or the tasks' protocol has not the field; names those it has. Or the tasks do
            not start from one value of it.
    """
    each = {task: protocol.task_protocol(registry.tasks.get(task)) for task in tasks}
    own = each[tasks[0]]
    names = [NAMES.get(axis, axis) for axis in axes]
    known = _axes_of(own)
    for name in names:
        if name not in AXES:
            raise unknown("axis of --vary", name, (*AXES, *NAMES))
        if name not in known:
            raise UsageError(
                f"--vary {name}: protocol {protocol.name!r} of {tasks[0]} has no such choice, expected "
                f"{', '.join(known) or 'another protocol'}"
            )
        _need_one_start(name, each)
    values = {name: _values(name, own) for name in names}
    if product:
        every = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values.values())]
        changed: list[dict[str, Any]] = [{k: v for k, v in one.items() if v != _now(k, own)} for one in every]
    else:
        changed = [_alone(name, value, own) for name in names for value in values[name] if value != _now(name, own)]
    return [Setting({}), *(Setting(one) for one in _valid(changed, own))]


def _need_one_start(axis: str, each: Mapping[str, Any]) -> None:
    """Validate that all tasks have one value of what is varied, or a setting would be another change for each."""
    values = {task: _now(axis, own) for task, own in each.items()}
    if other := next((task for task in values if values[task] != values[next(iter(values))]), None):
        first = next(iter(values))
        raise UsageError(
            f"--vary {axis}: {first} starts from {values[first]} and {other} from {values[other]}, expected one value: "
            "one command each"
        )


def _axes_of(own: Any) -> list[str]:  # noqa: ANN401 - each kind has its own dataclass
    """Return the axes that a task's protocol has; a map is not pooled."""
    features = getattr(own, "features", None)
    of_features = [axis for axis in FEATURES if features and (axis != "pooling" or features.pooling != "map")]
    return [*of_features, *([BUDGET] if hasattr(own, BUDGET) else [])]


def _now(axis: str, own: Any) -> Any:  # noqa: ANN401
    return getattr(own, axis) if axis == BUDGET else getattr(own.features, axis)


def _values(axis: str, own: Any) -> tuple[Any, ...]:  # noqa: ANN401
    now = _now(axis, own)
    if axis == "size_px":
        return now, max(32, now // 2), now * 2
    return (now, *(value for value in AXES[axis] if value != now))


def _alone(axis: str, value: object, own: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return one choice changed; another layer or norm of a map is pooled by its mean, the encoder's own knows one."""
    pooled = axis in ("layer", "norm") and own.features.pooling == "embed"
    return {axis: value, **({"pooling": "mean"} if pooled else {})}


def _valid(changed: Sequence[dict[str, Any]], own: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield the changes, at least one each, that a feature contract can take."""
    for one in changed:
        features = {axis: value for axis, value in one.items() if axis in FEATURES}
        if one and (not features or _fits(own.features, features)):
            yield one


def _fits(now: Features, changes: Mapping[str, Any]) -> bool:
    """Return whether an encoder can be asked for it: the class token and its own pooling are of the last layer."""
    try:
        wanted = with_overrides(now, changes, "features")
    except UsageError:
        return False
    last, after = wanted.layer == -1, wanted.norm == "after"
    return {"class": last, "embed": last and after}.get(wanted.pooling, True)


def _toml(value: object) -> str:
    return json.dumps(value)
