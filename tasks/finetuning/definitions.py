"""Fine-tuning tasks as data: one constructor call a task; torch is imported when it is opened."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from eden_bench import registry
from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask, ScoreDefinition, Task
from eden_bench.contracts.tasks import Seeds
from eden_bench.errors import unknown
from tasks.finetuning.frozen.protocol import (
    CLASSIFICATION,
    SEGMENTATION,
    AttentiveProtocol,
    FrozenSegProtocol,
    ReadProtocol,
    of_classification,
    of_segmentation,
)
from tasks.finetuning.protocol import (
    PAPER_CLASSIFICATION,
    PAPER_SEGMENTATION,
    QUICK_CLASSIFICATION,
    QUICK_SEGMENTATION,
    ClassificationProtocol,
    SegmentationProtocol,
    SplitProtocol,
)

OfSegmentation = SegmentationProtocol | FrozenSegProtocol
OfClassification = ClassificationProtocol | ReadProtocol | AttentiveProtocol
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
    "iou_<structure>": "where there are several structures: |P∩T| / |P∪T| of one, mean over test images",
    "dice_region": "where there is an evaluation region: Dice inside it, mean over structures, then over test images",
    "dice_region_pooled": "the same from pixels summed over all test images and structures",
}


_SURFACE = (
    "a mask's surface is its pixels that lack one of four neighbours, distances are between pixel centres of the masks "
    "at score_px × score_px"
)
_HD95 = (
    f"95 % Hausdorff distance of P and T: {_SURFACE}; the larger of the two directed 95th percentiles, of each image "
    "and structure by itself; 0 where both are empty, the image's diagonal where one is"
)
_NSD = (
    f"normalised surface distance of P and T: {_SURFACE}; the share of both surfaces within tolerance_px of the "
    "protocol of the other; 1 where both are empty, 0 where one is"
)
_MEAN = "mean over structures, then over test images"
_WORST = "mean over the worst 5 % of test images (rounded up) of"


_ENDINGS = {"nonempty", "empty", "pooled", "region", "region_pooled", "thresholds", "worst5"}
"""Of scores' names, where the name of a structure stands in others."""


def _of_structure(name: str) -> str:
    return f"where there are several structures: {name} of one, mean over test images"


def surfaces_in(unit: str) -> dict[str, ScoreDefinition]:
    """Define the surface scores with distances in "px", of the scored size, or in "mm"."""

    def distance(text: str, statistic: str) -> ScoreDefinition:
        far = {"unit": unit, "bounds": (0.0, None), "higher_is_better": False}
        return ScoreDefinition(name="", text=text, statistic=statistic, **far)  # type: ignore[arg-type]

    def share(text: str, statistic: str) -> ScoreDefinition:
        return ScoreDefinition(name="", text=text, statistic=statistic)

    return {
        "dice_worst5": share(f"{_WORST} dice", "lowest_5_percent"),
        "hd95": distance(f"{_HD95}; {_MEAN}", "mean"),
        "hd95_worst5": distance(f"{_WORST} hd95", "highest_5_percent"),
        "hd95_<structure>": distance(_of_structure("hd95"), "mean"),
        "nsd": share(f"{_NSD}; {_MEAN}", "mean"),
        "nsd_worst5": share(f"{_WORST} nsd", "lowest_5_percent"),
        "nsd_<structure>": share(_of_structure("nsd"), "mean"),
    }


