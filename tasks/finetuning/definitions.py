"""Fine-tuning tasks as data: one constructor call a task; torch is imported when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from eden_bench import registry
from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, ScoreDefinition, Task
from eden_bench.errors import unknown
from tasks.finetuning.protocol import (
    PAPER_CLASSIFICATION,
    PAPER_SEGMENTATION,
    QUICK_CLASSIFICATION,
    QUICK_SEGMENTATION,
    ClassificationProtocol,
    FinetuneProtocol,
    SegmentationProtocol,
)

_MASKS = (
    "P the pixels whose probability is above {threshold}, T the true mask, both at score_px × score_px of the protocol "
    "(the mask resized to the nearest pixel, the logits bilinearly)"
)
_SEGMENTATION = {
    "dice": (
        f"Dice 2|P∩T| / (|P| + |T|) of one test image, {_MASKS.format(threshold='0.5')}, 1 where both are empty; mean "
        "over structures, then over test images."
    ),
    "dice_nonempty": "Dice, mean over the images and structures whose true mask is not empty; absent where all are",
    "dice_empty": "share of the empty true masks for which nothing is predicted; absent where none is empty",
    "dice_pooled": "Dice from pixels summed over all test images and structures: the released code's 'Dice'",
    "iou": "|P∩T| / |P∪T| at threshold 0.5, 1 where both are empty; mean over structures, then over test images",
    "iou_pooled": "the same from pixels summed over all test images and structures: the released code's 'IoU'",
    "iou_thresholds": (
        f"|P∩T| / |P∪T|, {_MASKS.format(threshold='a threshold')}, from pixels summed over all test images and "
        "structures, 1 where both are empty; mean of foreground's and background's, then over the thresholds 0.5, "
        "0.55 … 0.95: the released code's 'Mean IoU'. The cases hold each image's own, and the counts of all: "
        "true_px, pixels, overlap_px and predicted_px (at 0.5), overlap_px_55 … predicted_px_95."
    ),
    "dice_<structure>": "where there are several structures: Dice of one, mean over test images",
    "dice_region": "where there is an evaluation region: Dice inside it, mean over structures, then over test images",
    "dice_region_pooled": "the same from pixels summed over all test images and structures",
}


def _segmentation_score(name: str, statistic: str = "mean") -> ScoreDefinition:
    others = {other: text for other, text in _SEGMENTATION.items() if other != name}
    return ScoreDefinition(name=name, text=_SEGMENTATION[name], statistic=statistic, alternatives=others)


DICE = _segmentation_score("dice")
IOU = _segmentation_score("iou")
IOU_THRESHOLDS = _segmentation_score("iou_thresholds", "iou_thresholds")
AUC = ScoreDefinition(
    name="auc",
    text=(
        "Area under the ROC curve of each label over all test images, ties counting half, from probabilities "
        "averaged over the protocol's test crops; mean over labels. A label with one value only in the test set has "
        "no AUC: it is left out of the mean and named in labels_without_auc."
    ),
    statistic="auc",
    alternatives={"auc_<label>": "the AUC of one label"},
)


@dataclass(frozen=True, kw_only=True)
class SegmentationTask(Task):
    """Segmentation with a U-Net on the encoder, one output a structure."""

    name: str
    dataset: str
    title: str
    structures: tuple[str, ...]
    """Names of the dataset's masks; one sigmoid channel each."""
    channels: Literal[1, 3] = 1
    """Of the images: grey or colour."""
    region: str = ""
    """Name of the dataset's mask inside which Dice is scored besides, as a photograph's field of view."""
    paper: SegmentationProtocol = PAPER_SEGMENTATION
    quick: SegmentationProtocol = QUICK_SEGMENTATION
    score: ScoreDefinition = DICE
    kind: Literal["segmentation"] = "segmentation"
    groups: tuple[str, ...] = ()

    def protocol(self, name: str) -> SegmentationProtocol:
        """Return the protocol "paper" or "quick".

        Raises:
            UsageError: the task has no protocol of that name.
        """
        return _named(self.name, name, {"paper": self.paper, "quick": self.quick})

    def lists(self, index: DatasetIndex, protocol: SegmentationProtocol) -> tuple[dict[str, list[str]], str]:
        """Return the image ids of "train", "validation" and "test", and the rule in words."""
        return _lists(index, protocol)

    def open(self, index: DatasetIndex, protocol: SegmentationProtocol, context: Context) -> OpenTask:
        """Decode the data (or map them from the cache) and make the splits."""
        from tasks.finetuning.segmentation import OpenSegmentation

        return OpenSegmentation(self, index, protocol, context, _dataset(self.dataset, context))


@dataclass(frozen=True, kw_only=True)
class ClassificationTask(Task):
    """Multi-label classification with a linear head on pooled features."""

    name: str
    dataset: str
    title: str
    channels: Literal[1, 3] = 1
    paper: ClassificationProtocol = PAPER_CLASSIFICATION
    quick: ClassificationProtocol = QUICK_CLASSIFICATION
    score: ScoreDefinition = AUC
    kind: Literal["classification"] = "classification"
    groups: tuple[str, ...] = ()

    def protocol(self, name: str) -> ClassificationProtocol:
        """Return the protocol "paper" or "quick".

        Raises:
            UsageError: the task has no protocol of that name.
        """
        return _named(self.name, name, {"paper": self.paper, "quick": self.quick})

    def lists(self, index: DatasetIndex, protocol: ClassificationProtocol) -> tuple[dict[str, list[str]], str]:
        """Return the image ids of "train", "validation" and "test", and the rule in words."""
        return _lists(index, protocol)

    def open(self, index: DatasetIndex, protocol: ClassificationProtocol, context: Context) -> OpenTask:
        """Decode the data (or map them from the cache) and make the splits."""
        from tasks.finetuning.classification import OpenClassification

        return OpenClassification(self, index, protocol, context, _dataset(self.dataset, context))


def _named(task: str, name: str, protocols: dict[str, Any]) -> Any:  # noqa: ANN401 - one of two dataclasses
    if name not in protocols:
        raise unknown(f"protocol of {task}", name, protocols)
    return protocols[name]


def _lists(index: DatasetIndex, protocol: FinetuneProtocol) -> tuple[dict[str, list[str]], str]:
    from tasks.finetuning.splits import split

    made = split(index, protocol.validation_share)
    return made.lists, made.rule


def _dataset(name: str, context: Context) -> Dataset:
    if context.dataset is not None:
        return context.dataset

    found: Dataset = registry.datasets.get(name)
    return found
