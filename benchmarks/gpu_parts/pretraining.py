"""G13, G4, G1c, G1 and G1m: a pretraining step, the step fed, the whole engine at each level, and every other method.

The whole engine is ``pretrain`` itself, from a store in memory: plan, views, steps, validation on as large a share of
images as the paper's, history and a saved state are all in an epoch's seconds; the first epoch, which warms up, does
not count. Its peer is released code's way: a torchvision PIL loader from 1024-px PNG files, 16 workers, before the same
step. Words of TransVW have to be found first, which takes a trained network: of it the auto-encoder's step is measured.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks import train_step, views
from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, Equality, Side, attempted, compare, machine, skipped
from eden_bench import registry
from eden_bench.contracts import Context, PretrainConfig, PretrainData, View
from eden_bench.data.image_store import PyramidStore, pyramid_of
from eden_bench.errors import EdenError
from pretrain.adam import AdamConfig
from pretrain.engine import history, network
from pretrain.engine.data import VALIDATION_SHARE
from pretrain.engine.optimisation import autocast_dtype
from pretrain.engine.pretraining import pretrain
from pretrain.engine.speedups import tuned
from pretrain.engine.training import Training
from pretrain.views import decomposer
from tests.pretrain import tiny

TITLE = "pretraining"
LIMIT_S = 130.0
ASKED = 3_000
"""Anchors a second."""
_PEERS = 2.8
_WAIT = 0.02
_numbers = itertools.count()


class Sizes(NamedTuple):
    """How much is measured."""

    films: int
    images: int
    """In the store; films that stand there again."""
    steps: int
    """Of an epoch of the whole engine."""
    epochs: int
    workers: int
    """Of the peer's loader."""
    repeats: int


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield the bars, those that everything else rests on first."""
    sizes = Sizes(2, 16, 2, 3, 2, 7) if small else Sizes(16, 256, 20, 4, min(16, os.cpu_count() or 1), 7)
    config = tiny.config("adam", size_px=32) if small else AdamConfig()
    films = [views.noise(number) for number in range(sizes.films)]
    store = _store(films, sizes.images)
    with tempfile.TemporaryDirectory() as folder:
        files = _written(films, Path(folder))
        setting = Setting(store, Path(folder), device)
        made = Made("adam", config, setting)
        yield hot_loop("G13-pretraining", f"Adam's step, {config.bn_groups} groups, before", made.step, device)
        yield from _steps(made, config, setting, sizes, small)
        halved = replace(config, levels=(4,))
        fed = "an anchor fed by the view stream"
        yield attempted(
            "G1c", fed, lambda: train_step.end_to_end(sizes.repeats, str(device), halved, store, sizes.steps // 2)
        )
        for level in config.levels:
            at = replace(config, levels=(level,), epochs=sizes.epochs)
            yield attempted(
                f"G1-n{level}", "an anchor of Adam end to end", lambda at=at: _whole(at, setting, files, sizes)
            )
        for name in _methods():
            yield attempted(f"G1m-{name}", f"{name}'s step", lambda name=name: _method(name, setting, small))
        yield from _compiled(Made("adam", config, setting), made, small)  # last: a compiler may take a minute and more


class Setting(NamedTuple):
    """Images, a folder for what is made on the way, and the device."""

    store: PyramidStore
    folder: Path
    device: torch.device


class Made:
    """A method in the engine, at the start of a stage, with one batch of its views on the device."""

    def __init__(self, name: str, config: PretrainConfig, setting: Setting, stage: int = 0) -> None:
        folder = setting.folder / f"{name}-{next(_numbers)}"
        self.training = Training(
            name=name, config=config, data=_data(setting.store, config.batch_size, 1, 0), seed=0, folder=folder,
            context=Context(cache=folder), device=setting.device, recipe=name, save_every_s=1e9,
        )  # fmt: skip
        self.training.at.stage = stage
        self.training._start(config.stages[stage])
        batches = self.training._feed.train(0, 0)
        self.views = network.laid_out(next(batches))
        batches.close()

    def step(self) -> None:
        """Take the engine's step, with every turn, on the same views again."""
        self.training._step(replace(self.views, generator=torch.Generator().manual_seed(0)))


