"""What methods, datasets, tasks and cells have to be: all that an author needs, in one import.

Views and methods, datasets, tasks, cells: a module each. Nothing here imports torch.
"""

from __future__ import annotations

from eden_bench.contracts.cells import NUMBERS_VERSION, Cell
from eden_bench.contracts.checks import (
    Progress,
    at_least,
    in_range,
    no_progress,
    shots_are_valid,
    steps_per_epoch,
    with_overrides,
)
from eden_bench.contracts.datasets import ENOUGH_TESTED, PHANTOM, Dataset, DatasetCard, DatasetIndex, Finding, Item
from eden_bench.contracts.methods import SEEDED, EncoderSource, Method, MethodCard, MethodConfig, PretrainConfig, Stage
from eden_bench.contracts.pretraining import Anchor, PretrainData, Pyramid, Schedule
from eden_bench.contracts.tasks import Context, OpenTask, Outcome, ScoreDefinition, Task
from eden_bench.contracts.views import NORMALISATIONS, View, ViewRecipe, Views

__all__ = [
    "ENOUGH_TESTED",
    "NORMALISATIONS",
    "NUMBERS_VERSION",
    "PHANTOM",
    "SEEDED",
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
    "at_least",
    "in_range",
    "no_progress",
    "shots_are_valid",
    "steps_per_epoch",
    "with_overrides",
]