def _segmentation_score(name: str, statistic: str = "mean") -> ScoreDefinition:
    others = {other: text for other, text in _SEGMENTATION.items() if other != name}
    beside: dict[str, str | ScoreDefinition] = {**others, **surfaces_in("px")}
    return ScoreDefinition(name=name, text=_SEGMENTATION[name], statistic=statistic, alternatives=beside)


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
    alternatives={
        "auc_<label>": "the AUC of one label",
        "auprc": ScoreDefinition(
            name="auprc",
            text=(
                "Area under the precision-recall curve as average precision (nothing is interpolated), from the same "
                "probabilities; mean over the same labels. Chance is a label's share of positives."
            ),
            statistic="auprc",
        ),
        "auprc_<label>": "the AUPRC of one label",
    },
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
    side_mm: float | None = None
    """Width and height of every image, where the dataset states one for all: distances are then in mm, not in px."""
    paper: SegmentationProtocol = PAPER_SEGMENTATION
    quick: SegmentationProtocol = QUICK_SEGMENTATION
    score: ScoreDefinition = DICE
    kind: Literal["segmentation"] = "segmentation"
    groups: tuple[str, ...] = ()
    frozen: ClassVar[tuple[str, ...]] = SEGMENTATION

    def __post_init__(self) -> None:
        """Define distances in mm where the images' side is known.

        Raises:
            ValueError: the side is not above 0, or a structure's name is the ending of another score's.
        """
        if taken := sorted(_ENDINGS & set(self.structures)):
            raise ValueError(f"a structure may not be named {taken[0]!r}, which ends the name of another score")
        if self.side_mm is None:
            return
        if not 0 < self.side_mm < math.inf:
            raise ValueError(f"side_mm must be above 0, not {self.side_mm!r}")
        others = {**self.score.alternatives, **surfaces_in("mm")}
        object.__setattr__(self, "score", replace(self.score, alternatives=others))

    def protocol(self, name: str) -> OfSegmentation:
        """Return the protocol "paper" or "quick", or a frozen one.

        Raises:
            UsageError: the task has no protocol of that name.
        """
        own = {"paper": self.paper, "quick": self.quick}
        return _named(self.name, name, {**own, **of_segmentation(self.paper, self.quick)})

    def lists(self, index: DatasetIndex, protocol: SplitProtocol) -> tuple[dict[str, list[str]], str]:
        """Return the image ids of "train", "validation" and "test", and the rule in words."""
        return _lists(index, protocol)

    def open(self, index: DatasetIndex, protocol: OfSegmentation, context: Context) -> OpenTask:
        """Decode the data (or map them from the cache) and make the splits."""
        dataset = _dataset(self.dataset, context)
        if isinstance(protocol, FrozenSegProtocol):
            from tasks.finetuning.frozen.segmentation import OpenFrozenSegmentation

            return OpenFrozenSegmentation(self, index, protocol, context, dataset)
        from tasks.finetuning.segmentation import OpenSegmentation

        return OpenSegmentation(self, index, protocol, context, dataset)


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
    frozen: ClassVar[tuple[str, ...]] = CLASSIFICATION

    def protocol(self, name: str) -> OfClassification:
        """Return the protocol "paper" or "quick", or a frozen one.

        Raises:
            UsageError: the task has no protocol of that name.
        """
        own = {"paper": self.paper, "quick": self.quick}
        return _named(self.name, name, {**own, **of_classification(self.paper, self.quick)})

    def repeats_for(self, protocol: SplitProtocol, shots: int | None) -> Seeds:
        """Return "once" where features of all images are read: nothing of that depends on a seed."""
        return "once" if isinstance(protocol, ReadProtocol) and shots is None else "seeds"

    def lists(self, index: DatasetIndex, protocol: SplitProtocol) -> tuple[dict[str, list[str]], str]:
        """Return the image ids of "train", "validation" and "test", and the rule in words."""
        return _lists(index, protocol)

    def open(self, index: DatasetIndex, protocol: OfClassification, context: Context) -> OpenTask:
        """Decode the data (or map them from the cache) and make the splits."""
        dataset = _dataset(self.dataset, context)
        if isinstance(protocol, ReadProtocol | AttentiveProtocol):
            from tasks.finetuning.frozen.classification import OpenFrozenClassification

            return OpenFrozenClassification(self, index, protocol, context, dataset)
        from tasks.finetuning.classification import OpenClassification

        return OpenClassification(self, index, protocol, context, dataset)


def _named(task: str, name: str, protocols: dict[str, Any]) -> Any:  # noqa: ANN401 - one of two dataclasses
    if name not in protocols:
        raise unknown(f"protocol of {task}", name, protocols)
    return protocols[name]


def _lists(index: DatasetIndex, protocol: SplitProtocol) -> tuple[dict[str, list[str]], str]:
    from tasks.finetuning.splits import split

    made = split(index, protocol.validation_share)
    return made.lists, made.rule


def _dataset(name: str, context: Context) -> Dataset:
    if context.dataset is not None:
        return context.dataset

    found: Dataset = registry.datasets.get(name)
    return found