def _steps(made: Made, config: AdamConfig, setting: Setting, sizes: Sizes, small: bool) -> Iterator[Bar]:
    """Yield G4, what the groups cost, and what the speed-ups bring."""
    if small:
        yield skipped("G4", "ResNet-50 MoCo step", "a rehearsal has no card; on a processor it is C3")
    else:
        dtype = autocast_dtype(setting.device)
        yield attempted(
            "G4",
            "ResNet-50 MoCo step",
            lambda: train_step.step_bar("G4", 2.2, sizes.repeats, str(setting.device), dtype),
        )
    title, same = "an anchor of a step", Equality(True, "the same network, batch and data")
    grouped = Side(f"{config.bn_groups} groups", made.step, config.batch_size)
    one = Side("one group", Made("adam", replace(config, bn_groups=1), setting).step, config.batch_size)
    yield compare("G4-groups", f"{title}, groups / one group", grouped, one, target=0.9, equality=same)
    step = _tuned(made.step)
    tried = Side("cuDNN's algorithms timed", step, config.batch_size)
    yield compare("G4-tune", f"{title}, tuned / not", tried, grouped, target=1.0, equality=same)
    yield hot_loop("G13-pretraining-tuned", f"Adam's step, {config.bn_groups} groups, tune", step, setting.device)


def _tuned(step: Callable[[], None]) -> Callable[[], None]:
    """Return the step with cuDNN's algorithms timed.

    cuDNN's choice for a shape is kept under a key in which timing has no part but TF32 has: turned off, which no
    convolution in bf16 heeds, the choices of this side and of the other are apart.
    """

    def run() -> None:
        before = torch.backends.cudnn.allow_tf32
        torch.backends.cudnn.allow_tf32 = False
        try:
            with tuned(("tune",)):
                step()
        finally:
            torch.backends.cudnn.allow_tf32 = before

    return run


def _compiled(made: Made, plain: Made, small: bool) -> Iterator[Bar]:
    """Yield the step with compiled encoders; where they are not used the training has said why."""
    title, start = "an anchor of a step, compiled / not", time.perf_counter()
    if small:
        yield skipped("G4-compile", title, "a rehearsal compiles nothing")
        return
    made.training.speedups = ("compile",)
    made.training._compile(made.views)
    encoder = made.training.method.encoder
    if encoder._compiled_call_impl is None:
        yield skipped("G4-compile", title, "torch.compile failed or was refused, as its warning says")
        return
    text = f"checked against the plain step; compiled in {time.perf_counter() - start:.0f} s"
    units, device = plain.training.config.batch_size, made.training.device
    ours, peer = Side("encoders compiled", made.step, units), Side("not compiled", plain.step, units)
    yield compare("G4-compile", title, ours, peer, target=1.0, equality=Equality(True, text))
    yield hot_loop("G13-pretraining-compiled", "Adam's step, compile", made.step, device)


def _whole(config: AdamConfig, setting: Setting, files: list[Path], sizes: Sizes) -> Bar:
    """Measure G1 at a level: the engine's epochs but the first, and the peer's batches but the first."""
    level, anchors = config.levels[0], config.batch_size * sizes.steps
    folder = setting.folder / f"n{level}"
    data = _data(setting.store, config.batch_size, sizes.steps, max(1, round(VALIDATION_SHARE * anchors)))
    context = Context(cache=folder, device=str(setting.device))
    pretrain("adam", config, data, seed=0, folder=folder, context=context)
    epochs = [json.loads(line) for line in (folder / history.FILE).read_text().splitlines()][1:]
    ours_s = statistics.median(epoch["seconds"] for epoch in epochs) / anchors
    waited = sum(epoch["waited_s"] for epoch in epochs) / sum(epoch["seconds"] for epoch in epochs)
    theirs = _peer(config, setting, files, sizes)
    theirs_s, middle = statistics.median(theirs), len(theirs) // 2
    first, second = statistics.median(theirs[:middle]), statistics.median(theirs[middle:])
    reached = ours_s * ASKED <= 1 and waited <= _WAIT and theirs_s / ours_s >= _PEERS
    return Bar(
        id=f"G1-n{level}",
        title=f"an anchor of Adam end to end, n = {level}; asked: {ASKED:,} a second, waiting {_WAIT:.0%} at most",
        verdict="pass" if reached else "miss",
        ours=f"engine from the store, {1 / ours_s:,.0f} a second, waiting {waited:.1%} of the time",
        peer=f"the same step behind a PIL loader of {sizes.workers} workers",
        ours_s=ours_s,
        peer_s=theirs_s,
        ratio=theirs_s / ours_s,
        target=_PEERS,
        repeats=len(epochs),
        peer_halves=abs(first - second) / min(first, second),
        equality="method, batch, groups and precision are the same; validation and saving are in ours alone",
        machine=machine(),
    )


