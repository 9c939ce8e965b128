"""Pretrain one backbone at once, under its lock, or find it pretrained."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from eden_bench import records
from eden_bench.execution import locks
from eden_bench.execution.backbones import Backbone, find_checkpoint
from eden_bench.execution.inputs import Inputs
from eden_bench.execution.runner import pretrain


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
