"""G2, G2b, G2c: the pruned loss on a card, against a loop over samples, plain logits and a step without pruning.

What was weighed, at 256 x 65,536 x 128 in float32 (``benchmarks.work`` counts operations and bytes, forward and
backward; every way needs the two products, 8.6 GFLOP, about 0.13 ms at an H100's 67 TFLOP/s; bytes at 3.0 TB/s):

| way | operations | moved | bytes' time | peak memory | measured on an H100 |
|---|---|---|---|---|---|
| plain logits and cross-entropy | 16 | 1,210 MB | 0.40 ms | 224 MiB | 0.78 ms |
| tiles of 256 x 8,192, 1 - s, counted into a buffer | 145 | 1,216 MB | 0.41 ms | 16 MiB | 2.2 to 4.0 ms |
| the same tiles, no buffer, one power for product and exponential | 78 | 677 MB | 0.23 ms | 8 MiB | not measured |
| **tiles of 32 MiB (256 x 32,768)**, the same passes | 42 | 675 MB | 0.22 ms | 32 MiB | not measured |
| the whole matrix at once | 36 | 675 MB | 0.22 ms | 64 MiB, above a quarter | not measured |
| one compiled kernel, the matrix never in memory | 3 | 34 MB | 0.01 ms | 8 MiB | not measured; needs Triton |

145 operations in 2.2 ms and more are 15 microseconds each: the small tiles were bound by launches, not by bytes, so the
tile grew until the memory's bar. At 15 microseconds 42 operations take 0.63 ms where nothing else is queued, and hide
behind the device's work in a step; there the loss costs about 0.35 ms, 0.4 % of a step of 94 ms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from benchmarks import pruner
from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, Equality, Side, against_rate, compare
from eden_bench.contracts import View, Views
from eden_bench.encoders import seeded
from pretrain.adam import Adam, AdamConfig
from pretrain.engine.optimisation import autocast

TITLE = "the pruned loss"
LIMIT_S = 25.0
_SHARE = 0.01


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G2b, G2, G13-loss and G2c."""
    parts = _problem(device, small)
    pruned = Side("fused, pruned", lambda: pruner.gradient(pruner.fused, parts, pruner.PRUNE_FROM))
    logits = Side("logits and cross-entropy", lambda: pruner.gradient(pruner.plain, parts))
    exact = pruner.equality(parts, pruner.PRUNE_FROM)
    title = "pruned InfoNCE, forward and backward"
    quarter = exact if small else _memory(exact, pruned.run, logits.run)
    yield compare("G2b", f"{title}, against plain logits, not pruned", pruned, logits, target=1.0, equality=quarter)
    yield hot_loop("G13-loss", title, pruned.run, device)
    loop = Side("a loop over samples", lambda: pruner.gradient(pruner.sample_by_sample, parts, pruner.PRUNE_FROM))
    yield compare("G2", f"{title}, against a loop over samples", pruned, loop, target=100, equality=exact)
    yield _in_a_step(pruned, device, small)


def _problem(device: torch.device, small: bool) -> tuple[Tensor, Tensor, Tensor]:
    query, key, queue = pruner.problem(str(device), 2_048 if small else pruner.QUEUE)
    return (query[:16], key[:16], queue) if small else (query, key, queue)


def _memory(clause: Equality, ours: Callable[[], object], theirs: Callable[[], object]) -> Equality:
    """Check the memory clause too: at most a quarter of the plain version's peak."""
    mine, plain = (_peak_mib(each) for each in (ours, theirs))
    text = f"{clause.text}; peak memory {mine:.0f} MiB, peer {plain:.0f} MiB, <= 1/4"
    return Equality(clause.holds and mine * 4 <= plain, text)


def _peak_mib(run: Callable[[], object]) -> float:
    """Measure peak memory above the inputs, and above what libraries keep after their first use."""
    run()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    run()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def _in_a_step(loss: Side, device: torch.device, small: bool) -> Bar:
    """Measure G2c: a step of Adam with pruning against one without, and the loss's share of it."""
    step, _ = step_of_adam(device, small)
    count = 1 if small else 4
    sides = [_steps(name, step, from_, count) for name, from_ in (("pruned", pruner.PRUNE_FROM), ("not pruned", None))]
    alone = against_rate("", "", loss, 1.0, equality=Equality(True, "")).ours_s
    whole = against_rate("", "", sides[0], 1.0, equality=Equality(True, "")).ours_s
    share = alone / whole
    clause = Equality(small or share <= _SHARE, f"the loss alone takes {share:.2%} of a step, <= {_SHARE:.0%}")
    return compare("G2c", "a step of Adam, with pruning / without", *sides, target=0.99, equality=clause)


def _steps(name: str, step: Callable[[float | None], None], prune_from: float | None, count: int) -> Side:
    return Side(name, lambda: [step(prune_from) for _ in range(count)], count)


def step_of_adam(device: torch.device, small: bool) -> tuple[Callable[[float | None], None], Adam]:
    """Return a training step of Adam on views that stay on the device, with the threshold to prune from; and Adam."""
    config = AdamConfig(bn_groups=1)
    if small:
        config = replace(config, arch="resnet18-w16", batch_size=8, size_px=32, queue_size=64)
    with seeded(0, "method"):
        method = Adam(config).to(device).to(memory_format=torch.channels_last)
    method.start_stage(config.stages[-1])
    method.train()
    optimiser = method.optimisers()["main"]
    views = noise(config, device)

    def step(prune_from: float | None) -> None:
        method.prune_from = prune_from
        with autocast(device):
            loss = method.losses(replace(views, generator=torch.Generator().manual_seed(0)))["contrast"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        method.after_step()

    return step, method


def noise(config: AdamConfig, device: torch.device) -> Views:
    """Draw two views of noise, channels last, on the device."""
    draw = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 3, config.size_px, config.size_px)
    maps, flipped = torch.eye(2, 3).repeat(shape[0], 1, 1), torch.zeros(shape[0], dtype=torch.bool)
    images: list[Tensor] = [torch.randn(shape, generator=draw).to(device) for _ in range(2)]
    laid_out = (image.contiguous(memory_format=torch.channels_last) for image in images)
    return Views(tuple(View(image, maps, flipped) for image in laid_out), torch.arange(shape[0]), generator=draw)