def _peer(config: AdamConfig, setting: Setting, files: list[Path], sizes: Sizes) -> list[float]:
    """Return seconds an anchor of each of the peer's batches but the first two."""
    made, times = Made("adam", config, setting), []
    data = Cells(
        list(itertools.islice(itertools.cycle(files), config.batch_size * 8)), config.levels[0], config.size_px
    )
    pinned = setting.device.type == "cuda"
    last = time.perf_counter()
    for pair in DataLoader(data, config.batch_size, num_workers=sizes.workers, pin_memory=pinned):
        images = [image.to(setting.device, non_blocking=True) for image in pair]
        seen = (View(image, old.to_anchor, old.flipped) for image, old in zip(images, made.views.views, strict=True))
        made.training._step(network.laid_out(replace(made.views, views=tuple(seen), generator=torch.Generator())))
        views.synchronised(None)
        times.append((time.perf_counter() - last) / config.batch_size)
        last = time.perf_counter()
    return times[2:]


class Cells(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """The peer's data: a PNG decoded, a cell of it drawn, two views of that."""

    def __init__(self, files: list[Path], level: int, size_px: int) -> None:
        self.files, self.grid, self.published = files, decomposer.grid(level), views.Published(size_px)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = Image.open(self.files[index]).convert("RGB")
        (rows, columns), (width, height) = self.grid, image.size
        row, column = (int(torch.randint(parts, ())) for parts in self.grid)
        h, w = height // rows, width // columns
        return self.published(image.crop((column * w, row * h, (column + 1) * w, (row + 1) * h)))


def _method(name: str, setting: Setting, small: bool) -> Bar:
    """Measure G1m: one step of a method at its paper's batch, in its last stage that starts from images alone."""
    config: Any = tiny.config(name) if small else registry.methods.get(name).Config()
    number = 0 if name == "transvw" else len(config.stages) - 1  # its words have to be found first
    id, on_card = f"G1m-{name}", setting.device.type == "cuda"
    title = f"{name}'s step, {config.arch}, batch {config.batch_size}, stage {config.stages[number].name}"
    gc.collect()  # what a method before it held in cycles
    if on_card:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    held = torch.cuda.memory_allocated() if on_card else 0
    try:
        found = hot_loop(id, title, Made(name, config, setting, number).step, setting.device, steps=1 if small else 2)
    except (EdenError, torch.OutOfMemoryError) as error:
        return skipped(id, title, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    peak_gib = (torch.cuda.max_memory_allocated() - held) / 2**30 if on_card else 0.0
    rate, memory = 1 / found.ours_s, f"peak memory {peak_gib:.1f} GiB" if on_card else "no card, no peak memory"
    text = f"{rate:.2f} steps/s, {rate * config.batch_size:,.0f} images/s, {memory}; {found.equality}"
    return replace(found, equality=text)


def _methods() -> list[str]:
    """Name every pretrained method but Adam, which has bars of its own."""
    found: dict[str, Any] = {name: registry.methods.get(name) for name in registry.methods.names() if name != "adam"}
    return [name for name, method in found.items() if issubclass(method.Config, PretrainConfig)]


def _store(films: list[np.ndarray], count: int) -> PyramidStore:
    """Return a store in memory of so many images, films that stand there again and again."""
    pixels = np.stack([pyramid_of(film) for film in films])[np.arange(count) % len(films)]
    return PyramidStore(Path(), tuple(map(str, range(count))), "", np.full((count, 2), 1024), pixels)


def _written(films: list[np.ndarray], folder: Path) -> list[Path]:
    """Write films as PNG files of 1024 px."""
    files = [folder / f"{number}.png" for number in range(len(films))]
    for file, film in zip(files, films, strict=True):
        cv2.imwrite(str(file), film)
    return files


def _data(store: PyramidStore, batch: int, steps: int, held_out: int) -> PretrainData:
    """Return so many batches of a store's images, repeated, and images held out."""
    count = len(store.native_px)
    return PretrainData(
        pyramid=store,
        train=np.resize(np.arange(count), batch * steps),
        validation=np.resize(np.arange(count), held_out),
        digest="noise",
        labels=(np.random.default_rng(0).random((count, 14)) < 0.3).astype(np.float32),
        provenance={"dataset": "noise"},
    )
