"""G5, G5b, G5f, G6, G13: ten seeds of a small task on one card, against a process a seed written the usual way.

The task is drawn, of SCR's numbers (112 films to train, 12 to validate, 123 to test), at the protocol ``paper`` but for
its steps: 60 of 800, four seeds of ten, so that a start-up weighs more here than in a whole run; the text of G5 reckons
the whole run from the parts. The peer is a process a seed: PNG files, cv2, albumentations (where it is installed, else
OpenCV's flip and affine map, which are less), eight workers of a DataLoader, segmentation-models-pytorch's U-Net, bf16.
Dropped against the bar's text: records are returned and not stored, some milliseconds each. Each time is measured once.

    python -m benchmarks.gpu_parts.packs peer FOLDER cuda 60     # what G5 starts for its peer
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
import segmentation_models_pytorch as smp
import torch
from torch.utils.data import DataLoader

from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, machine, stated
from eden_bench.contracts import Context, DatasetCard, DatasetIndex, Item, Outcome
from eden_bench.contracts.datasets import DatasetOptions
from eden_bench.encoders import build_encoder
from tasks.finetuning import SegmentationTask
from tasks.finetuning.networks import soft_dice_loss
from tasks.finetuning.splits import choose
from tasks.finetuning.steps import stepper

TITLE = "ten seeds of a small task in one process"
LIMIT_S = 90.0
_FACTOR, _GRID, _WITHIN = 6.0, 10.0, 1e-3
_PAPER_STEPS = 800
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
        startup_s = _timed(lambda: _process("ours", folder, device, 1, 1))
        alone, alone_s = _seeds(folder, sizes, device)
        _, captured_s = _seeds(folder, sizes, device, capture=True)
        packed, packed_s = _seeds(folder, sizes, device, at_once=_AT_ONCE)
        _, both_s = _seeds(folder, sizes, device, capture=True, at_once=_AT_ONCE)
        parts = {"plain": alone_s, "captured": captured_s, "by turns": packed_s, "captured and by turns": both_s}
        yield stated("G5f", "a pack's factors", _factors(startup_s, parts, sizes), "a seed", min(parts.values()))
        yield _against_alone(alone, packed, packed_s, alone_s)
        peer_s = _timed(lambda: _process("peer", folder, device, sizes.steps, sizes.workers))
        yield _against_peer(startup_s, min(parts.values()), peer_s, sizes)
        grid_s, runs = _grid(folder, sizes, device)
        ours_s = (startup_s + grid_s) / runs
        yield _bar("G6", f"a few-shot grid of {runs} runs", ours_s, peer_s, _GRID, True, "the same steps a run")


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
    bar = hot_loop("G13-captured" if capture else "G13-step", "a fine-tuning step", lambda: take(rows, 0, 1e-4), device)
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


def _factors(startup_s: float, parts: dict[str, float], sizes: Setting) -> str:
    ways = "; ".join(f"{name} {seconds:.2f} s, {parts['plain'] / seconds:.2f}x" for name, seconds in parts.items())
    return f"start-up and data {startup_s:.1f} s a process; {sizes.steps} steps and the test films a seed: {ways}"


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


def _against_peer(startup_s: float, seed_s: float, peer_s: float, sizes: Setting) -> Bar:
    """Return G5 as measured, ten seeds a process, and reckoned for the paper's steps."""
    whole = seed_s * _PAPER_STEPS / sizes.steps
    text = f"at {_PAPER_STEPS} steps: about {startup_s / 10 + whole:.1f} s a seed (asked: 10 s); peer: {_peer_is()}"
    title = f"ten seeds of {sizes.steps} steps, a seed"
    return _bar("G5", title, startup_s / 10 + seed_s, peer_s, _FACTOR, True, text)


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


def _process(what: str, folder: Path, device: torch.device, steps: int, workers: int) -> None:
    words = [what, str(folder), str(device), str(steps), str(workers)]
    subprocess.run([sys.executable, "-m", __name__, *words], check=True, capture_output=True)


def _peer_is() -> str:
    return "albumentations" if importlib.util.find_spec("albumentations") else "albumentations not installed, OpenCV"


