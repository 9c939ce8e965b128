"""Send scores and curves of finished cells to a lab's tracker; off unless asked for, and nothing is imported while off.

A tracker is a function of one ``Tracked``. ``--track`` names it: "tensorboard", one that an installed package offers by
an entry point of the group ``eden_bench.trackers``, or any "module:function". It is called after a record is stored, so
one that fails loses nothing.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eden_bench.errors import PluginError, UsageError, unknown
from eden_bench.files import plain_text
from eden_bench.plugin_modules import in_a_line, installed
from eden_bench.records import Record, Warn, warn_stderr
from eden_bench.records.frame import facts_of
from eden_bench.records.shape import is_number

GROUP = "eden_bench.trackers"
_OURS = {"tensorboard": "eden_bench.trackers:to_tensorboard"}
Curve = Sequence[tuple[int, float]]
"""Step or epoch, and value."""


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """What a tracker is given of a cell, or of a pretraining."""

    name: str
    """For example "scr-heart/full/adam/seed-3" or "pretraining/adam/seed-0"."""
    out: Path
    """The results folder."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """As stored, a share for %; empty for a pretraining."""
    curves: Mapping[str, Curve] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Names, marks, digests and machine of the cell, as columns of ``eden_bench.results``."""


Tracker = Callable[[Tracked], object]


class Trackers:
    """The trackers of one run; one that fails is warned of and not called again."""

    def __init__(self, active: Mapping[str, Tracker] | None = None, warn: Warn = warn_stderr) -> None:
        self._active = dict(active or {})
        self._warn = warn

    @classmethod
    def named(cls, setting: str | None, warn: Warn = warn_stderr) -> Trackers:
        """Import the trackers that a setting names, commas between; None names none.

        Raises:
            UsageError: there is no such tracker.
            PluginError: it cannot be imported.
        """
        names = [name.strip() for name in (setting or "").split(",")]
        return cls({name: _import(name) for name in names if name}, warn)

    def cell(self, record: Record) -> None:
        """Send a stored record."""
        if self._active:
            self._send(tracked_cell(record))

    def pretraining(self, folder: Path, label: str, seed: int) -> None:
        """Send the curves of a finished pretraining.

        Args:
            folder: of its checkpoint.
            label: of its method.
            seed: of the pretraining.
        """
        if self._active:
            self._send(tracked_pretraining(folder, label, seed))

    def _send(self, tracked: Tracked) -> None:
        for name, tracker in list(self._active.items()):
            try:
                tracker(tracked)
            except (Exception, SystemExit) as error:  # a stranger's code, after everything is stored
                del self._active[name]
                self._warn(
                    f"tracker {name} failed at {tracked.name} ({in_a_line(error)}): nothing more is sent to it in this "
                    "run; what is stored is whole"
                )


def tracked_cell(record: Record) -> Tracked:
    """Collect a record's scores, curves and facts."""
    cell = record.cell
    shots = "full" if cell.shots is None else f"{cell.shots}-shots"
    pretraining = f"/pretraining-{seed}" if (seed := record.checkpoint.card.seed) else ""
    return Tracked(
        name=f"{cell.task}/{shots}/{record.label}{pretraining}/seed-{cell.seed}",
        out=record.folder.parents[1],
        scores=record.scores,
        curves=dict(_curves(record.content.get("training") or {})),
        facts=facts_of(record),
    )


def tracked_pretraining(folder: Path, label: str, seed: int) -> Tracked:
    """Collect the curves of a pretraining by epoch, counted over its stages."""
    try:
        lines = [json.loads(line) for line in plain_text.read(folder / "history.jsonl").splitlines()]
    except (OSError, ValueError):  # another engine keeps none
        lines = []
    names = dict.fromkeys(name for line in lines for name, value in line.items() if is_number(value))
    curves = {name: [(i, line[name]) for i, line in enumerate(lines) if is_number(line.get(name))] for name in names}
    return Tracked(
        name=f"pretraining/{label}/seed-{seed}",
        out=folder.parents[1],
        curves=curves,
        facts={"method": label, "pretrain_seed": seed, "folder": folder.name},
    )


def to_tensorboard(tracked: Tracked) -> None:
    """Write event files under OUT/tensorboard/<name>."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(log_dir=str(tracked.out / "tensorboard" / tracked.name)) as writer:
        for score, value in tracked.scores.items():
            writer.add_scalar(f"score/{score}", value, 0)
        for curve, points in tracked.curves.items():
            for step, value in points:
                writer.add_scalar(curve, value, step)
        writer.add_text("facts", json.dumps(dict(tracked.facts), default=str), 0)


def _curves(training: Mapping[str, Any]) -> Iterator[tuple[str, Curve]]:
    """Yield the entries of a record's section "training" that are lists of (step, value)."""
    for name, value in training.items():
        if isinstance(value, list) and value and all(_is_point(point) for point in value):
            yield name, [(int(step), float(number)) for step, number in value]


def _is_point(point: object) -> bool:
    return isinstance(point, list | tuple) and len(point) == 2 and all(map(is_number, point))


def _import(name: str) -> Tracker:
    offered = {point.name: point.value for point in installed(GROUP)} | _OURS
    if ":" not in name and name not in offered:
        raise unknown("tracker", name, [*offered, "module:function"])
    place = offered.get(name, name)
    module, _, function = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
        if found is to_tensorboard:
            importlib.import_module("torch.utils.tensorboard")
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"--track {name} cannot be loaded: {in_a_line(error)}; install it, or leave it out"
        ) from error
    if not callable(found):
        raise UsageError(f"--track {name}: {place} is a {type(found).__name__}, expected a function of what is tracked")
    tracker: Tracker = found
    return tracker
