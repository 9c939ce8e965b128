"""C3 (G4 on a GPU; G1c with the view stream): a MoCo training step, ours against plain torch written the usual way.

    python -m benchmarks.train_step                    # C3 (ResNet-50 at 224 px, small batch), in both precisions
    python -m benchmarks.train_step --only C3          # in the one that the engine takes on this hardware
    python -m benchmarks.train_step --device cuda      # G4 and G1c

The peer: float32, NCHW, logits concatenated for cross-entropy, one multiply and add per parameter for the teacher, an
unfused optimiser. Equality: the first steps' losses of both, from the same weights on the same images, agree in 2 %.
Losses are what a step returns, and no time: the clock of ``benchmarks.timing`` runs around it.
Dropped against the bar's text: the lightly model as the peer, which is not installed here; its step is the same.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812

from baselines.moco_v2 import MoCoV2, MoCoV2Config
from benchmarks.timing import Bar, Equality, Side, arguments, compare, report, skipped, wanted
from eden_bench.contracts import View, Views
from eden_bench.data.image_store import PyramidStore, pyramid_of
from eden_bench.encoders import seeded
from pretrain.adam import Adam, AdamConfig
from pretrain.engine.network import laid_out
from pretrain.engine.optimisation import autocast, autocast_dtype
from pretrain.views.stream import ViewStream

EQUAL_STEPS = 2
TARGETS = {torch.float32: 1.15, torch.bfloat16: 2.3}
"""On a CPU."""


class Setting(NamedTuple):
    """Device, batch and method config of a training step."""

    device: torch.device
    batch: int
    config: MoCoV2Config


def setting(device: str) -> Setting:
    """Return the paper's network and size; a batch that fits the device; one group, as the peer has."""
    batch = 256 if device.startswith("cuda") else 4
    config = MoCoV2Config(batch_size=batch, bn_groups=1, queue_size=65_536)
    return Setting(torch.device(device), batch, config)


def network(chosen: Setting) -> MoCoV2:
    """Return a method with weights from one seed."""
    with seeded(0, "method"):
        return MoCoV2(chosen.config).to(chosen.device)


def batch(chosen: Setting, step: int, memory_format: torch.memory_format) -> Views:
    """Return two views of noise, the same for both sides."""
    draw = torch.Generator().manual_seed(step)
    images = [torch.randn(chosen.batch, 3, 224, 224, generator=draw).to(chosen.device) for _ in range(2)]
    maps, flipped = torch.eye(2, 3).repeat(chosen.batch, 1, 1), torch.zeros(chosen.batch, dtype=torch.bool)
    views = tuple(View(image.contiguous(memory_format=memory_format), maps, flipped) for image in images)
    return Views(views, torch.arange(chosen.batch), generator=torch.Generator().manual_seed(step))


def ours(chosen: Setting, dtype: torch.dtype) -> Callable[[int], float]:
    """Take the engine's step in a precision: channels last, autocast, fused loss, EMA, optimiser; return the loss."""
    method = network(chosen).to(memory_format=torch.channels_last)
    optimiser = method.optimisers()["main"]
    kept = [batch(chosen, step, torch.channels_last) for step in range(EQUAL_STEPS)]

    def step(number: int) -> float:
        with torch.autocast(chosen.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = method.losses(kept[number % EQUAL_STEPS])["contrast"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        method.after_step()
        return float(loss.detach())

    return step


def plain(chosen: Setting) -> Callable[[int], float]:
    """Take MoCo's step as it is usually written, from the same weights; return the loss."""
    moco = network(chosen).moco
    student, teacher, queue = moco.student, moco.teacher, moco.queue.keys
    optimiser = torch.optim.SGD(student.parameters(), lr=0.03, momentum=0.9, weight_decay=1e-4, foreach=False)
    kept = [batch(chosen, step, torch.contiguous_format) for step in range(EQUAL_STEPS)]
    pointer = 0

    def step(number: int) -> float:
        nonlocal pointer
        queries_of, keys_of = kept[number % EQUAL_STEPS].images
        query = student(queries_of)
        with torch.no_grad():
            for mine, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
                mine.data = mine.data * 0.999 + theirs.data * 0.001
            order = torch.randperm(chosen.batch, device=chosen.device)
            key = teacher(keys_of[order])[torch.argsort(order)]
        logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.clone()], dim=1) / 0.2
        loss = F.cross_entropy(logits, torch.zeros(chosen.batch, dtype=torch.long, device=chosen.device))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        queue[:, pointer : pointer + chosen.batch] = key.T
        pointer = (pointer + chosen.batch) % queue.shape[1]
        return loss.item()

    return step


