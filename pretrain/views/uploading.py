"""Upload small tensors without making the host wait for the device."""

from __future__ import annotations

import torch
from torch import Tensor


def uploaded(values: Tensor, device: torch.device) -> Tensor:
    """Copy a host tensor to a device, without waiting for what the device still has to do.

    A plain ``.to`` from pageable memory waits until the device has done all it was given, and then it waits for the
    host. torch keeps the pinned copy until the device has read it.
    """
    if device.type != "cuda":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
