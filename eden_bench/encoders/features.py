"""Compute the features that a probe declares (``contracts.Features``): resize, normalise, encode, pool."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from eden_bench.contracts import NORMALISATIONS, Features
from eden_bench.devices import fast_precision
from eden_bench.encoders.base import Encoder
from eden_bench.errors import EdenError, UsageError

_BATCH = {"cpu": 64, "cuda": 256}


@torch.inference_mode()
def features(
    encoder: Encoder, images: np.ndarray | Tensor, wanted: Features, batch_size: int | None = None
) -> np.ndarray:
    """Return the features of square images, one row an image, float32.

    The encoder is put in eval mode on its own device; it sees each image resized to ``wanted.size_px``, grey ones in
    three equal channels, normalised as declared.

    Args:
        encoder: any; it is neither changed nor trained.
        images: (N, H, W) or (N, H, W, 3) uint8, as an image store has them; or (N, 3, H, W) float in [0, 1].
        wanted: layer, pooling, norm, normalisation and size.
        batch_size: images encoded at once, a memory matter only; 64 on a CPU, 256 on an accelerator unless given.

    Returns:
        (N, D), or (N, D, h, w) where the pooling is "map".

    Raises:
        UsageError: the encoder has no class token, no such layer, or no final norm to stop before.
        EdenError: a feature is not finite.
    """
    encoder = encoder.for_size(wanted.size_px).eval()
    device = next(encoder.parameters(), torch.zeros(0)).device
    fast = wanted.precision == "fast" and fast_precision(device.type) == "bfloat16"
    if fast:
        encoder = encoder.to(memory_format=torch.channels_last)  # where values lie, not what they are
    mean, std = (torch.tensor(values)[:, None, None].to(device) for values in NORMALISATIONS[wanted.normalisation])
    parts = []
    with torch.autocast(device.type, torch.bfloat16, enabled=fast):
        for batch in _uploaded(images, device, batch_size or _BATCH.get(device.type, _BATCH["cuda"])):
            ready = (_resized(batch, wanted).expand(-1, 3, -1, -1) - mean) / std
            laid_out = ready.contiguous(memory_format=torch.channels_last) if fast else ready
            found = _pooled(encoder, laid_out, wanted).float()
            parts.append(
                found.cpu() if wanted.pooling == "map" else found
            )  # vectors wait on the device, maps are large
    return _finite(torch.cat(parts).cpu().numpy(), encoder)


def _finite(found: np.ndarray, encoder: Encoder) -> np.ndarray:
    """Return features after validating that they are finite: distances to a NaN would still be ranked."""
    if not np.isfinite(found).all():
        row = int(np.flatnonzero(~np.isfinite(found.reshape(len(found), -1)).all(axis=1))[0])
        raise EdenError(
            f"features: {encoder.arch} makes a NaN or an infinite value of image {row}, expected finite features: look "
            "at its weights, or embed in float32"
        )
    return found


def _uploaded(images: np.ndarray | Tensor, device: torch.device, batch_size: int) -> Iterator[Tensor]:
    """Yield batches on the device; to a GPU they go from pinned memory, so that nothing waits for the copy."""
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size]
        batch = part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))
        pinned = device.type == "cuda" and batch.device.type == "cpu"
        yield batch.pin_memory().to(device, non_blocking=True) if pinned else batch.to(device)


def _resized(batch: Tensor, wanted: Features) -> Tensor:
    """Return (B, 1 or 3, size, size) float32 in [0, 1]."""
    if batch.dtype == torch.uint8:
        batch = (batch[:, None] if batch.ndim == 3 else batch.permute(0, 3, 1, 2)).float() / 255
    size = (wanted.size_px, wanted.size_px)
    if batch.shape[-1] > wanted.size_px:
        return functional.interpolate(batch, size, mode="area")
    if batch.shape[-1] < wanted.size_px:
        return functional.interpolate(batch, size, mode="bilinear", align_corners=False)
    return batch


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
