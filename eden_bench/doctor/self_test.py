"""Ten seconds of work: what this machine reaches, beside what it should.

Products and convolutions, a memory copy, a training step of ResNet-50, decoding of films, and flushing to the disk. A
measurement that fails is a note and stops no other.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from eden_bench.devices import cpu_threads, fast_precision
from eden_bench.doctor.checks import Check
from eden_bench.doctor.expected import FLOORS, Card, card_of, step_rate
from eden_bench.settings import Settings, resolve_device

if TYPE_CHECKING:
    import torch

_BUDGET_S = 10.0
_EACH_S = 0.5
SLOW = 0.5
"""Share of what it should reach below which a machine is called slow."""
_FLUSH_S = 0.05
"""Above it a small file on a disk takes long to flush: a disk over a network, or one that others use."""
_FLUSHES = 10


class Rate(NamedTuple):
    """What was reached, and what should be: units a second; 0 where nothing is published."""

    found: float
    expected: float
    text: str
    """With "{}" for what was reached."""
    scale: float = 1.0


class Bench(NamedTuple):
    """Where the self-test works."""

    device: str
    name: str
    """The card's; "" for a processor."""
    threads: int
    folder: Path

    @property
    def dtype(self) -> torch.dtype:
        """The precision of runs on this device."""
        import torch

        return torch.bfloat16 if fast_precision(self.device) == "bfloat16" else torch.float32

    def expects(self, of_card: Callable[[Card], float], kind: str) -> float:
        """Return what is expected: of a known card by its peaks, of a processor by its threads."""
        if self.device == "cpu":
            return FLOORS[kind] * self.threads
        card = card_of(self.name)
        return of_card(card) if card else 0.0

    @property
    def flops(self) -> tuple[str, float]:
        """Unit of arithmetic that suits the device, and its size."""
        return ("GFLOP/s", 1e9) if self.device == "cpu" else ("TFLOP/s", 1e12)


def self_test(settings: Settings) -> Iterator[Check]:
    """Run every measurement and yield its check, within about ten seconds."""
    try:
        bench = _bench(settings)
    except Exception as error:  # noqa: BLE001, RUF100 - a broken machine raises anything
        yield Check("self-test", "error", f"no device to test ({type(error).__name__}: {_first_line(error)})")
        return
    with cpu_threads(bench.threads):
        until = time.monotonic() + _BUDGET_S
        for name, measure in _MEASUREMENTS.items():
            yield _checked(f"{name} on {bench.device}", measure, bench, until)


def _bench(settings: Settings) -> Bench:
    device = resolve_device(settings.device)
    name = "" if device == "cpu" else device
    if device.startswith("cuda"):
        import torch

        name = torch.cuda.get_device_name(device)
    there = next(place for place in (settings.cache, *settings.cache.parents) if place.exists())
    return Bench(device, name, settings.threads, there)


def _checked(name: str, measure: Callable[[Bench], Rate], bench: Bench, until: float) -> Check:
    """Run one measurement and judge it."""
    if time.monotonic() > until:
        return Check(name, "note", f"left out: {_BUDGET_S:g} s were over, so this machine is slow or busy")
    try:
        rate = measure(bench)
    except Exception as error:  # noqa: BLE001, RUF100 - as above; the next measurement may work
        return Check(name, "note", f"could not be measured ({type(error).__name__}: {_first_line(error)})")
    return judged(name, rate, bench)


def judged(name: str, rate: Rate, bench: Bench) -> Check:
    """Say what was reached and should be, and whether that is much less."""
    found, expected = (f"{value / rate.scale:,.3g}" for value in rate[:2])
    text = rate.text.format(found)
    if not rate.expected:
        return Check(name, "ok", f"{text}; nothing published is known of {bench.name}")
    told = f"{text}, {rate.found / rate.expected:.0%} of the {expected} that {bench.name or 'it'} should reach"
    if rate.found >= SLOW * rate.expected:
        return Check(name, "ok", told)
    return Check(name, "note", f"{told}: much slower than it should be; does other work run on it, or is it throttled?")


