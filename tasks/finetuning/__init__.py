"""Fine-tuning an encoder on segmentation and classification tasks, by the paper's protocol or a quick one."""

from tasks.finetuning.definitions import AUC, DICE, IOU, IOU_THRESHOLDS, ClassificationTask, SegmentationTask
from tasks.finetuning.protocol import ClassificationProtocol, FinetuneProtocol, SegmentationProtocol

__all__ = [
    "AUC",
    "DICE",
    "IOU",
    "IOU_THRESHOLDS",
    "ClassificationProtocol",
    "ClassificationTask",
    "FinetuneProtocol",
    "SegmentationProtocol",
    "SegmentationTask",
]
