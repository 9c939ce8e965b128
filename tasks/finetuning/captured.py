"""Steps of a fine-tuning as CUDA graphs: forward, backward and optimiser recorded once a shape, then replayed.

A step of a U-Net is a thousand kernels, and issuing them takes longer than running them. Batches of an epoch have at
most two sizes (``loop.batches``), so at most two graphs are recorded, and no batch is padded, which batch norm would
see. What a batch is made from (the augmentation) stays outside; the graph reads it from memory of its own.

A graph is used only where one replay equals one step that was not recorded, from the same weights. Where recording
fails or differs, steps are taken as without it, and the record says so.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

_log = logging.getLogger("eden_bench")
_WARM_UPS = 2
"""Steps before one is recorded, besides the one it is compared with: libraries choose and allocate in the first."""
_LOSS_WITHIN, _UPDATE_WITHIN = 1e-3, 0.1
"""Relative differences allowed between a replayed and a plain step: of the loss, and of the update's length, since
Adam's first update is the gradients' sign, which turns where a gradient is nearly 0."""


class Recorder(Protocol):
    """Records work on a device and returns what replays it."""

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Run work as it will be recorded, without recording it."""
        ...

    def record(self, work: Callable[[], object]) -> Callable[[], None]:
        """Record work and return a function that replays it on the current stream."""
        ...


class CudaGraphs:
    """Records CUDA graphs that share one memory pool; they are replayed one at a time.

    Work is warmed and recorded on one stream of its own: cuBLAS keeps a workspace a stream, which would be the same for
    graphs of two seeds that were recorded on torch's own stream for it (of the first device, besides) and run at once.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()
        self._side = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        """Run work on the stream beside the current one on which it will be recorded."""
        outer = torch.cuda.current_stream(self._device)
        self._side.wait_stream(outer)
        with torch.cuda.stream(self._side):
            result = work()
        outer.wait_stream(self._side)
        return result

    def record(self, work: Callable[[], object]) -> Callable[[], None]:
        """Record work, which must not wait for the device, and return its replay."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._side, capture_error_mode="thread_local"):
            work()
        replay: Callable[[], None] = graph.replay
        return replay


class _Graph(NamedTuple):
    """A recorded step: the memory it reads a batch from, its replay, and the loss that it writes."""

    inputs: tuple[Tensor, ...]
    replay: Callable[[], None]
    loss: Tensor


class Captured:
    """Steps of a network, recorded once a batch's shape and replayed.

    Args:
        network: trained in place.
        optimiser: capturable, its rate a tensor.
        prepare: (rows, epoch) to the tensors of a batch.
        loss: those tensors to the loss.
        recorder: of the device.
    """

    def __init__(
        self,
        network: nn.Module,
        optimiser: torch.optim.Optimizer,
        prepare: Callable[[np.ndarray, int], tuple[Any, ...]],
        loss: Callable[..., Tensor],
        recorder: Recorder,
    ) -> None:
        self._network, self._optimiser = network, optimiser
        self._prepare, self._loss, self._recorder = prepare, loss, recorder
        self._graphs: dict[Hashable, _Graph] = {}
        self._refused = ""

    @property
    def told(self) -> dict[str, Any]:
        """What ``Outcome.training`` tells of it."""
        return {"captured": False, "not_captured": self._refused} if self._refused else {"captured": True}

    def __call__(self, rows: np.ndarray, epoch: int, rate: float) -> Tensor:
        """Take one step and return its loss."""
        inputs = self._prepare(rows, epoch)
        for group in self._optimiser.param_groups:
            group["lr"].fill_(rate)
        shapes = tuple(one.shape if isinstance(one, Tensor) else None for one in inputs)
        if shapes not in self._graphs and not self._refused:
            self._try(shapes, inputs)
        if self._refused:
            return self._step(inputs)
        graph = self._graphs[shapes]
        for own, given in zip(graph.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        graph.replay()
        return graph.loss.clone()

    def _try(self, shapes: Hashable, inputs: tuple[Tensor, ...]) -> None:
        """Record a step, or say why not; either way weights and optimiser are as before."""
        before = [one.clone() for one in self._state()]
        try:
            if not all(isinstance(one, Tensor) for one in inputs):
                raise RuntimeError("its batches are not made of tensors alone")
            self._graphs[shapes] = self._recorded(tuple(one.clone() for one in inputs), before)
        except RuntimeError as error:
            self._refused = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
            _log.warning("this fine-tuning runs without CUDA graphs: %s", self._refused)
        finally:
            self._rewind(before)

    def _recorded(self, inputs: tuple[Tensor, ...], before: list[Tensor]) -> _Graph:
        """Record a step and check its replay against one that is not recorded. Raises RuntimeError."""
        expected = self._recorder.warm(lambda: self._step(inputs))
        after = [one.clone() for one in self._state()]
        for _ in range(_WARM_UPS):
            self._recorder.warm(lambda: self._step(inputs))
        self._rewind(before)
        loss = torch.empty_like(expected)
        graph = _Graph(inputs, self._recorder.record(lambda: loss.copy_(self._step(inputs))), loss)
        self._rewind(before)
        graph.replay()
        self._check(graph.loss, expected, before, after)
        return graph

    def _check(self, loss: Tensor, expected: Tensor, before: list[Tensor], after: list[Tensor]) -> None:
        weights = len(list(self._network.parameters()))
        pairs = zip(before[:weights], after[:weights], self._state()[:weights], strict=True)
        moves = [(plain - old, replayed - old) for old, plain, replayed in pairs]
        update = torch.stack([plain.norm() for plain, _ in moves]).norm()
        apart = torch.stack([(plain - replayed).norm() for plain, replayed in moves]).norm()
        if not bool((loss - expected).abs() <= _LOSS_WITHIN * expected.abs()) or not bool(
            apart <= _UPDATE_WITHIN * update
        ):
            raise RuntimeError(
                f"a replayed step has loss {float(loss):.6g} and an update {float(apart / update):.1%} apart, expected "
                f"{float(expected):.6g} and at most {_UPDATE_WITHIN:.0%}"
            )

    def _step(self, inputs: tuple[Tensor, ...]) -> Tensor:
        loss = self._loss(*inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        return loss.detach()

    def _state(self) -> list[Tensor]:
        """Return all that a step changes: parameters, buffers, then the optimiser's, which it makes in its first."""
        own = itertools.chain(self._network.parameters(), self._network.buffers())
        kept = (value for state in self._optimiser.state.values() for value in state.values())
        return [one.detach() for one in (*own, *kept)]

    def _rewind(self, before: list[Tensor]) -> None:
        """Set the state back in place; what the optimiser made since then starts at 0, as it does."""
        self._optimiser.zero_grad(set_to_none=True)
        for now, then in itertools.zip_longest(self._state(), before):
            if then is None:
                now.zero_()
            else:
                now.copy_(then)
