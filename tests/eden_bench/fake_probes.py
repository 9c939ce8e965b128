"""A plugin file beside fakes.py: a probe done once a checkpoint, a fine-tuning that keeps its network, a look at it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import torch

from eden_bench import seeds
from eden_bench.contracts import Features, OpenTask, Outcome, ScoreDefinition, Task
from eden_bench.digests import digest
from eden_bench.registry import register_task


def log(line):
    """Append a line to FAKE_LOG."""
    with Path(os.environ["FAKE_LOG"]).open("a") as file:
        file.write(line + "\n")


ERROR = ScoreDefinition(
    name="error_px",
    text="Distance of the drawn point.",
    unit="px",
    decimals=1,
    bounds=(0, None),
    higher_is_better=False,
    alternatives={"purity": ScoreDefinition(name="purity", text="Share.", bounds=(-1.0, 1.0))},
)


def weights_of(module):
    """The sum of all weights, in which every one of them shows."""
    with torch.no_grad():
        return float(sum(parameter.double().sum() for parameter in module.parameters()))


@dataclass(frozen=True, kw_only=True)
class ProbeProtocol:
    patches: int = 4
    features: Features = field(default_factory=Features)


@dataclass(frozen=True)
class Opened(OpenTask):
    task: str
    protocol: object
    data: dict


@dataclass(frozen=True)
class OpenProbe(Opened):
    def run(self, encoder, seed, shots=None):
        log(f"{self.task} {seed}")
        draws = seeds.generator(0, self.task, f"{weights_of(encoder)} {self.protocol}").random(self.protocol.patches)
        errors = 100 * draws
        cases = {"case": [str(i) for i in range(len(draws))], "patient": ["a"] * len(draws), "error_px": errors}
        scores = {"error_px": float(errors.mean()), "purity": -float(draws[0])}
        return Outcome(scores, cases, controls={"middle of the film": 50.0}, arrays={"draws": draws})


@dataclass(frozen=True)
class OpenNet(Opened):
    def network(self, encoder, seed):
        return torch.nn.Linear(3, 1)

    def run(self, encoder, seed, shots=None):
        log(f"{self.task} {seed}")
        network = self.network(encoder, seed)
        value = torch.full((1, 3), 0.1 + 0.2 * seed, dtype=torch.float32)
        with torch.no_grad():
            network.weight.copy_(value), network.bias.zero_()
        return Outcome({"dice": 0.5}, {"case": ["0"], "patient": ["0"], "dice": [0.5]}, {"steps": 1}, network=network)


@dataclass(frozen=True)
class OpenLook(Opened):
    def run(self, encoder, seed, shots=None):
        log(f"{self.task} {seed}")
        found = weights_of(encoder) / 3
        return Outcome({"dice": found}, {"case": ["0"], "patient": ["0"], "dice": [found]})


@dataclass(frozen=True)
class FakeTask(Task):
    name: str
    make: type
    kind: str
    score: ScoreDefinition
    dataset: str = "fake-set"
    title: str = "A fake task"
    groups: tuple = ("fakes",)

    def protocol(self, name):
        return ProbeProtocol(patches={"quick": 4, "paper": 40}[name])

    def open(self, index, protocol, context):
        data = {
            "dataset": self.dataset, "digest": digest(len(index.items)), "splits": digest("splits"),
            "split_rule": "none", "train": 12, "validation": 0, "test": 5, "part": "", "phantom": index.phantom,
        }  # fmt: skip
        return self.make(self.name, protocol, data)


class FakeProbe(FakeTask):
    repeats = "once"


class FakeLook(FakeTask):
    looks_at = "fake-net"


DICE = ScoreDefinition(name="dice", text="Drawn.")
register_task(FakeProbe("fake-probe", OpenProbe, "probe", ERROR))
register_task(FakeTask("fake-net", OpenNet, "classification", DICE))
register_task(FakeLook("fake-look", OpenLook, "probe", DICE))
