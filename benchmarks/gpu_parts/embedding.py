"""G8: landmark patches embedded from the store, against torchvision's network behind a PIL loader.

The peer reads each patch as is usual: a worker opens the film, crops, resizes and normalises it, and torchvision's
network in float32 encodes batches of 64. Ours cuts patches from the decoded store, in threads, while the card encodes.
Both start warm: files are in memory, workers run. ``G8-float32`` is what a probe declares unless its protocol says
otherwise; ``G8`` itself is asked to be fast, bf16 where the card multiplies it faster.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet50
from torchvision.transforms import functional

from benchmarks.launches import hot_loop
from benchmarks.timing import Bar, Equality, Seconds, Side, compare
from benchmarks.views import noise
from eden_bench.contracts import NORMALISATIONS, Features
from eden_bench.encoders import Encoder, build_encoder, features
from tasks.probes.patches import around, cut_ahead

TITLE = "embedding of landmark patches"
LIMIT_S = 35.0
TARGET = 5.0
_SHARE = 0.15
"""Side of a patch as a share of the film's."""
_BATCH, _CUTTERS = 64, 4
_LEAST = 0.99


def measure(device: torch.device, small: bool) -> Iterator[Bar]:
    """Yield G8, G8-float32 and G13-embedding."""
    films, ours_count, their_count, workers = (2, 8, 8, 1) if small else (64, 2_048, 768, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        store, files = _films(Path(folder), films)
        rows, boxes = _boxes(max(ours_count, their_count), films, store.shape[1])
        encoder = build_encoder("resnet50", seed=0).to(device).eval()
        data = Patches([files[row] for row in rows[:their_count]], boxes[:their_count])
        theirs = loop(data, peer_of(encoder).to(device), workers, batch=2 if small else _BATCH)
        peer = Side(f"torchvision, PIL loader, {workers} workers", theirs, their_count - theirs.batch)
        for id, precision in (("G8", "fast"), ("G8-float32", "float32")):
            wanted = Features(precision=precision)  # type: ignore[arg-type]
            embed = from_store(store, rows[:ours_count], boxes[:ours_count], encoder, wanted)
            ours = Side(f"store, {_CUTTERS} threads, {precision}", embed, ours_count)
            equal = agreement(embed(), theirs.embedded)
            yield compare(id, "landmark patches of 224 px embedded", ours, peer, target=TARGET, equality=equal)
        count = 8 if small else 256
        (patches,) = cut_ahead(store, rows[:count], boxes[:count], 224, 0)
        wanted, title = Features(precision="fast"), f"{len(patches)} patches embedded"
        usual = _usual(theirs.network, data, min(count, _BATCH), count, device)
        steps = 1 if small else 8
        yield hot_loop("G13-embedding", f"{title}, before: the peer's loop", usual, device, steps)
        yield hot_loop(
            "G13-embedding-fast", f"{title}, after", lambda: features(encoder, patches, wanted), device, steps
        )


def _usual(
    network: torch.nn.Module, data: Patches, batch: int, count: int, device: torch.device
) -> Callable[[], object]:
    """Return the peer's loop over patches that are made already."""
    values = torch.stack([data[row] for row in range(batch)])

    @torch.inference_mode()
    def run() -> object:
        return [network(values.to(device)).cpu() for _ in range(count // batch)]

    return run


def _films(folder: Path, count: int) -> tuple[np.ndarray, list[Path]]:
    """Write smooth films of 1024 px as PNG; return them decoded, too."""
    drawn = [noise(number) for number in range(min(count, 8))]
    store = np.stack([drawn[number % 8] for number in range(count)])
    files = [folder / f"{number}.png" for number in range(count)]
    for file, film in zip(files, store, strict=True):
        cv2.imwrite(str(file), film)
    return store, files


def _boxes(count: int, films: int, size_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw which film each patch is of, and its box, inside the film."""
    draw = np.random.default_rng(0)
    points = draw.uniform(_SHARE * size_px, (1 - _SHARE) * size_px, (count, 2))
    return draw.integers(0, films, count), around(points, _SHARE, size_px)


def from_store(
    store: np.ndarray, rows: np.ndarray, boxes: np.ndarray, encoder: Encoder, wanted: Features
) -> Callable[[], np.ndarray]:
    """Return a function that embeds patches as a probe does (``tasks.probes.base``)."""
    device = next(encoder.parameters()).device
    threads = 0 if device.type == "cpu" else _CUTTERS

    def embed() -> np.ndarray:
        parts = cut_ahead(store, rows, boxes, wanted.size_px, threads)
        return np.concatenate([features(encoder, part, wanted) for part in parts])

    return embed


class Patches(Dataset[torch.Tensor]):
    """The peer's data: each patch opened, cropped, resized and normalised by PIL and torchvision."""

    def __init__(self, files: list[Path], boxes: np.ndarray) -> None:
        self.files, self.boxes = files, boxes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.files[index]) as film:
            patch = film.convert("RGB").crop(tuple(self.boxes[index].tolist()))
        values = functional.to_tensor(functional.resize(patch, [224, 224]))
        mean, std = NORMALISATIONS["imagenet"]
        return functional.normalize(values, list(mean), list(std))


class loop:  # noqa: N801 - a function that also keeps what its last run returned
    """The peer's loop; timed from its first batch, so the start of its workers does not count."""

    def __init__(self, data: Patches, network: torch.nn.Module, workers: int, batch: int) -> None:
        self.network, self.batch = network, batch
        self.device = next(network.parameters()).device
        pinned = self.device.type == "cuda"
        self.data = DataLoader(data, batch, num_workers=workers, pin_memory=pinned, persistent_workers=True)
        self.embedded = np.empty(0)
        self()

    @torch.inference_mode()
    def __call__(self) -> Seconds:
        """Embed all patches; return the time of all batches but the first."""
        found, start = [], 0.0
        for number, batch in enumerate(self.data):
            found.append(self.network(batch.to(self.device, non_blocking=True)).cpu())
            start = time.perf_counter() if number == 0 else start
        self.embedded = torch.cat(found).numpy()
        return Seconds(time.perf_counter() - start)


def peer_of(encoder: Encoder) -> torch.nn.Module:
    """Return torchvision's network with the encoder's weights, without its classifier."""
    network = resnet50().eval()
    network.load_state_dict(encoder.state_dict(), strict=False)
    network.fc = torch.nn.Identity()
    return network


def agreement(ours: np.ndarray, theirs: np.ndarray) -> Equality:
    """Compare the features of the patches that both embedded, less their mean: random networks differ little else."""
    count = min(len(ours), len(theirs))
    a, b = (each[:count] - theirs[:count].mean(axis=0) for each in (ours, theirs))
    cosine = float(np.median((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)))
    return Equality(cosine >= _LEAST, f"median cosine of {count:,} features less their mean {cosine:.4f} >= {_LEAST}")
