"""Pretrain a plan's backbone here, and take over what a worker has pretrained."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable

from eden_bench import records
from eden_bench.execution import locks
from eden_bench.execution.backbones import Backbone, find_checkpoint
from eden_bench.execution.execute import Result, execute
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.job import pretraining_job


def pretrain(backbone: Backbone, inputs: Inputs, say: Callable[[str], None]) -> None:
    """Pretrain a backbone in its folder, resuming an interrupted pretraining. The caller holds its lock.

    Where it fails, ``backbone.problem`` says why.
    """
    started = time.perf_counter()
    say(beginning(backbone))
    (result,) = execute(pretraining_job(backbone), inputs)
    take_over(backbone, result, started, say)


def beginning(backbone: Backbone) -> str:
    """Say that a backbone is being pretrained."""
    return f"pretraining {backbone.label} on {backbone.dataset}{_seed(backbone)}"


def take_over(backbone: Backbone, result: Result, started: float, say: Callable[[str], None]) -> None:
    """Take a pretraining's weights, or the reason why there are none.

    Args:
        backbone: that was to be pretrained.
        result: of its job.
        started: when, on the performance counter.
        say: is told how long it took.
    """
    if result.problem is not None:
        backbone.problem = result.problem
        return
    backbone.digest = result.weights
    took = time.perf_counter() - started
    say(f"pretrained {backbone.label}{_seed(backbone)} in {took:.0f} s: {backbone.folder}")


def _seed(backbone: Backbone) -> str:
    return f", seed {backbone.seed}" if backbone.seed else ""


def pretrain_now(backbone: Backbone, inputs: Inputs, say: Callable[[str], None]) -> None:
    """Pretrain under the backbone's lock, resuming what was interrupted; under torchrun, process 0 holds it for all.

    Raises:
        EdenError: it fails; the backbone's problem.
    """
    find_checkpoint(backbone, inputs)
    out, is_first = inputs.settings.out, os.environ.get("RANK", "0") == "0"
    with contextlib.ExitStack() as stack:
        if is_first:
            stack.enter_context(locks.presence(out))
            stack.enter_context(locks.claim(out, backbone.name, wait=True))
        pretrain(backbone, inputs, say)
    if backbone.problem is not None:
        raise backbone.problem.error(backbone.problem.text)
    if is_first:
        records.clear_failure(out, backbone.name)
