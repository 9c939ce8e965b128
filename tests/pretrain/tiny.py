"""Tiny stand-ins: views of noise, a pyramid of noise, and configs that fit them."""

import importlib
from dataclasses import fields
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from eden_bench import devices, registry
from eden_bench.contracts import Anchor, Context, PretrainData, View, Views
from eden_bench.encoders import seeded
from pretrain.engine.pretraining import pretrain

SHARED = {
    "arch": "resnet18-w16",
    "size_px": 64,
    "epochs": 2,
    "batch_size": 8,
    "queue_size": 20,
    "embedding_dim": 8,
    "bn_groups": 2,
    "teacher_momentum": 0.9,
}
"""Values of the fields that methods share."""


def own_values(name):
    """What a method has instead or besides: ``TINY`` of its test, else what its config calls quick, but epochs."""
    made = registry.methods.get(name)
    test = f"tests.{made.__module__.replace('.', '.test_', 1)}"
    exists = (Path(__file__).parents[2] / f"{test.replace('.', '/')}.py").is_file()
    own = getattr(importlib.import_module(test), "TINY", None) if exists else None
    quick = {key: value for key, value in made.Config.quick.items() if key != "epochs"}
    return quick if own is None else own


class NoisePyramid:
    """Sixteen images of 64 px, fixed."""

    def __init__(self, count=16):
        self.images = np.random.default_rng(7).integers(0, 255, (count, 64, 64), np.uint8)

    def __len__(self):
        return len(self.images)

    def levels(self, sample):
        return (self.images[sample],)

    def anchor(self, sample, row, column, rows, columns):
        h, w = 64 // rows, 64 // columns
        return Anchor(self.levels(sample), (row * h, column * w, h, w), (h, w))


def data(train=16, validation=4):
    return PretrainData(
        pyramid=NoisePyramid(train + validation),
        train=np.arange(train),
        validation=np.arange(train, train + validation),
        digest=f"noise-{train}-{validation}",
        provenance={"dataset": "noise"},
    )


def config(name, **changes):
    make = registry.methods.get(name).Config
    known = {f.name for f in fields(make)}
    return make(**{key: value for key, value in SHARED.items() if key in known} | own_values(name) | changes)


def method(name, seed=0, stage=0, **changes):
    """A tiny method in its given stage."""
    settings = config(name, **changes)
    with seeded(seed, "method"):
        made = registry.methods.get(name)(settings)
    made.stage_under_test = settings.stages[stage]
    made.start_stage(made.stage_under_test)
    made.stage_data(made.stage_under_test, data(), seed)
    return made


def views(count=8, seed=0, size_px=64, of=None):
    """Noise; as many views as a method made by ``method`` asks for."""
    draw = torch.Generator().manual_seed(seed)
    number = len(of.recipes(of.stage_under_test)) if of else 2
    images = [torch.randn(count, 3, size_px, size_px, generator=draw) for _ in range(number)]
    maps = torch.eye(2, 3).repeat(count, 1, 1)
    flipped = torch.zeros(count, dtype=torch.bool)
    return Views(
        tuple(View(image.contiguous(memory_format=torch.channels_last), maps, flipped) for image in images),
        torch.arange(count),
        labels=(torch.rand(count, 14, generator=draw) < 0.3).float(),
        generator=torch.Generator().manual_seed(seed + 1),
    )


def train_step(made, seed=0):
    """One step as the engine takes it; returns the loss."""
    total = None
    for turn, optimiser in made.optimisers().items():
        total = sum(made.losses(views(seed=seed, of=made), turn).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    made.after_step()
    return float(total.detach())


def pretrain_in(folder, name):
    """A short run, the same in one process and in several, of which the first has a held-out batch more.

    In float32 on every processor: bfloat16 would round what the order of sums moves up to where it shows.
    """
    changes = {"adam": {"levels": (2,)}, "vicregl": {"lr": 10.0, "warmup_epochs": 0}}  # so that its steps show
    settings = config(name, select="last", **changes.get(name, {}))
    with mock.patch.object(devices, "cpu_instructions", list):
        return pretrain(name, settings, data(16, 9), seed=0, folder=folder / name, context=Context(cache=folder))
