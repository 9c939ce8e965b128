"""Count the operations that code issues, the bytes they move, and the memory they hold at most, on any device.

An operation is one launch on a card or, where torch splits it, a few; bytes are those of its tensors in and out, as if
no cache served any.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Work(TorchDispatchMode):
    """What the operations within the block do; memory is above that held when the block began."""

    def __init__(self) -> None:
        super().__init__()
        self.launches = 0
        self.moved_bytes = 0
        self.peak_mib = 0.0
        self._held = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        """Run an operation and count it, unless it only looks at its input in another way."""
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            given = list(_tensors((args, kwargs)))
            self.launches += 1
            self.moved_bytes += sum(each.nbytes for each in [*given, *_tensors(made)])
            self._hold(given, _tensors(made))
        return made

    def _hold(self, given: Sequence[Tensor], made: Iterator[Tensor]) -> None:
        """Count storages that are new, until they are freed."""
        old = {each.untyped_storage()._cdata for each in given}
        for each in made:
            storage = each.untyped_storage()
            if storage._cdata not in old | self._seen:
                self._seen.add(storage._cdata)
                self._held += storage.nbytes()
                weakref.finalize(storage, self._free, storage._cdata, storage.nbytes())
        self.peak_mib = max(self.peak_mib, self._held / 2**20)

    def _free(self, name: int, size: int) -> None:
        self._seen.discard(name)
        self._held -= size


def counted(run: Callable[[], object]) -> Work:
    """Run once and return what it did."""
    with Work() as work:
        run()
    return work


def _tensors(tree: object) -> Iterator[Tensor]:
    return (each for each in tree_leaves(tree) if isinstance(each, Tensor))
