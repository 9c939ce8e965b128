"""The queue of keys that serve as negatives (He et al., CVPR 2020, arXiv:1911.05722, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from pretrain.engine import distributed


class KeyQueue(nn.Module):
    """A ring buffer of the last K keys, all in module buffers, so that a checkpoint contains it.

    Attributes:
        keys: (C, K), columns of unit length; random directions until replaced.
        pointer: (1,) int64, the column that the next key takes.
        pushed: (1,) int64, keys pushed so far.
    """

    keys: Tensor
    pointer: Tensor
    pushed: Tensor

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(dim, size), dim=0))
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))
        self.register_buffer("pushed", torch.zeros(1, dtype=torch.long))

    @property
    def size(self) -> int:
        """Number of columns K."""
        return self.keys.shape[1]

    @property
    def full(self) -> bool:
        """Whether every column holds a real key; before that, losses are not meaningful."""
        return int(self.pushed) >= self.size

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest columns by keys (B, C) of all processes; wraps around if B does not divide K."""
        keys = distributed.gathered(keys.float())
        count = len(keys)
        fitting = keys[-self.size :]
        columns = self.pointer + torch.arange(count - len(fitting), count, device=keys.device)
        self.keys.index_copy_(1, columns.remainder_(self.size), fitting.T)
        self.pointer.add_(count).remainder_(self.size)
        self.pushed.add_(count)
