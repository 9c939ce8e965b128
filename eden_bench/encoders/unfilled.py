"""Build an encoder whose weights are loaded afterwards, without drawing any, which takes most of the time."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from eden_bench.encoders.base import Encoder
from eden_bench.encoders.building import build_encoder


def unfilled_encoder(arch: str) -> Encoder:
    """Build an encoder whose weights hold anything until all of its ``state_dict`` is loaded.

    What is not in the ``state_dict`` is as ``build_encoder`` makes it: where some of that is random, all is drawn.

    Raises:
        UsageError: as ``build_encoder``.
    """
    with _WithoutDraws() as draws:
        encoder = build_encoder(arch, seed=0)
    loaded = {_memory(value) for value in encoder.state_dict().values()}
    skipped = [tensor for seen in draws.skipped if (tensor := seen()) is not None]
    return encoder if loaded.issuperset(map(_memory, skipped)) else build_encoder(arch, seed=0)


class _WithoutDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Skips every operation that fills a tensor with random numbers, and remembers the tensors."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.skipped: list[weakref.ref[Tensor]] = []

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operation returns
        draws: Any = func
        if torch.Tag.nondeterministic_seeded in draws.tags and draws._schema.is_mutable:
            self.skipped.append(weakref.ref(args[0]))
            return args[0]
        return func(*args, **(kwargs or {}))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
