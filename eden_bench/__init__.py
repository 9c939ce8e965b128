"""eden-bench: what does this pretraining help with, and what may I claim?

All that an author of a method, a dataset or a task needs is importable from here; a name is loaded when it is
first used (PEP 562), so ``import eden_bench`` is fast and torch comes in only with an encoder.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eden_bench.api import pretrain, results, run
    from eden_bench.contracts import (
        Anchor,
        Cell,
        Context,
        Dataset,
        DatasetCard,
        DatasetIndex,
        EncoderSource,
        Finding,
        Item,
        Method,
        MethodCard,
        MethodConfig,
        OpenTask,
        Outcome,
        PretrainConfig,
        PretrainData,
        Progress,
        Pyramid,
        Schedule,
        ScoreDefinition,
        Stage,
        Task,
        View,
        ViewRecipe,
        Views,
        no_progress,
    )
    from eden_bench.contracts.pretrain_method import PretrainMethod
    from eden_bench.encoders import Encoder, build_encoder, seeded
    from eden_bench.errors import (
        CellsFailed,
        DataDamaged,
        DataMissing,
        EdenError,
        PluginError,
        UsageError,
        WeightsMissing,
        WeightsRefused,
    )
    from eden_bench.records import Record
    from eden_bench.registry import load_plugin_file, register_dataset, register_method, register_task

__version__ = "0.1.0"

_HOME = {
    "api": ("pretrain", "results", "run"),
    "contracts": (
        "Anchor",
        "Cell",
        "Context",
        "Dataset",
        "DatasetCard",
        "DatasetIndex",
        "EncoderSource",
        "Finding",
        "Item",
        "Method",
        "MethodCard",
        "MethodConfig",
        "OpenTask",
        "Outcome",
        "PretrainConfig",
        "PretrainData",
        "Progress",
        "Pyramid",
        "Schedule",
        "ScoreDefinition",
        "Stage",
        "Task",
        "View",
        "ViewRecipe",
        "Views",
        "no_progress",
    ),
    "contracts.pretrain_method": ("PretrainMethod",),
    "encoders": ("Encoder", "build_encoder", "seeded"),
    "errors": (
        "CellsFailed",
        "DataDamaged",
        "DataMissing",
        "EdenError",
        "PluginError",
        "UsageError",
        "WeightsMissing",
        "WeightsRefused",
    ),
    "records": ("Record",),
    "registry": ("load_plugin_file", "register_dataset", "register_method", "register_task"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Anchor",
    "Cell",
    "CellsFailed",
    "Context",
    "DataDamaged",
    "DataMissing",
    "Dataset",
    "DatasetCard",
    "DatasetIndex",
    "EdenError",
    "Encoder",
    "EncoderSource",
    "Finding",
    "Item",
    "Method",
    "MethodCard",
    "MethodConfig",
    "OpenTask",
    "Outcome",
    "PluginError",
    "PretrainConfig",
    "PretrainData",
    "PretrainMethod",
    "Progress",
    "Pyramid",
    "Record",
    "Schedule",
    "ScoreDefinition",
    "Stage",
    "Task",
    "UsageError",
    "View",
    "ViewRecipe",
    "Views",
    "WeightsMissing",
    "WeightsRefused",
    "build_encoder",
    "load_plugin_file",
    "no_progress",
    "pretrain",
    "register_dataset",
    "register_method",
    "register_task",
    "results",
    "run",
    "seeded",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module exports
    if name not in _MODULE:
        raise AttributeError(f"module 'eden_bench' has no attribute {name!r}")
    return getattr(importlib.import_module(f"eden_bench.{_MODULE[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
