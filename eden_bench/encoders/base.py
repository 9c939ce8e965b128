"""Base class of every encoder: feature maps at falling resolutions, and an embedding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from eden_bench import seeds
from eden_bench.contracts import Features
from eden_bench.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

TRANSFORMERS = (
    "vit_mini_patch8_64",
    "vit_small_patch16_224",
    "vit_base_patch16_224",
    "swin_mini_patch4_window4_64",
    "swin_base_patch4_window6_192",
    "swin_base_patch4_window7_224",
)
"""Names of the transformers that methods here use; ``transformers`` builds others of the same pattern."""


class Encoder(nn.Module):
    """A backbone that returns feature maps of falling resolution.

    Attributes:
        arch: the name it was built from.
        channels: channels of each map in ``maps``, finest first.
        strides: input pixels per map pixel, finest first.
        out_channels: length of the pooled embedding.
        reads_boxes: it encodes where patches lie, by ``embed_boxes``, and no pixel: a control of probes.
        reads_ids: it looks vectors up by images' ids, by ``embed_ids``, and encodes no pixel.
    """

    arch: str
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    reads_boxes: bool = False
    reads_ids: bool = False

    @property
    def out_channels(self) -> int:
        """Length D of the pooled embedding."""
        return self.channels[-1]

    @property
    def reads(self) -> str:
        """How ``embed`` reads the network: pooling, then the norm it comes after; part of what a number means."""
        return "mean of the last map, after the last norm"

    def maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps, finest first, each (B, C_i, H / stride_i, W / stride_i)."""
        raise NotImplementedError

    def maps_before_norm(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the maps as ``maps`` does, the last one before the final norm.

        Raises:
            UsageError: the encoder has no final norm.
        """
        raise UsageError(f"features: {self.arch} has no final norm, expected norm = 'after'")

    def class_token(self, images: Tensor, *, before_norm: bool = False) -> Tensor:
        """Return the class token after the last block and the final norm, or before the norm, (B, D).

        Raises:
            UsageError: the encoder has none.
        """
        raise UsageError(f"features: {self.arch} has no class token, expected pooling 'mean', 'embed' or 'map'")

    def embed_boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Return features of boxes (M, 4): left, top, right and bottom in shares of the film's side; (M, D).

        Raises:
            UsageError: the encoder reads pixels.
        """
        raise UsageError(f"features: {self.arch} reads pixels, expected an encoder that reads where patches lie")

    def embed_ids(self, dataset: str, ids: Sequence[str], digest: str, wanted: Features) -> np.ndarray:
        """Return the vectors of a dataset's images, (N, D), in the order of their ids.

        Args:
            dataset: its name.
            ids: of its images.
            digest: of their pixels.
            wanted: the feature contract.

        Raises:
            UsageError: the encoder reads pixels.
        """
        raise UsageError(f"features: {self.arch} reads pixels, expected embeddings from a file")

    def for_size(self, size_px: int) -> Encoder:
        """Return this encoder for square inputs of a side; unchanged unless its size is fixed (transformers)."""
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Return the coarsest map, (B, D, H', W')."""
        return self.maps(images)[-1]

    def embed(self, images: Tensor) -> Tensor:
        """Return globally average-pooled features, (B, D)."""
        return self(images).mean(dim=(2, 3))


class seeded:  # noqa: N801 - reads as a phrase: with seeded(seed, "head")
    """Seed torch's global generator for module constructors inside the block; restore its state after."""

    def __init__(self, seed: int, *address: seeds.Address) -> None:
        self._value = seeds.key(seed, *address) % (1 << 63)

    def __enter__(self) -> None:
        """Save the global state and seed it."""
        self._kept = torch.random.get_rng_state()
        torch.default_generator.manual_seed(self._value)

    def __exit__(self, *_: object) -> None:
        """Restore the global state."""
        torch.random.set_rng_state(self._kept)


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of named tensors: names, types, shapes and values."""
    sha = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        sha.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        sha.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()


def parameter_count(module: nn.Module) -> int:
    """Count the trainable values."""
    return sum(parameter.numel() for parameter in module.parameters())
