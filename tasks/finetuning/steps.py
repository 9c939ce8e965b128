"""One optimiser step of a fine-tuning: issued operation by operation, or replayed from a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.finetuning.captured import Captured, CudaGraphs
from tasks.finetuning.protocol import TrainingProtocol

Prepare = Callable[[np.ndarray, int], tuple[Any, ...]]
"""(rows (B,), epoch) to an augmented batch."""


@dataclass(frozen=True)
class Plain:
    """Steps that are issued operation by operation."""

    optimiser: torch.optim.Optimizer
    prepare: Prepare
    loss: Callable[..., Tensor]
    told: Mapping[str, Any] = field(default_factory=dict)
    """What ``Outcome.training`` tells of it."""

    def __call__(self, rows: np.ndarray, epoch: int, rate: float) -> Tensor:
        """Take one step and return its loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss = self.loss(*self.prepare(rows, epoch))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()


def stepper(
    network: nn.Module,
    prepare: Prepare,
    loss: Callable[..., Tensor],
    protocol: TrainingProtocol,
    device: torch.device,
) -> Plain | Captured:
    """Return what takes the steps of a fine-tuning, each from rows, epoch and rate to its loss.

    Args:
        network: trained in place.
        prepare: makes a batch.
        loss: what ``prepare`` returned to the loss; on a GPU it must not wait for the device.
        protocol: optimiser and ``capture``.
        device: where the network is.
    """
    if not protocol.capture:
        return Plain(make_optimiser(network, protocol, device), prepare, loss)
    optimiser = make_optimiser(network, protocol, device, rate=torch.tensor(protocol.lr, device=device))
    return Captured(network, optimiser, prepare, loss, CudaGraphs(device))


def make_optimiser(
    network: nn.Module, protocol: TrainingProtocol, device: torch.device, *, rate: Tensor | None = None
) -> torch.optim.Optimizer:
    """Return AdamW, or Adam (whose weight decay is an L2 penalty), on every parameter that is trained.

    Where the rate is a tensor, its steps can be recorded in a CUDA graph.
    """
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[protocol.optimiser]
    return kind(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=protocol.lr if rate is None else rate,
        betas=protocol.betas,
        weight_decay=protocol.weight_decay,
        fused=device.type in ("cpu", "cuda"),
        capturable=rate is not None,
    )
