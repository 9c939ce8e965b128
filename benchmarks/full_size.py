"""Every method at its paper's size: parameters of its encoder, a training step of each stage, and what it costs.

    python -m benchmarks.full_size                      # a batch of two on the CPU, the default config otherwise
    python -m benchmarks.full_size simmim medical-mae
    python -m benchmarks.full_size --device cuda        # at the config's own batch

Ends with 1 where an encoder has not its published number of parameters, or a loss is not finite. Images are noise.
Not as in the configs: batch norm in one group, since two images make no four; TransVW looks for four words.
"""

from __future__ import annotations

import argparse
import gc
import math
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from eden_bench import registry
from eden_bench.contracts import Anchor, PretrainData, Stage, View, Views
from eden_bench.contracts.members import is_source
from eden_bench.encoders import parameter_count, seeded
from pretrain.engine.optimisation import autocast_dtype

PUBLISHED = {
    "resnet50": 23_508_032,
    "vit_base_patch16_224": 85_798_656,
    "swin_base_patch4_window6_192": 86_725_176,
}
"""Parameters of the encoders without a classifier; Swin-B's tables are those of window 6."""
_FEWER = {"bn_groups": 1, "words": 4, "nearest": 3, "validation_nearest": 2}
_STEPS = 3
"""On an accelerator; the first warms up."""


class _Noise:
    """A pyramid of eight images of noise."""

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 255, (8, 256, 256), np.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def levels(self, sample: int) -> tuple[np.ndarray, ...]:
        return (self.images[sample],)

    def anchor(self, sample: int, row: int, column: int, rows: int, columns: int) -> Anchor:
        return Anchor(self.levels(sample), (0, 0, 256, 256), (256, 256))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", help="names; all that are pretrained, if none")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--batch", type=int, help="images a step [2 on the CPU, else the config's]")
    options = parser.parse_args()
    found = options.methods or registry.methods.names()
    wrong = 0
    for name in found:
        if not is_source(registry.methods.get(name)):
            wrong += _run(name, torch.device(options.device), options.batch)
            gc.collect()
    sys.exit(bool(wrong))


def _run(name: str, device: torch.device, batch: int | None) -> int:
    """Step through every kind of stage of a method; return the number of failures."""
    made = registry.methods.get(name)
    default = made.Config()
    changes = {field.name: _FEWER[field.name] for field in fields(default) if field.name in _FEWER}
    config = replace(default, batch_size=batch or (2 if device.type == "cpu" else default.batch_size), **changes)
    with seeded(0, "method"):
        method = made(config)
    method.to(device).to(memory_format=torch.channels_last)
    expected, encoder = PUBLISHED[config.arch], parameter_count(method.encoder)
    wrong = int(encoder != expected)
    print(f"{name}: {config.arch} {encoder:,} parameters ({'as published' if not wrong else f'not {expected:,}'}), "
          f"{parameter_count(method):,} in all, {config.size_px} px, batch {config.batch_size}")  # fmt: skip
    for stage in _kinds(config.stages):
        losses, seconds = _step(method, stage, config.batch_size, device)
        wrong += not all(map(math.isfinite, losses.values()))
        told = ", ".join(f"{key} {value:.4f}" for key, value in losses.items())
        print(f"  {stage.name}: {seconds:.2f} s a step; {told}; peak {_peak_gib(device):.1f} GiB", flush=True)
    return wrong


def _kinds(stages: tuple[Stage, ...]) -> list[Stage]:
    """Return the first two stages and the last; the others differ only in level."""
    return list(dict.fromkeys([*stages[:2], stages[-1]]))


def _step(method: Any, stage: Stage, batch: int, device: torch.device) -> tuple[dict[str, float], float]:  # noqa: ANN401
    """Take one training step (on an accelerator some); return the last one's losses and its seconds."""
    data = PretrainData(pyramid=_Noise(), train=np.arange(6), validation=np.arange(6, 8), digest="noise")
    method.start_stage(stage)
    method.stage_data(stage, data, 0)
    method.train()
    optimisers = method.optimisers()
    told: dict[str, float] = {}
    for views in _views(method, stage, batch, device):
        start = time.perf_counter()
        for turn, optimiser in optimisers.items():
            with torch.autocast(device.type, torch.bfloat16, enabled=autocast_dtype(device) == torch.bfloat16):
                losses = method.losses(views, turn)
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(losses.values())).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            told |= {key: float(value.detach()) for key, value in losses.items()}
        method.after_step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return told, seconds


def _views(method: Any, stage: Stage, batch: int, device: torch.device) -> Iterator[Views]:  # noqa: ANN401
    maps, flipped = torch.eye(2, 3).repeat(batch, 1, 1).to(device), torch.zeros(batch, dtype=torch.bool, device=device)
    for step in range(1 if device.type == "cpu" else _STEPS):
        draw = torch.Generator().manual_seed(step)
        images = [torch.randn(batch, 3, r.size_px, r.size_px, generator=draw) for r in method.recipes(stage)]
        laid_out = [image.to(device).contiguous(memory_format=torch.channels_last) for image in images]
        labels = (torch.rand(batch, 14, generator=draw) < 0.3).float().to(device)
        samples = torch.arange(batch, device=device)
        yield Views(tuple(View(image, maps, flipped) for image in laid_out), samples, labels, draw)


def _peak_gib(device: torch.device) -> float:
    """Return the peak memory since the start, of the process or of the accelerator."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
