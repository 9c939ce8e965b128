"""Distributed training, one device a process, started by ``torchrun``. In a single process all are the identity."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch import distributed as dist

from eden_bench import preemption


@contextlib.contextmanager
def process_group(device: str) -> Iterator[torch.device]:
    """Join the process group of ``torchrun``'s environment, if any; yield this process's device.

    A group that already exists is used and left standing.
    """
    joins = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized()
    kind = torch.device(device).type
    own = (
        torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if joins and kind == "cuda" else torch.device(device)
    )
    if joins:
        if own.type == "cuda":
            torch.cuda.set_device(own)
        dist.init_process_group("nccl" if own.type == "cuda" else "gloo")
    try:
        yield own
    finally:
        if joins:
            dist.destroy_process_group()


def size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's rank, from 0; process 0 writes all files."""
    return dist.get_rank() if dist.is_initialized() else 0


def wait_for_all() -> None:
    """Wait until every process has called this (a barrier)."""
    if size() > 1:
        dist.barrier()


def gathered(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes by rank, without gradients; all must have equally many."""
    if size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def gathered_with_gradient(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes by rank; gradients return to the process they came from.

    Where all processes compute the same loss of the whole batch and average their gradients, as
    DistributedDataParallel does, the result is the gradient of that one loss.
    """
    return rows if size() == 1 else cast(Tensor, _Gather.apply(rows))


class _Gather(torch.autograd.Function):
    """``gathered`` with a backward pass that sums all processes' gradients for each process's rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # noqa: ANN401 - torch's own context
        ctx.rows = len(rows)
        return gathered(rows)

    @staticmethod
    def backward(ctx: Any, by_all: Tensor) -> Tensor:  # noqa: ANN401
        return summed(by_all.contiguous())[rank() * ctx.rows : (rank() + 1) * ctx.rows]


def from_first(value: Tensor) -> Tensor:
    """Broadcast process 0's value, in place."""
    if size() > 1:
        dist.broadcast(value, 0)
    return value


def summed(value: Tensor) -> Tensor:
    """Sum a value over all processes, in place."""
    if size() > 1:
        dist.all_reduce(value)
    return value


def asked_to_stop(device: torch.device, *, together: bool) -> bool:
    """Return whether the system asked a process to stop; of several, only where all ask this together."""
    asked = preemption.requested()
    if size() == 1 or not together:
        return asked and size() == 1
    return bool(summed(torch.tensor(float(asked), device=device)) > 0)


def share_buffers(module: nn.Module) -> None:
    """Broadcast the buffers (batch-norm statistics) of process 0, whose state is saved, to all processes."""
    for buffer in module.buffers():
        from_first(buffer)
