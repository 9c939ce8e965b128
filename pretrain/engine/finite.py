"""Whether losses and a network are finite: asked at intervals, because an answer makes the host wait for the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from eden_bench.errors import TrainingDiverged
from pretrain.engine import distributed
from pretrain.engine.state import TrainingState


def first_bad(losses: Sequence[Tensor]) -> int | None:
    """Return which loss is the first that is not finite on some process, counted from the end: -1 is the last one."""
    bad = distributed.summed((~torch.isfinite(torch.stack(list(losses)))).float()) > 0
    return int(bad.float().argmax()) - len(bad) if bad.any() else None


def is_finite(module: nn.Module) -> bool:
    """Return whether all parameters and buffers are finite on every process.

    Told by the greatest absolute value of each, which is NaN where one is: all of them are a launch or two.
    """
    values = [value for value in module.state_dict().values() if value.is_floating_point() and value.numel()]
    greatest = torch.stack([value.float() for value in torch._foreach_norm(values, float("inf"))])
    return not distributed.summed((~greatest.isfinite()).sum().float()) > 0


def diverged(where: str, kept: TrainingState, images: str) -> TrainingDiverged:
    """Build the error of a run that is not finite: where, what is kept of it, and which images it saw there."""
    step = f" (that step saw {images})" if images else ""
    return TrainingDiverged(
        f"{where}; nothing is handed on, the last good state is {kept.where() if kept.method else 'the start'}: lower "
        f"lr, or look for damaged images with `eden-bench data check`{step}"
    )
