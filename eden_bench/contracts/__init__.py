"""Contracts of methods, datasets, tasks and cells: everything a plugin author imports.

Views and methods, datasets, tasks, cells: a module each. Nothing here imports torch.
"""

from __future__ import annotations

from eden_bench.contracts.cells import DETERMINISTIC, LATER, NETWORK_OF, NUMBERS_VERSION, Cell
from eden_bench.contracts.checks import (
    Progress,
    at_least,
    in_range,
    no_progress,
    shots_are_valid,
    steps_per_epoch,
    with_overrides,
)
from eden_bench.contracts.datasets import (
    ENOUGH_TESTED,
    PHANTOM,
    Box,
    Dataset,
    DatasetCard,
    DatasetIndex,
    Finding,
    Item,
)
from eden_bench.contracts.features import Features
from eden_bench.contracts.methods import SEEDED, EncoderSource, Method, MethodCard, MethodConfig, PretrainConfig, Stage
from eden_bench.contracts.pretraining import Anchor, PretrainData, Pyramid, Schedule
from eden_bench.contracts.scores import PERCENT, ScoreDefinition
from eden_bench.contracts.tasks import Context, OpenTask, Outcome, Shared, Task
from eden_bench.contracts.views import NORMALISATIONS, View, ViewRecipe, Views

__all__ = [
    "DETERMINISTIC",
    "ENOUGH_TESTED",
    "LATER",
    "NETWORK_OF",
    "NORMALISATIONS",
    "NUMBERS_VERSION",
    "PERCENT",
    "PHANTOM",
    "SEEDED",
    "Anchor",
    "Box",
    "Cell",
    "Context",
    "Dataset",
    "DatasetCard",
    "DatasetIndex",
    "EncoderSource",
    "Features",
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
    "Shared",
    "Stage",
    "Task",
    "View",
    "ViewRecipe",
    "Views",
    "at_least",
    "in_range",
    "no_progress",
    "shots_are_valid",
    "steps_per_epoch",
    "with_overrides",
]
