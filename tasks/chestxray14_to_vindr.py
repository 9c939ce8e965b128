"""External validation: the network fine-tuned on ChestX-ray14, on VinDr-CXR's test images, untouched.

Nothing is trained: the classifier of task ``chestxray14`` predicts VinDr-CXR's 3,000 test images (Nguyen et al., Sci
Data 2022) as it predicts its own, and is scored on the findings that both datasets name. Which of ChestX-ray14's labels
stands for which finding is ``SHARED``; one that stands for two of them is predicted with the higher probability. Labels
of equal names are still not of equal making: ChestX-ray14's were read out of reports by a program, VinDr-CXR's are a
consensus of radiologists, so a drop holds both the other hospital and the other labels. A report sets it beside the
internal score on the same findings (``eden_bench.report.diagnostics``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from eden_bench.contracts import Context, DatasetIndex, OpenTask, ScoreDefinition
from eden_bench.data.dataset_folders import reader
from eden_bench.registry import register_task
from tasks.finetuning import AUC, ClassificationProtocol, ClassificationTask
from tasks.finetuning.definitions import OfClassification
from tasks.reading.vindr import read_findings

SHARED: Mapping[str, tuple[str, ...]] = {
    "Atelectasis": ("Atelectasis",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Consolidation": ("Consolidation",),
    "Edema": ("Edema",),
    "Emphysema": ("Emphysema",),
    "Infiltration": ("Infiltration",),
    "Nodule/Mass": ("Nodule", "Mass"),
    "Pleural effusion": ("Effusion",),
    "Pleural thickening": ("Pleural_Thickening",),
    "Pneumonia": ("Pneumonia",),
    "Pneumothorax": ("Pneumothorax",),
    "Pulmonary fibrosis": ("Fibrosis",),
}
"""Column of VinDr-CXR's image labels to the labels of ChestX-ray14 that stand for it. Of ChestX-ray14's 14, only
Hernia has none."""

EXTERNAL_AUC: ScoreDefinition = replace(
    AUC,
    text=(
        "Area under the ROC curve of each finding that both datasets name over VinDr-CXR's test images, ties counting "
        "half, from probabilities of the network fine-tuned on ChestX-ray14, averaged over that protocol's test crops; "
        "mean over findings. A finding with one value only in the test set has no AUC: it is left out of the mean and "
        "named in labels_without_auc."
    ),
)


@dataclass(frozen=True, kw_only=True)
class ExternalTask(ClassificationTask):
    """Score the classifier that another task fine-tuned on a dataset that it has never seen."""

    looks_at: str  # type: ignore[misc]  # a field here, as tasks are data
    frozen: ClassVar[tuple[str, ...]] = ()
    shared: Mapping[str, tuple[str, ...]]
    """Finding of this dataset to the labels of the other's classifier."""

    def lists(self, index: DatasetIndex, protocol: ClassificationProtocol) -> None:  # type: ignore[override]
        """Return None: nothing of this dataset trains or validates."""

    def open(self, index: DatasetIndex, protocol: OfClassification, context: Context) -> OpenTask:
        """Decode the test images (or map them from the cache) and read their findings.

        Raises:
            DataMissing: there are no test images, or nothing says what they show.
        """
        from tasks.finetuning.external import OpenExternal

        found = read_findings(index.root, tuple(self.shared))
        dataset = context.dataset or reader(self.dataset)
        return OpenExternal(self, index, protocol, context, dataset, found)  # type: ignore[arg-type]  # frozen has none


chestxray14_to_vindr = register_task(
    ExternalTask(
        name="chestxray14-to-vindr",
        dataset="vindr-cxr",
        title="ChestX-ray14's fine-tuned network on VinDr-CXR, the findings that both name",
        looks_at="chestxray14",
        shared=SHARED,
        score=EXTERNAL_AUC,
    )
)
