"""The peer of ``benchmarks.gpu_parts.packs``: one seed of a segmentation fine-tuned as it is usually written.

    python -m benchmarks.packs_peer FOLDER cuda 60 8     # a folder that the part wrote, the device, steps, workers

Imports nothing of this tool, so that its start-up is that of such a script.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

_SMALL_FILMS = 26
"""A rehearsal's."""
_TEST_FILMS = {True: 6, False: 123}


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
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # else its import asks the network for a newer one
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


def peer(folder: Path, device: torch.device, steps: int, workers: int) -> dict[str, float]:
    """Fine-tune a U-Net; return its Dice on the test films, and the seconds of a step, validations in it."""
    import segmentation_models_pytorch as smp

    films = len(list(folder.glob("film*.png")))
    small = films <= _SMALL_FILMS
    train, side_px = films - _TEST_FILMS[small], 32 if small else 224
    held = train // 10
    parts = {"train": range(train - held), "check": range(train - held, train), "test": range(train, films)}
    sets = {name: Files(folder, names, side_px, augment=name == "train") for name, names in parts.items()}
    load: Any = {"batch_size": 5 if small else 32, "num_workers": workers, "persistent_workers": workers > 0}
    made: Any = DataLoader
    loaders = {name: made(each, shuffle=name == "train", **load) for name, each in sets.items()}
    network = smp.Unet("resnet18" if small else "resnet50", encoder_weights=None).to(device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-4)
    taken, marks = 0, [(0, time.perf_counter())]
    while taken < steps:
        network.train()
        for films_of, masks in loaders["train"]:
            loss = soft_dice_loss(_logits(network, films_of, device), masks.to(device))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            taken += 1
            loss.item()
        _dice(network, loaders["check"], device)
        marks.append((taken, time.perf_counter()))
    (first, began), (last, ended) = marks[len(marks) // 2 if len(marks) > 2 else 0], marks[-1]
    return {"dice": _dice(network, loaders["test"], device), "step_s": (ended - began) / (last - first)}


def soft_dice_loss(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Compute soft Dice over the flattened batch."""
    found = logits.sigmoid()
    return 1 - (2 * (found * masks).sum() + 1) / (found.sum() + masks.sum() + 1)


def _logits(network: torch.nn.Module, films: torch.Tensor, device: torch.device) -> torch.Tensor:
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits: torch.Tensor = network(films.to(device))
    return logits.float()


@torch.inference_mode()
def _dice(network: torch.nn.Module, loader: Any, device: torch.device) -> float:  # noqa: ANN401 - a DataLoader
    network.eval()
    values = [1 - float(soft_dice_loss(_logits(network, films, device), masks.to(device))) for films, masks in loader]
    return float(np.mean(values))


def _read(path: Path) -> np.ndarray:
    read: Any = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    return np.asarray(read)


if __name__ == "__main__":
    where, on, count, processes = sys.argv[1:]
    print(json.dumps(peer(Path(where), torch.device(on), int(count), int(processes))))
