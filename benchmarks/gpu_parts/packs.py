"""G5, G5b, G5f, G6, G13: ten seeds of a small task on one card, against a process a seed written the usual way.

The task is drawn, of SCR's numbers (112 films to train, 12 to validate, 123 to test), at the protocol ``paper`` but for
its steps: 60 of 800, four seeds of ten. G5 reckons the whole run from two lengths of ours and the peer's time a step,
G5-short is what was measured. The peer (``benchmarks.packs_peer``) is a process a seed: PNG files, cv2, albumentations
(where it is installed, else OpenCV's flip and affine map, which are less), eight workers of a DataLoader,
segmentation-models-pytorch's U-Net, bf16. Dropped against the bar's text: records are returned and not stored, some
milliseconds each. Each time is measured once.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from benchmarks import packs_peer
from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, attempted, machine, skipped, stated
from eden_bench.contracts import Context, DatasetCard, DatasetIndex, Item, Outcome
from eden_bench.contracts.datasets import DatasetOptions
from eden_bench.encoders import build_encoder
from tasks.finetuning import SegmentationTask
from tasks.finetuning.splits import choose
from tasks.finetuning.steps import stepper

TITLE = "ten seeds of a small task in one process"
LIMIT_S = 90.0
_FACTOR, _GRID, _WITHIN = 6.0, 10.0, 1e-3
_PAPER_STEPS, _MOST_S = 800, 10.0
_AT_ONCE = 3
TASK = SegmentationTask(name="drawn-heart", dataset="drawn", title="Drawn heart", structures=("heart",))


class Setting(NamedTuple):
    """Sizes of the measurement."""

    train: int
    test: int
    side_px: int
    arch: str
    seeds: int
    steps: int
    workers: int


FULL, SMALL = Setting(124, 123, 224, "resnet50", 4, 60, 8), Setting(20, 6, 32, "resnet18-w16", 2, 6, 0)


class Drawn(DatasetOptions):
    """Films of a bright ellipse on a dim field, as PNG files."""

    name = "drawn"
    card = DatasetCard(
        title="drawn", modality="chest-x-ray", citation="", licence="", source="", folders=("drawn",), expected_images=0
    )

    def read_image(self, item: Item) -> np.ndarray:
        """Read a film, (H, W) uint8."""
        return _read(item.image)

    def read_mask(self, item: Item, structure: str) -> np.ndarray:
        """Read a mask, (H, W) bool."""
        return _read(item.masks[structure][0]) > 0


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G13-step, G13-captured, G5f, G5b, G5 and G6."""
    sizes = SMALL if small else FULL
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_films(folder, sizes)
        for capture in (False, True):
            yield _hot_loop(folder, sizes, device, capture)
        startup_s = _timed(lambda: _process(__name__, folder, device, 1))
        _seeds(folder, sizes._replace(seeds=1, steps=2), device)  # untimed: what is first run loads and chooses
        alone, plain_s = _seeds(folder, sizes, device)
        recorded, captured_s = _seeds(folder, sizes, device, capture=True)
        packed, packed_s = _seeds(folder, sizes, device, at_once=_AT_ONCE)
        _, both_s = _seeds(folder, sizes, device, capture=True, at_once=_AT_ONCE)
        yield _against_alone(alone, packed, packed_s, plain_s)
        text, shared_s = f"{startup_s:.1f} s a process of one step", startup_s / 10 + plain_s
        yield _factor("G5f-start", "start-up and data, shared by ten seeds", shared_s, startup_s + plain_s, text)
        refused = recorded[0].training.get("not_captured") or ("" if device.type == "cuda" else "needs CUDA")
        yield _factor("G5f-capture", "a seed's steps replayed, its recording in it", captured_s, plain_s, refused)
        by_turns = f"without capture {plain_s / packed_s:.2f}x"
        yield _factor("G5f-overlap", f"{_AT_ONCE} seeds under way at a time, captured", both_s, captured_s, by_turns)
        best = min((captured_s, True, 1), (packed_s, False, _AT_ONCE), (both_s, True, _AT_ONCE), (plain_s, False, 1))
        _, half_s = _seeds(folder, sizes._replace(steps=sizes.steps // 2), device, capture=best[1], at_once=best[2])
        ours = Way(startup_s / 10, best[0], max(0.0, best[0] - half_s) / (sizes.steps - sizes.steps // 2))
        yield from _against_peer(ours, startup_s, folder, sizes, device)


class Way(NamedTuple):
    """What a seed costs."""

    startup_s: float
    """Its share of a process's start-up, where ``measured_s`` is without."""
    measured_s: float
    step_s: float
    """One step more, its share of the validations in it."""

    def whole_s(self, steps: int) -> float:
        """Reckon the seconds of a seed of the paper's steps from one of fewer."""
        return self.startup_s + self.measured_s + (_PAPER_STEPS - steps) * self.step_s


def _factor(id: str, title: str, with_s: float, without_s: float, text: str) -> Bar:
    """State one of the factors of a pack: a seed's time with and without it."""
    found = f"{without_s:.2f} s a seed without, {without_s / with_s:.2f}x"
    return stated(id, title, f"{found}; {text}" if text else found, "a seed", with_s)


def _against_peer(ours: Way, startup_s: float, folder: Path, sizes: Setting, device: torch.device) -> Iterator[Bar]:
    """Yield G5, reckoned for the paper's steps, G5-short, as measured, and G6."""
    titles = {"G5": f"ten seeds of {_PAPER_STEPS} steps, a seed, reckoned", "G6": "a few-shot grid of 8 runs"}
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        yield from (
            skipped(id, title, "peer not installed: segmentation-models-pytorch") for id, title in titles.items()
        )
        return
    told: list[Any] = []
    taken_s = _timed(lambda: told.append(_process(packs_peer.__name__, folder, device, sizes.steps, sizes.workers)))
    peer = Way(0.0, taken_s, told[0]["step_s"])
    mine, theirs = ours.whole_s(sizes.steps), peer.whole_s(sizes.steps)
    each = f"a step {ours.step_s * 1e3:.1f} ms, the peer's {peer.step_s * 1e3:.1f} ms"
    found = _bar("G5", titles["G5"], mine, theirs, _FACTOR, True, f"{each}; asked: 10 s a seed; peer: {_peer_is()}")
    told_apart = min(ours.step_s, peer.step_s) > 0  # else the two lengths say nothing of a step
    yield replace(found, verdict="unsteady" if not told_apart else found.verdict if mine <= _MOST_S else "miss")
    short_s = ours.startup_s + ours.measured_s
    measured = f"the peer {taken_s:.1f} s, {taken_s / short_s:.1f}x: a start-up weighs more here than in a whole run"
    yield stated("G5-short", f"ten seeds of {sizes.steps} steps, as measured", measured, "a seed", short_s)

    def grid() -> Bar:
        seconds, runs = _grid(folder, sizes, device)
        return _bar("G6", titles["G6"], (startup_s + seconds) / runs, taken_s, _GRID, True, "the same steps a run")

    yield attempted("G6", titles["G6"], grid)


def write_films(folder: Path, sizes: Setting) -> None:
    """Write films and masks."""
    for number in range(sizes.train + sizes.test):
        draw = np.random.default_rng(number)
        y, x = np.mgrid[:256, :256] / 256
        left, radius = draw.uniform(0.3, 0.7), draw.uniform(0.12, 0.3)
        mask = ((x - left) / radius) ** 2 + ((y - 0.5) / radius) ** 2 < 1
        film = np.clip(90 + 70 * mask + draw.normal(0, 12, mask.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"film{number:03d}.png"), film)
        cv2.imwrite(str(folder / f"mask{number:03d}.png"), mask.astype(np.uint8) * 255)


def opened(folder: Path, sizes: Setting, device: torch.device, *, capture: bool = False, at_once: int = 1) -> Any:  # noqa: ANN401
    """Open the task: SCR's numbers, the paper's protocol with fewer steps."""
    names = range(sizes.train + sizes.test)
    items = tuple(_item(folder, number, "train" if number < sizes.train else "test") for number in names)
    index = DatasetIndex(dataset="drawn", root=folder, items=items, expected_images=len(items), phantom=True)
    protocol = replace(TASK.paper, size_px=sizes.side_px, score_px=sizes.side_px, max_steps=sizes.steps)
    protocol = (
        replace(protocol, capture=capture, decoder_channels=(64, 32, 16, 16, 8))
        if sizes is SMALL
        else replace(protocol, capture=capture)
    )
    drawn: Any = Drawn()
    context = Context(cache=folder / "cache", device=str(device), dataset=drawn, at_once=at_once)
    return TASK.open(index, protocol, context)


def _item(folder: Path, number: int, split: Any) -> Item:  # noqa: ANN401 - one of two words
    masks = {"heart": (folder / f"mask{number:03d}.png",)}
    return Item(
        id=f"{number:03d}", patient=f"p{number}", split=split, image=folder / f"film{number:03d}.png", masks=masks
    )


def _read(path: Path) -> np.ndarray:
    read: Any = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return np.asarray(read)


def _hot_loop(folder: Path, sizes: Setting, device: torch.device, capture: bool) -> Bar:
    """Profile one step: batch made, forward, backward, optimiser."""
    task = opened(folder, sizes, device, capture=capture)
    chosen = choose(task.splits, task.protocol, 0, None, None)
    network = task.network(build_encoder(sizes.arch, 0), 0)
    problem = task._problem(network, chosen, 0)
    take = stepper(network, problem.prepare, problem.loss, task.protocol, device)
    rows = chosen.train[: min(28, len(chosen.train))]
    take(rows, 0, 1e-4)
    told = {**take.told}.get("not_captured", "")
    id, when = ("G13-finetuning-captured", "after") if capture else ("G13-finetuning", "before")
    bar = hot_loop(id, f"a fine-tuning step, {when}", lambda: take(rows, 0, 1e-4), device)
    return replace(bar, equality=f"{bar.equality}; {told or ('captured' if task.protocol.capture else 'not captured')}")


def _seeds(
    folder: Path, sizes: Setting, device: torch.device, *, capture: bool = False, at_once: int = 1
) -> tuple[dict[int, Outcome], float]:
    """Run all seeds in this process; return outcomes and seconds a seed."""
    task = opened(folder, sizes, device, capture=capture, at_once=at_once)
    results: dict[int, Outcome] = {}
    seconds = _timed(
        lambda: results.update(task.run_many(lambda seed: build_encoder(sizes.arch, seed), range(sizes.seeds)))
    )
    for outcome in results.values():
        if isinstance(outcome, BaseException):
            raise outcome
    return results, seconds / sizes.seeds


def _against_alone(alone: dict[int, Outcome], packed: dict[int, Outcome], packed_s: float, alone_s: float) -> Bar:
    """Compare every validation loss of a packed seed with the same seed's alone."""
    curves = [
        (theirs, ours)
        for seed in alone
        for (_, theirs), (_, ours) in zip(
            alone[seed].training["validation_curve"], packed[seed].training["validation_curve"], strict=True
        )
    ]
    worst = max(abs(ours - theirs) / abs(theirs) for theirs, ours in curves)
    scores = max(abs(alone[seed].scores["dice"] - packed[seed].scores["dice"]) for seed in alone)
    text = f"{len(curves)} validation losses differ by at most {worst:.1e} <= {_WITHIN:g}, Dice by {scores:.1e}"
    return _bar("G5b", "seeds by turns, against the same seeds alone", packed_s, alone_s, 0.0, worst <= _WITHIN, text)


def _grid(folder: Path, sizes: Setting, device: torch.device) -> tuple[float, int]:
    """Run a few-shot grid in this process: two sizes, two encoders, two seeds; return seconds and runs."""
    task = opened(folder, sizes, device, at_once=_AT_ONCE)

    def run() -> None:
        for shots in (6, 12):
            for first in (0, 100):
                for _, outcome in task.run_many(
                    lambda seed, of=first: build_encoder(sizes.arch, of + seed), (0, 1), shots
                ):
                    if isinstance(outcome, BaseException):
                        raise outcome

    return _timed(run), 8


def _bar(id: str, title: str, ours_s: float, peer_s: float, target: float, equal: bool, text: str) -> Bar:
    verdict: Any = "unequal" if not equal else "pass" if peer_s / ours_s >= target else "miss"
    return Bar(
        id=id,
        title=title,
        verdict=verdict,
        ours="a pack in one process",
        peer="alone" if id == "G5b" else "a process a seed",
        ours_s=ours_s,
        peer_s=peer_s,
        ratio=peer_s / ours_s,
        target=target,
        repeats=1,
        equality=text,
        machine=machine(),
    )


def _timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _process(module: str, folder: Path, device: torch.device, steps: int, workers: int = 0) -> Any:  # noqa: ANN401 - JSON
    """Run one seed of a side in a process of its own; return what it prints."""
    words = [str(folder), str(device), str(steps), str(workers)]
    done = subprocess.run([sys.executable, "-m", module, *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{module}: {(done.stderr.strip().splitlines() or ['nothing said'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def _peer_is() -> str:
    return "albumentations" if importlib.util.find_spec("albumentations") else "albumentations not installed, OpenCV"


def _main(folder: str, device: str, steps: str, workers: str) -> None:
    """Run one seed of ours in this process, as ``measure`` asks for it."""
    sizes = FULL if len(list(Path(folder).glob("film*.png"))) > SMALL.train + SMALL.test else SMALL
    task = opened(Path(folder), sizes._replace(steps=int(steps)), torch.device(device))
    print(json.dumps(task.run(build_encoder(sizes.arch, 0), 0).scores["dice"]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
