"""A plugin file with a dataset, two tasks, methods and an engine that take milliseconds, through the real contracts.

Loaded with ``--plugin`` or ``load_plugin_file``. The environment steers it: FAKE_LOG names a file that gets a line
for every cell that starts, FAKE_BREAK names a seed whose cells fail, FAKE_SLEEP_S makes each cell take longer,
FAKE_DIE="1:2 3:9" kills the process in which seed 1 starts, the first 2 times, and seed 3 the first 9 times.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from eden_bench import registry, seeds
from eden_bench.contracts import (
    DatasetCard,
    DatasetIndex,
    Finding,
    Item,
    MethodCard,
    OpenTask,
    Outcome,
    PretrainConfig,
    ScoreDefinition,
    Task,
    no_progress,
)
from eden_bench.digests import digest, file_digest
from eden_bench.encoders import Encoder, build_encoder
from eden_bench.errors import DataMissing, WeightsMissing
from eden_bench.files import atomic
from eden_bench.records import provenance
from eden_bench.registry import register_dataset, register_method, register_task
from eden_bench.weights.checkpoints import Checkpoint, recipe_id, write_checkpoint

IMAGES = 12
FAKE_THREADS = 1
"""What its pretrainings say they ran on."""


def log(line):
    """Append a line to FAKE_LOG; short appends are whole even from several processes."""
    if path := os.environ.get("FAKE_LOG"):
        with Path(path).open("a") as file:
            file.write(line + "\n")


def die(line, seed):
    """Kill this process as the kernel does, as long as FAKE_DIE has it."""
    for each in os.environ.get("FAKE_DIE", "").split():
        number, _, times = each.partition(":")
        if number == str(seed) and Path(os.environ["FAKE_LOG"]).read_text().splitlines().count(line) <= int(times):
            os.kill(os.getpid(), signal.SIGKILL)


class FakeSet:
    name = "fake-set"
    card = DatasetCard(
        title="Fake",
        modality="chest-x-ray",
        citation="",
        licence="",
        source="nowhere",
        folders=("fake",),
        expected_images=12,
    )

    def index(self, root):
        files = sorted(root.glob("*.txt"))
        if not files:
            raise DataMissing(f"fake-set: {root} holds no .txt files, expected {IMAGES}")
        items = tuple(Item(id=f.stem, patient=f.stem, split="train", image=f) for f in files)
        phantom = (root / "PHANTOM.json").is_file()
        return DatasetIndex(dataset=self.name, root=root, items=items, expected_images=IMAGES, phantom=phantom)

    def read_image(self, item):
        return np.full((8, 8), len(item.image.read_bytes()), np.uint8)

    def read_mask(self, item, structure):
        return self.read_image(item) > 0

    def check(self, root, progress=no_progress):
        return [Finding("ok", "fine")]

    def write_phantom(self, root, *, patients, seed, progress=no_progress):
        for number in range(IMAGES):
            (root / f"{number:02}.txt").write_text("x" * number)


@dataclass(frozen=True, kw_only=True)
class FakeProtocol:
    steps: int = 3
    scale: tuple[float, float] = (0.5, 1.0)


@dataclass(frozen=True)
class FakeOpen(OpenTask):
    task: str
    protocol: FakeProtocol
    data: dict

    def run(self, encoder, seed, shots=None):
        log(f"{self.task} {seed} {shots}")
        die(f"{self.task} {seed} {shots}", seed)
        time.sleep(float(os.environ.get("FAKE_SLEEP_S", "0")))
        if str(seed) == os.environ.get("FAKE_BREAK"):
            raise RuntimeError("planted fault")
        with torch.no_grad():
            weights = float(sum(p.double().sum() for p in encoder.parameters()))
            for parameter in encoder.parameters():  # as fine-tuning does: the next seed must not see it
                parameter += 1.0
        draws = seeds.generator(seed, self.task, repr(weights), repr(self.protocol), str(shots)).random(5)
        scores = {"dice": float(draws.mean()), "worst": float(draws.min())}
        cases = {"case": [f"{i:03}" for i in range(5)], "patient": list("01234"), "dice": draws}
        return Outcome(scores, cases, {"steps": self.protocol.steps})


DICE = ScoreDefinition(name="dice", text="Drawn.")


@dataclass(frozen=True)
class FakeTask(Task):
    name: str
    dataset: str = "fake-set"
    kind: str = "segmentation"
    title: str = "A fake task"
    score: ScoreDefinition = DICE

    def protocol(self, name):
        return FakeProtocol(steps={"quick": 3, "paper": 30}[name])

    def open(self, index, protocol, context):
        if os.environ.get("FAKE_BREAK") == self.name:
            raise RuntimeError("planted fault in open")
        pixels = digest([file_digest(item.image) for item in index.items])
        data = {
            "dataset": self.dataset, "digest": pixels, "splits": digest("splits"), "split_rule": "none",
            "train": len(index.items), "validation": 0, "test": 5, "part": index.part, "phantom": index.phantom,
        }  # fmt: skip
        return FakeOpen(self.name, protocol, data)


@dataclass(frozen=True, kw_only=True)
class FakeConfig:
    width: int = 3


class FakeEncoder(Encoder):
    arch, channels, strides = "fake", (3,), (32,)

    def __init__(self, seed, width):
        super().__init__()
        drawn = torch.randn(width, generator=seeds.torch_generator(seed, "fake"))
        self.weight = torch.nn.Parameter(drawn)


def card(title):
    return MethodCard(title=title, paper="none", licence="none", backbone="none", data="none")


@register_method("fake-random")
class FakeRandom:
    """Random weights."""

    Config = FakeConfig
    card = card("Fake random")

    def __init__(self, config):
        self.config = config

    def load_encoder(self, seed):
        return FakeEncoder(seed, self.config.width)


@register_method("fake-broken")
class FakeBroken(FakeRandom):
    """Fails whenever its weights are asked for."""

    def load_encoder(self, seed):
        raise ValueError("these weights are\nrotten")


@register_method("fake-absent")
class FakeAbsent(FakeRandom):
    """Its weights are not at hand."""

    def weights_digest(self):
        raise WeightsMissing("fake-absent: get the weights from nowhere")


@dataclass(frozen=True, kw_only=True)
class FakePretrainConfig(PretrainConfig):
    temperature: float = 0.2


@register_method("fake-trained")
class FakeTrained:
    """Pretrained by the engine below."""

    Config = FakePretrainConfig
    card = card("Fake trained")
    recipes = optimisers = losses = None


@dataclass(frozen=True)
class FakeData:
    digest: str
    phantom: bool


class FakeEngine:
    """Writes real checkpoints, drawn from the recipe."""

    def open_data(self, index, context, *, seed=0):
        return FakeData(digest(sorted(item.id for item in index.items)), index.phantom)

    def pretrain(self, method_name, config, data, *, seed, folder, context):
        checkpoint = Checkpoint(folder)
        if checkpoint.exists:
            return checkpoint
        log(f"pretrain {method_name} {seed}")
        time.sleep(float(os.environ.get("FAKE_SLEEP_S", "0")))
        if os.environ.get("FAKE_BREAK") == method_name:
            raise RuntimeError("planted fault in pretraining")
        recipe = recipe_id(method_name, config, data.digest, seed, torch.get_num_threads())
        encoder = build_encoder("resnet18-w16", seed=int(recipe[:6], 16))
        atomic.write_text(folder / "state.txt", "half way")
        told = {"dataset": "fake-set", "digest": data.digest, "phantom": data.phantom}
        written = {"method": method_name, "arch": "resnet18-w16", "recipe": recipe, "seed": seed, "data": told}
        took = {"history": {"seconds": 2.0}, "peak_memory_bytes": 3_000, **provenance.machine("cpu", FAKE_THREADS)}
        return write_checkpoint(folder, encoder.state_dict(), {**written, "config": vars(config), **took})


register_dataset(FakeSet())
register_task(FakeTask("fake-heart"))
register_task(FakeTask("fake-lung"))
registry.engine = FakeEngine
