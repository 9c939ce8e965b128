"""Robustness: the network that a classification fine-tuned, on its own test images after they were corrupted.

Six corruptions at five severities (``tasks.finetuning.corruptions``); nothing is trained. The error is balanced, since
most findings are rare, at thresholds that are fixed on clean validation images. Not as in MedMNIST-C (Di Salvo et al.,
2024, arXiv:2406.17536), which divides by AlexNet's error: the relative error here is what corruption adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from eden_bench.contracts import Context, DatasetIndex, OpenTask, ScoreDefinition
from eden_bench.data.dataset_folders import reader
from eden_bench.registry import register_task
from tasks.finetuning import ClassificationTask
from tasks.finetuning.definitions import OfClassification

_BALANCED = (
    "half the share of a label's positives called negative plus half that of its negatives called positive, at the "
    "threshold of least balanced error on the clean validation images; mean over the labels that have both values"
)


def _error(text: str, statistic: str = "") -> ScoreDefinition:
    return ScoreDefinition(name="", text=text, statistic=statistic, higher_is_better=False)


ERROR = ScoreDefinition(
    name="error",
    text=f"Balanced error on corrupted test images, mean over 6 corruptions × 5 severities: {_BALANCED}.",
    higher_is_better=False,
    statistic="balanced_error",
    alternatives={
        "error_clean": _error("the same on the test images as they are", "balanced_error"),
        "relative_error": ScoreDefinition(
            name="",
            text="what corruption adds: error minus error_clean",
            bounds=(-1.0, 1.0),
            higher_is_better=False,
            statistic="balanced_error_above_clean",
        ),
        "error_of_<corruption>": _error("error of one corruption, mean over its severities"),
        "error_at_<severity>": _error("error at one severity, mean over corruptions"),
    },
)


@dataclass(frozen=True, kw_only=True)
class RobustnessTask(ClassificationTask):
    """Score the classifier that another task fine-tuned on corrupted copies of that task's test images."""

    looks_at: str  # type: ignore[misc]  # a field here, as tasks are data
    score: ScoreDefinition = ERROR
    groups: tuple[str, ...] = ("robustness",)
    frozen: ClassVar[tuple[str, ...]] = ()
    statistics: ClassVar[tuple[str, ...]] = ("tasks.finetuning.robustness",)

    def open(self, index: DatasetIndex, protocol: OfClassification, context: Context) -> OpenTask:
        """Decode the images (or map them from the cache) and make the splits."""
        from tasks.finetuning.robustness import OpenRobustness

        dataset = context.dataset or reader(self.dataset)
        return OpenRobustness(self, index, protocol, context, dataset)  # type: ignore[arg-type]  # frozen has none


for _name, _title in (
    ("shenzhen", "Shenzhen"),
    ("chestxray14", "ChestX-ray14"),
    ("vindr-cxr", "VinDr-CXR"),
):
    register_task(
        RobustnessTask(
            name=f"{_name}-robustness",
            dataset=_name,
            title=f"{_title}'s fine-tuned network on corrupted test images",
            looks_at=_name,
        )
    )
