"""Build a record's sections beside the scores: task, data, marks, checkpoint, and the command that repeats its cell."""

from __future__ import annotations

import shlex
from typing import Any

from eden_bench import registry
from eden_bench.contracts import SEEDED
from eden_bench.execution.inputs import Inputs, OpenedTask, rebuilt
from eden_bench.execution.job import Job
from eden_bench.protocols import frozen
from eden_bench.weights.checkpoints import Checkpoint

_CARD = (
    *("method", "arch", "recipe", "data", "seed", "epochs", "steps", "selected", "stages", "parent", "precision"),
    *("processes", "images_seen", "views", "augmentation", "normalisation"),
)


def sections(job: Job, opened: OpenedTask, seed: int, inputs: Inputs) -> dict[str, Any]:
    """Build the sections of a cell's record that follow from the cell."""
    task, data = opened.task, opened.open.data
    method = registry.methods.get(job.method)
    repeats = task.repeats_for(rebuilt(task.protocol(job.base), job.protocol), job.shots)
    card, groups = method.card, list(registry.groups_of(method))
    return {
        "task": {
            "name": task.name,
            "title": task.title,
            "kind": task.kind,
            "dataset": task.dataset,
            **({"repeats": repeats} if repeats != "seeds" else {}),
            **({"looks_at": task.looks_at} if task.looks_at else {}),
            **({"ceilings": list(task.ceilings)} if task.ceilings else {}),
        },
        "method": {
            "name": job.method,
            "title": card.title,
            "paper": card.paper,
            "licence": card.licence,
            **({"headline": True} if card.headline else {}),
            **({"groups": groups} if groups else {}),
            **({"variant": job.label} if job.label != job.method else {}),
        },
        "data": {**data, "licence": registry.datasets.get(task.dataset).card.licence},
        "marks": {
            "phantom": bool(data["phantom"]),
            "quick": frozen.is_quick(job.base),
            "part": data["part"],
            "protocol": job.protocol_name,
            "base": job.base,
        },
        "checkpoint": _checkpoint(job, inputs),
        "command": redo_command(job, seed, inputs),
    }


def redo_command(job: Job, seed: int | None, inputs: Inputs) -> str:
    """Return the command line that repeats one cell alone, on the same data and into the same folder."""
    method = f"{job.label}={job.file}" if job.file else job.label
    words = ["eden-bench", "run", "--methods", method, "--tasks", job.task]
    words += [] if seed is None else ["--seeds", str(seed)]
    if job.shots is not None:
        words += ["--shots", str(job.shots)]
    words += ["--protocol", job.protocol_argument]
    if job.dataset and job.names_data:
        words += ["--pretrain-data", job.dataset]
    if job.dataset and job.pretrain_seed:
        words += ["--pretrain-seed", str(job.pretrain_seed)]
    words += ["--keep-masks"] if job.keep_masks else []
    words += ["--deterministic"] if inputs.settings.deterministic else []
    words += ["--speedups", ",".join(inputs.settings.speedups)] if job.dataset and inputs.settings.speedups else []
    words += ["--threads", str(inputs.threads)] if inputs.threads else ["--device", inputs.device]
    settings = inputs.settings
    for name, path in (("data", settings.data), ("out", settings.out), ("splits", settings.splits)):
        if path is not None and settings.sources.get(name) == f"flag --{name}":
            words += [f"--{name}", str(path)]
    return shlex.join([*words, *(word for plugin in job.plugins for word in ("--plugin", plugin))])


def _checkpoint(job: Job, inputs: Inputs) -> dict[str, Any]:
    """Return the weights' provenance for a record. Where and when they were made is on their card only."""
    if not job.folder:
        told = {"digest": job.weights, "from": "the cell's seed" if job.weights == SEEDED else "a file"}
        return told | _told(job)
    card = Checkpoint(inputs.settings.out / "checkpoints" / job.folder).card
    kept = {name: card[name] for name in _CARD if name in card}
    return {"digest": job.weights, "folder": job.folder, "card": kept}


def _told(job: Job) -> dict[str, str]:
    made = registry.methods.get(job.method)
    told: dict[str, str] = made(rebuilt(made.Config(), job.config)).told()
    return told
