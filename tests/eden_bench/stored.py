"""Synthetic records for tests, with scores that are easy to check: in memory, or written by the store itself."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from eden_bench import records
from eden_bench.contracts import NUMBERS_VERSION, Cell, Outcome, ScoreDefinition
from eden_bench.digests import canonical_json

DICE = ScoreDefinition(name="dice", text="Dice per image, mean over images.", decimals=2)
TRAINING = {"budget": "steps", "steps_planned": 80}
PRETRAIN = {"digest": "d" * 64, "dataset": "chestxray14", "images": 200, "part": "", "phantom": True}


@dataclass(frozen=True)
class InMemory(records.Record):
    """A record whose cases lie on no disk."""

    rendered: bytes

    def cases_bytes(self):
        return self.rendered


def store(
    out,
    method,
    value,
    seed,
    *,
    task="scr-heart",
    dataset="scr",
    shots=None,
    data="a" * 64,
    phantom=True,
    quick=True,
    protocol="quick",
    part="",
    pretrain=PRETRAIN,
    budget="steps",
    score=DICE,
    checkpoint=None,
    threads=2,
    code=NUMBERS_VERSION,
    card=None,
    told=None,
    kind="segmentation",
    groups=(),
    controls=None,
    cases=None,
    repeats="seeds",
):
    """Return a record whose primary score is value; stored under out, or in memory where out is None.

    Its cases are one patient's of that value, or the columns given.
    """
    seeded = method == "random"
    cell = Cell(
        method=method,
        method_config={"arch": "resnet18-w16"},
        checkpoint="seeded" if seeded else checkpoint or method.encode().hex().ljust(64, "0"),
        task=task,
        data=data,
        splits="b" * 64,
        protocol={"few_shot_budget": budget, "size_px": 64},
        shots=shots,
        seed=seed,
        score_version=score.version,
        threads=threads,
        code=code,
    )
    sections = {
        "task": {"name": task, "title": "Heart", "kind": kind, "dataset": dataset, "repeats": repeats},
        "method": {"name": method, "title": method, "groups": list(groups)}
        | ({"headline": True} if method == "adam" else {}),
        "data": {"dataset": dataset, "digest": data, "train": 112, "validation": 12, "test": 123, "part": part}
        | (told or {}),
        "marks": {"phantom": phantom, "quick": quick, "part": part, "protocol": protocol, "base": protocol},
        "checkpoint": {"digest": "seeded", "from": "the cell's seed"}
        if seeded
        else {
            "digest": cell.checkpoint,
            "folder": method,
            "card": {"method": method, "seed": 0, "epochs": 30, "data": pretrain} | (card or {}),
        },
        "command": "eden-bench run",
        "provenance": {"seconds": 1.0 + seed},
    }
    columns = cases or {"case": ["1"], "patient": ["1"], score.name: [value]}
    if out is None:
        plain = json.loads(canonical_json(cell))
        content = {"id": cell.id, "cell": plain, "scores": {score.name: value}, "score": asdict(score), **sections}
        facts = {"rows": len(columns["case"]), "columns": list(columns), "sha256": "0" * 64, "bytes": 1}
        content |= {"training": TRAINING, "cases": facts, "controls": controls or {}}
        return InMemory(Path(), content, records.cases_csv(columns))
    outcome = Outcome({score.name: value}, columns, TRAINING, controls or {})
    return records.write(out, cell, score, outcome, sections)


def store_three(out, seeds=range(3), **more):
    """Return adam, densecl and random, each on some seeds."""
    means = {"adam": 0.8, "densecl": 0.7, "random": 0.5}
    return [
        store(out, method, mean + 0.01 * (seed - 1), seed, **more) for method, mean in means.items() for seed in seeds
    ]


def patients(values, score="dice", **more):
    """Return the columns of one case a patient."""
    names = [f"p{number:03}" for number in range(len(values))]
    return {"case": names, "patient": names, score: list(values), **more}
