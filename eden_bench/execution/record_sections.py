"""What a record says beside its scores: task, data, marks, checkpoint, and the command that redoes its cell."""

from __future__ import annotations

import shlex
from typing import Any

from eden_bench import registry
from eden_bench.contracts import SEEDED
from eden_bench.execution.backbones import Backbone
from eden_bench.execution.inputs import Inputs, OpenedTask
from eden_bench.execution.plan import Plan, Slot
from eden_bench.weights.checkpoints import Checkpoint

_CARD = (
    *("method", "arch", "recipe", "data", "seed", "epochs", "steps", "selected", "stages", "parent", "precision"),
    *("processes", "images_seen", "views", "augmentation", "normalisation"),
)


def sections(slot: Slot, opened: OpenedTask, plan: Plan, inputs: Inputs) -> dict[str, Any]:
    """Return the sections of a cell's record that the cell determines."""
    task, data, protocol = opened.task, opened.open.data, plan.protocol
    card = registry.methods.get(slot.backbone.method).card
    return {
        "task": {"name": task.name, "title": task.title, "kind": task.kind, "dataset": task.dataset},
        "method": {
            "name": slot.backbone.method,
            "title": card.title,
            **({"headline": True} if card.headline else {}),
            **_variant(slot.backbone),
        },
        "data": {**data, "licence": registry.datasets.get(task.dataset).card.licence},
        "marks": {
            "phantom": bool(data["phantom"]),
            "quick": protocol.base == "quick",
            "part": data["part"],
            "protocol": protocol.name,
            "base": protocol.base,
        },
        "checkpoint": _checkpoint(slot.backbone),
        "command": redo_command(slot, plan, inputs),
    }


def _variant(backbone: Backbone) -> dict[str, str]:
    return {"variant": backbone.label} if backbone.label != backbone.method else {}


def redo_command(slot: Slot, plan: Plan, inputs: Inputs) -> str:
    """Return the command line that runs one cell alone, on the same data and into the same folder."""
    file = brought_file(slot.backbone)
    method = f"{slot.backbone.label}={file}" if file else slot.backbone.label
    words = ["eden-bench", "run", "--methods", method, "--tasks", slot.task, "--seeds", str(slot.seed)]
    if slot.shots is not None:
        words += ["--shots", str(slot.shots)]
    words += ["--protocol", plan.ask.protocol or plan.protocol.name]
    if slot.backbone.dataset and plan.ask.pretrain_data:
        words += ["--pretrain-data", slot.backbone.dataset]
    if slot.backbone.dataset and slot.backbone.seed:
        words += ["--pretrain-seed", str(slot.backbone.seed)]
    words += ["--threads", str(inputs.threads)] if inputs.threads else ["--device", inputs.device]
    settings = inputs.settings
    for name, path in (("data", settings.data), ("out", settings.out), ("splits", settings.splits)):
        if path is not None and settings.sources.get(name) == f"flag --{name}":
            words += [f"--{name}", str(path)]
    return shlex.join([*words, *(word for plugin in plan.ask.plugins for word in ("--plugin", plugin))])


def _checkpoint(backbone: Backbone) -> dict[str, Any]:
    """Return what a reader must know of the weights; where and when they were made stays on their card."""
    if backbone.folder is None:
        told = {"digest": backbone.digest, "from": "the cell's seed" if backbone.digest == SEEDED else "a file"}
        return told | backbone.source.told()

    card = Checkpoint(backbone.folder).card
    kept = {name: card[name] for name in _CARD if name in card}
    return {"digest": backbone.digest, "folder": backbone.folder.name, "card": kept}


def brought_file(backbone: Backbone) -> str:
    """Return the path of weights that were named on the command line, "" where there are none."""
    return "" if backbone.dataset else str(registry.methods.get(backbone.method).file)
