"""What may be asked of the engine besides: off by default, since each moves last digits and none is always a gain.

``compile``: encoders are compiled, so that batch norm, ReLU and additions are one kernel. The first step's losses and
gradients are compared with those of the plain encoders, from the same state; where they differ or the compiler fails,
the run goes on with the plain ones. ``tune``: cuDNN times its algorithms for each shape, and takes the fastest.
A run that was made with them has a recipe of its own.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from eden_bench.encoders import Encoder
from eden_bench.errors import UsageError, nearest
from eden_bench.settings import SPEEDUPS
from pretrain.engine.optimisation import autocast_dtype

_SHARE = {torch.float32: 1e-3, torch.bfloat16: 0.1}
"""Largest relative difference of a compiled step from a plain one, of its loss and of its gradient."""
_log = logging.getLogger("eden_bench")


def validated(asked: Sequence[str]) -> tuple[str, ...]:
    """Return what is asked for, sorted, each once.

    Raises:
        UsageError: there is no such speed-up.
    """
    for name in asked:
        if name not in SPEEDUPS:
            raise UsageError(f"unknown speed-up {name!r}.{nearest(name, SPEEDUPS)} Known: {', '.join(SPEEDUPS)}.")
    return tuple(sorted(set(asked)))


@contextlib.contextmanager
def tuned(asked: Sequence[str]) -> Iterator[None]:
    """Let cuDNN choose its algorithms by timing them, inside the block, if that is asked for and need not repeat."""
    before = torch.backends.cudnn.benchmark
    if "tune" in asked:
        torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def compile_encoders(
    method: nn.Module,
    step: Callable[[], Mapping[str, Tensor]],
    device: torch.device,
    **options: Any,  # noqa: ANN401 - torch.compile's own
) -> bool:
    """Compile a method's encoders if that gives the step that they give plain; return whether they are compiled.

    Args:
        method: left as it was, but for the encoders' speed.
        step: computes the losses of one step, the same at each call from the same state.
        device: where it trains; how far a compiled step may be from a plain one follows from its precision.
        options: of ``torch.compile``.
    """
    encoders = [module for module in method.modules() if isinstance(module, Encoder)]
    most = _SHARE[autocast_dtype(device)]
    before = {name: value.clone() for name, value in method.state_dict().items()}
    try:
        expected = _taken(method, step, before)
        for encoder in encoders:
            encoder.compile(dynamic=False, **options)
        worst = max(_apart(*pair) for pair in zip(_taken(method, step, before), expected, strict=True))
        failed = "" if worst <= most else f"its step is {worst:.1e} from the plain one, expected {most:g}"
    except Exception as error:
        failed = f"it failed ({type(error).__name__}: {str(error).partition(chr(10))[0]})"
    if failed:
        for encoder in encoders:
            encoder._compiled_call_impl = None  # torch has no public way back
        method.load_state_dict(before)
        method.zero_grad(set_to_none=True)
        _log.warning("torch.compile is not used, since %s: the run goes on without it", failed)
    return not failed


def _taken(
    method: nn.Module, step: Callable[[], Mapping[str, Tensor]], before: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Return the loss and the gradient of one step, (1,) and (P,), and undo what it left."""
    total = torch.stack(list(step().values())).sum()
    total.backward()  # type: ignore[no-untyped-call]
    gradient = torch.cat([p.grad.flatten() for p in method.parameters() if p.grad is not None])
    method.zero_grad(set_to_none=True)
    method.load_state_dict(before)
    return total.detach()[None], gradient


def _apart(found: Tensor, expected: Tensor) -> float:
    """Return the length of a difference as a share of what is expected; infinite where it is not finite."""
    share = float((found - expected).norm() / expected.norm())
    return share if math.isfinite(share) else math.inf