def curves(chosen: Setting, dtype: torch.dtype) -> Equality:
    """Compare the first losses of both sides."""
    mine, theirs = ours(chosen, dtype), plain(chosen)
    pairs = [(mine(n), theirs(n)) for n in range(EQUAL_STEPS)]
    worst = max(abs(a - b) / b for a, b in pairs)
    return Equality(worst <= 0.02, f"losses of {EQUAL_STEPS} steps differ by at most {worst:.1e} <= 2e-02")


def step_bar(id: str, target: float, repeats: int, device: str, dtype: torch.dtype) -> Bar:
    """Time one step of each."""
    chosen = setting(device)
    clause = curves(chosen, dtype)
    name = str(dtype).removeprefix("torch.")
    mine, theirs = ours(chosen, dtype), plain(chosen)
    sides = (
        Side(f"engine's step, {name}", lambda: mine(0), chosen.batch),
        Side("plain torch, float32 NCHW", lambda: theirs(0), chosen.batch),
    )
    title = f"ResNet-50 MoCo step, batch {chosen.batch}, an image"
    return compare(id, title, *sides, target=target, equality=clause, repeats=repeats)


def noise(count: int = 512) -> PyramidStore:
    """Draw a pyramid of noise in memory, so that only views and training are timed."""
    draw, shape = np.random.default_rng(0), (1024, 1024)
    pixels = np.stack([pyramid_of(draw.integers(0, 255, shape, np.uint8)) for _ in range(count)])
    return PyramidStore(Path(), ("",) * count, "", np.full((count, 2), 1024), pixels)


def end_to_end(repeats: int, device: str, config: AdamConfig, store: PyramidStore, steps: int) -> Bar:
    """Measure G1c: a step fed by the view stream against the same step on one batch that stays on the device."""
    stage = config.stages[-1]
    with seeded(0, "method"):
        method = Adam(config).to(device).to(memory_format=torch.channels_last)
    method.start_stage(stage)
    optimiser = method.optimisers()["main"]
    stream = ViewStream(
        store, method.recipes(stage), stage, seed=0, batch_size=config.batch_size, device=torch.device(device)
    )

    def train(views: Views) -> None:
        with autocast(torch.device(device)):
            loss = method.losses(views)["contrast"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        method.after_step()

    def epoch(source: Iterator[Views]) -> None:
        for views in source:
            train(laid_out(views))

    order = np.resize(np.arange(len(store.native_px)), steps * config.batch_size)
    batches = stream.epoch(0, order)
    fixed = laid_out(next(batches))
    batches.close()
    again = [replace(fixed, generator=torch.Generator().manual_seed(n)) for n in range(steps)]
    fed = Side("without data", lambda: epoch(iter(copy.copy(again))), len(order))
    full = Side("view stream", lambda: epoch(stream.epoch(0, order)), len(order))
    clause = Equality(True, "same step, same shapes")
    title = f"an anchor fed by the stream / without data, {config.bn_groups} groups, n = {stage.level}"
    return compare("G1c", title, full, fed, target=0.95, equality=clause, repeats=repeats)


def bars(only: Callable[[str], bool], repeats: int, device: str) -> list[Bar]:
    """Run the bars of a device."""
    taken = autocast_dtype(torch.device(device))
    if device == "cpu":
        kinds = {"C3": taken, "C3-float32": torch.float32, "C3-bfloat16": torch.bfloat16}
        asked = {id: dtype for id, dtype in kinds.items() if only(id)}
        return [step_bar(id, TARGETS[dtype], repeats, device, dtype) for id, dtype in asked.items()]
    made = [step_bar("G4", 2.2, repeats, device, taken)] if only("G4") else []
    return made + ([end_to_end(repeats, device, AdamConfig(), noise(), 20)] if only("G1c") else [])


if __name__ == "__main__":
    options = arguments(str(__doc__).partition("\n")[0])
    if options.device != "cpu" and not torch.cuda.is_available():
        report([skipped("G4", "MoCo step on a GPU", "no GPU here")], as_json=options.json)
    report(bars(lambda id: wanted(options, id), options.repeats, options.device), as_json=options.json)
