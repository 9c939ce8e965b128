"""The base of pretraining methods; apart from the other contracts because it needs torch."""

from __future__ import annotations

from torch import nn

from eden_bench.contracts.methods import MethodDefaults


class PretrainMethod(nn.Module, MethodDefaults):
    """Base class of pretraining methods: defaults for all optional members; ``Method`` lists the required ones.

    A method has ``Config``, ``card``, ``config``, ``encoder``, ``recipes``, ``optimisers`` and ``losses``, and
    overrides what it needs of ``start_stage``, ``stage_data``, ``schedule``, ``after_step``, ``metrics`` and ``ready``.
    """
