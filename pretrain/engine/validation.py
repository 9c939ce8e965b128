"""The validation loss, on held-out patients."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from eden_bench.contracts import Method, Views
from pretrain.engine import network
from pretrain.engine.optimisation import autocast


@torch.no_grad()
def summed_loss(method: Method, turn: str, batches: Iterable[Views], device: torch.device) -> Tensor:
    """Return the sum of a turn's losses over images, and the number of images: (2,), on the device.

    Not as in Adam's released code, which enqueues validation keys and moves the teacher.
    """
    sums = torch.zeros(2, device=device)
    for views in batches:
        with autocast(device):
            losses = method.losses(network.laid_out(views), turn)
        count = len(views.samples)
        sums[0] += torch.stack(list(losses.values())).sum() * count
        sums[1] += count
    return sums
