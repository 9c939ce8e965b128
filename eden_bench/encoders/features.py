"""Compute the features that a probe declares (``contracts.Features``): resize, normalise, encode, pool."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import NORMALISATIONS, Features
from eden_bench.devices import fast_precision
from eden_bench.encoders.base import Encoder
from eden_bench.errors import UsageError


@torch.inference_mode()
def features(encoder: Encoder, images: np.ndarray | Tensor, wanted: Features, batch_size: int = 64) -> np.ndarray:
    """Return the features of square images, one row an image, float32.

    The encoder is put in eval mode on its own device; it sees each image resized to ``wanted.size_px``, grey ones in
    three equal channels, normalised as declared.

    Args:
        encoder: any; it is neither changed nor trained.
        images: (N, H, W) or (N, H, W, 3) uint8, as an image store has them; or (N, 3, H, W) float in [0, 1].
        wanted: layer, pooling, norm, normalisation and size.
        batch_size: images encoded at once; a memory matter only.

    Returns:
        (N, D), or (N, D, h, w) where the pooling is "map".

    Raises:
        UsageError: the encoder has no class token, no such layer, or no final norm to stop before.
    """
    encoder = encoder.for_size(wanted.size_px).eval()
    device = next(encoder.parameters(), torch.zeros(0)).device
    fast = wanted.precision == "fast" and fast_precision(device.type) == "bfloat16"
    if fast:
        encoder = encoder.to(memory_format=torch.channels_last)  # where values lie, not what they are
    with torch.autocast(device.type, torch.bfloat16, enabled=fast):
        parts = [
            _pooled(encoder, _prepared(images[start : start + batch_size], wanted, device, fast), wanted).float().cpu()
            for start in range(0, len(images), batch_size)
        ]
    return torch.cat(parts).numpy()


def _prepared(images: np.ndarray | Tensor, wanted: Features, device: torch.device, channels_last: bool) -> Tensor:
    """Return (B, 3, size, size) float32, normalised."""
    batch = (images if isinstance(images, Tensor) else torch.from_numpy(np.array(images))).to(device)
    if batch.dtype == torch.uint8:
        batch = (batch[:, None] if batch.ndim == 3 else batch.permute(0, 3, 1, 2)).float() / 255
    size = (wanted.size_px, wanted.size_px)
    if batch.shape[-1] > wanted.size_px:
        batch = functional.interpolate(batch, size, mode="area")
    elif batch.shape[-1] < wanted.size_px:
        batch = functional.interpolate(batch, size, mode="bilinear", align_corners=False)
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in NORMALISATIONS[wanted.normalisation])
    ready = (batch.expand(-1, 3, -1, -1) - mean) / std
    return ready.contiguous(memory_format=torch.channels_last) if channels_last else ready


def _pooled(encoder: Encoder, images: Tensor, wanted: Features) -> Tensor:
    if wanted.pooling == "embed":
        if wanted.layer != -1 or wanted.norm == "before":
            raise UsageError("features: pooling 'embed' is the encoder's own, which knows one layer and one norm")
        return encoder.embed(images)
    before = wanted.norm == "before"
    if wanted.pooling == "class":
        if wanted.layer != -1:
            raise UsageError(f"features: the class token is read after the last layer, -1, not {wanted.layer}")
        return encoder.class_token(images, before_norm=before)
    maps = encoder.maps_before_norm(images) if before else encoder.maps(images)
    if not -len(maps) <= wanted.layer < len(maps):
        raise UsageError(f"features: layer {wanted.layer} of {encoder.arch}, expected {-len(maps)} to {len(maps) - 1}")
    chosen = maps[wanted.layer]
    return chosen if wanted.pooling == "map" else chosen.mean(dim=(2, 3))