class Files:
    """The peer's training set: files that are read and augmented anew by each worker."""

    def __init__(self, folder: Path, names: range, side_px: int, *, augment: bool) -> None:
        self.folder, self.names, self.side_px = folder, names, side_px
        self.augment = _augmentation() if augment else None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, torch.Tensor]:
        number, side = self.names[place], (self.side_px, self.side_px)
        film = cv2.resize(_read(self.folder / f"film{number:03d}.png"), side, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(_read(self.folder / f"mask{number:03d}.png"), side, interpolation=cv2.INTER_NEAREST)
        film = np.repeat(np.asarray(film)[..., None], 3, axis=2)
        if self.augment is not None:
            film, mask = self.augment(film, mask)
        return torch.from_numpy(film.transpose(2, 0, 1) / np.float32(255)), torch.from_numpy(mask > 0)[None].float()


def _augmentation() -> Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return albumentations' chain of the paper, or a flip and an affine map by OpenCV."""
    if importlib.util.find_spec("albumentations") is None:
        return _flipped_and_moved
    import albumentations as alb  # type: ignore[import-not-found]

    bends = [alb.ElasticTransform(alpha=120, sigma=6), alb.GridDistortion(), alb.OpticalDistortion(distort_limit=2)]
    lights = [alb.RandomBrightnessContrast(p=1), alb.RandomGamma(p=1)]
    chain = alb.Compose([alb.OneOf(lights, p=0.3), alb.OneOf(bends, p=0.3)])

    def augment(film: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        made = chain(image=film, mask=mask)
        return made["image"], made["mask"]

    return augment


def _flipped_and_moved(film: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    draw, side = np.random.default_rng(), film.shape[0]
    matrix = np.eye(2, 3, dtype=np.float32) + draw.normal(0, 0.03, (2, 3)).astype(np.float32)
    film = np.asarray(cv2.warpAffine(film, matrix, (side, side)))
    mask = np.asarray(cv2.warpAffine(mask, matrix, (side, side), flags=cv2.INTER_NEAREST))
    return (film[:, ::-1].copy(), mask[:, ::-1].copy()) if draw.random() < 0.5 else (film, mask)


def peer(folder: Path, device: torch.device, steps: int, workers: int) -> float:
    """Fine-tune a U-Net as it is usually written; return its Dice on the test films."""
    sizes = FULL if len(list(folder.glob("film*.png"))) > SMALL.train + SMALL.test else SMALL
    held = sizes.train // 10
    parts = {"train": range(sizes.train - held), "check": range(sizes.train - held, sizes.train)}
    parts["test"] = range(sizes.train, sizes.train + sizes.test)
    sets = {name: Files(folder, names, sizes.side_px, augment=name == "train") for name, names in parts.items()}
    load: Any = {"batch_size": 32 if sizes is FULL else 5, "num_workers": workers, "persistent_workers": workers > 0}
    made: Any = DataLoader
    loaders = {name: made(each, shuffle=name == "train", **load) for name, each in sets.items()}
    network = smp.Unet("resnet50" if sizes is FULL else "resnet18", encoder_weights=None).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-4)
    taken = 0
    while taken < steps:
        network.train()
        for films, masks in loaders["train"]:
            loss = soft_dice_loss(_logits(network, films, device), masks.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            taken += 1
            loss.item()
        _dice(network, loaders["check"], device)
    return _dice(network, loaders["test"], device)


def _logits(network: torch.nn.Module, films: torch.Tensor, device: torch.device) -> torch.Tensor:
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits: torch.Tensor = network(films.to(device))
    return logits.float()


@torch.inference_mode()
def _dice(network: torch.nn.Module, loader: Any, device: torch.device) -> float:  # noqa: ANN401 - a DataLoader
    network.eval()
    values = [1 - float(soft_dice_loss(_logits(network, films, device), masks.to(device))) for films, masks in loader]
    return float(np.mean(values))


def _main(what: str, folder: str, device: str, steps: str, workers: str = "8") -> None:
    """Run one seed of a side in this process, as ``measure`` asks for it."""
    on = torch.device(device)
    if what == "peer":
        print(json.dumps(peer(Path(folder), on, int(steps), int(workers))))
        return
    sizes = FULL if len(list(Path(folder).glob("film*.png"))) > SMALL.train + SMALL.test else SMALL
    task = opened(Path(folder), sizes._replace(steps=int(steps)), on)
    print(json.dumps(task.run(build_encoder(sizes.arch, 0), 0).scores["dice"]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