def _matmul(bench: Bench) -> Rate:
    import torch

    side = 8192 if bench.device != "cpu" else 1024
    a = torch.ones(side, side, device=bench.device, dtype=bench.dtype)
    out = torch.empty_like(a)
    rate = _rate(lambda: torch.mm(a, a, out=out), 2 * side**3, bench)
    expected, (unit, size) = bench.expects(lambda card: card.tflops * 1e12 * 0.75, "matmul"), bench.flops
    return Rate(rate, expected, f"matrix products in {_short(bench.dtype)}: {{}} {unit}", size)


def _convolution(bench: Bench) -> Rate:
    import torch

    batch = 256 if bench.device != "cpu" else 4
    images = torch.ones(batch, 256, 14, 14, device=bench.device, dtype=bench.dtype)
    images = images.to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(256, 256, 3, padding=1, bias=False).to(images)
    with torch.inference_mode():
        rate = _rate(lambda: layer(images), 2 * batch * 14 * 14 * 256 * 256 * 9, bench)
    expected, (unit, size) = bench.expects(lambda card: card.tflops * 1e12 * 0.4, "matmul"), bench.flops
    return Rate(rate, expected, f"3 x 3 convolutions in {_short(bench.dtype)}: {{}} {unit}", size)


def _copy(bench: Bench) -> Rate:
    import torch

    size = 2**30 if bench.device != "cpu" else 2**27
    a, b = (torch.zeros(size, dtype=torch.uint8, device=bench.device) for _ in range(2))
    expected = bench.expects(lambda card: card.gb_s * 1e9 * 0.8, "copy")
    return Rate(_rate(lambda: b.copy_(a), 2 * size, bench), expected, "memory read and written: {} GB/s", 1e9)


def _step(bench: Bench) -> Rate:
    import torch
    from torchvision.models import resnet50

    batch = 128 if bench.device != "cpu" else 2
    network = resnet50(weights=None).to(bench.device).to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.0, fused=True)
    images = torch.zeros(batch, 3, 224, 224, device=bench.device).to(memory_format=torch.channels_last)

    def step() -> None:
        with torch.autocast(bench.device.partition(":")[0], torch.bfloat16, enabled=bench.dtype == torch.bfloat16):
            loss = network(images).float().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    expected = bench.expects(step_rate, "step")
    return Rate(_rate(step, batch, bench), expected, f"ResNet-50 trained at batch {batch}: {{}} images/s")


def _decode(bench: Bench) -> Rate:
    import cv2
    import numpy as np

    small = np.random.default_rng(0).normal(128, 40, (64, 64)).clip(0, 255).astype(np.uint8)
    film = cv2.resize(small, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    file = cv2.imencode(".png", film)[1]
    rate = _rate(lambda: cv2.imdecode(file, cv2.IMREAD_GRAYSCALE), 1, bench)
    return Rate(rate * bench.threads, FLOORS["decode"] * bench.threads, f"films of 1,024 px decoded: {{}} a second by "
                f"{bench.threads} threads")  # fmt: skip


def _flush(bench: Bench) -> Rate:
    with tempfile.TemporaryDirectory(dir=bench.folder, prefix=".self-test-") as folder:
        start = time.perf_counter()
        for number in range(_FLUSHES):
            with (Path(folder) / str(number)).open("wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
        each = (time.perf_counter() - start) / _FLUSHES
    return Rate(1 / each, 1 / _FLUSH_S, f"files flushed in {bench.folder}: {{}} a second")


_MEASUREMENTS: dict[str, Callable[[Bench], Rate]] = {
    "matmul": _matmul,
    "convolution": _convolution,
    "memory copy": _copy,
    "decoder": _decode,
    "disk flush": _flush,
    "training step": _step,
}


def _rate(work: Callable[[], object], units: float, bench: Bench) -> float:
    """Return units a second by the fastest of some repeats, after an untimed one."""
    took: list[float] = []
    begun = time.perf_counter()
    work()
    _wait(bench)
    while not took or time.perf_counter() - begun < _EACH_S:
        start = time.perf_counter()
        work()
        _wait(bench)
        took.append(time.perf_counter() - start)
    return units / min(took)


def _wait(bench: Bench) -> None:
    if bench.device != "cpu":
        import torch

        getattr(torch, bench.device.partition(":")[0]).synchronize()


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
