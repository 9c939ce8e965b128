"""Batches of pixels: a store's array on the device, or memory-mapped on a CPU, and their normalisation."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from tasks.finetuning.protocol import FinetuneProtocol


class Resident:
    """A uint8 array (N, …) from which batches are taken.

    On a GPU the whole array is copied there once; on a CPU it stays memory-mapped.
    """

    def __init__(self, pixels: np.ndarray, device: torch.device) -> None:
        self._pixels = pixels
        self._there = None if device.type == "cpu" else torch.tensor(np.asarray(pixels), device=device)

    def __call__(self, rows: np.ndarray) -> Tensor:
        """Return some rows as (B, C, H, W) uint8 on the device; grey images get one channel."""
        taken = self._take(rows)
        if taken.ndim == 3:
            return taken[:, None]
        return taken.permute(0, 3, 1, 2) if self._is_colour else taken

    @property
    def _is_colour(self) -> bool:
        return self._pixels.ndim == 4 and self._pixels.shape[-1] == 3

    def _take(self, rows: np.ndarray) -> Tensor:
        if self._there is None:
            return torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))
        return self._there[put(rows, self._there.device)]


def put(values: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a GPU without waiting for it, by pinned memory; on a CPU it is the array's own memory.

    torch keeps the pinned memory until the copy is done.
    """
    here = torch.from_numpy(np.ascontiguousarray(values))
    return here.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else here.to(device)


def normalised(images: Tensor, protocol: FinetuneProtocol) -> Tensor:
    """Return the network's input (B, 3, H, W), channels last, from images (B, 1 or 3, H, W) in [0, 1]."""
    mean, std = _per_channel(protocol.mean, images.device), _per_channel(protocol.std, images.device)
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=64)
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return a constant of three channels on the device, made once: making it waits for a GPU."""
    with torch.inference_mode(False):  # or, first made in a validation, no gradient could pass by it
        return torch.tensor(values, device=device)[:, None, None]


def in_batches(rows: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Split rows into consecutive batches."""
    for start in range(0, len(rows), batch_size):
        yield rows[start : start + batch_size]
