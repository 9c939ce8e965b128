"""Labelled images of a classification, decoded and split: what fine-tuning and frozen evaluation share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from eden_bench.contracts import Context, Dataset, DatasetIndex, OpenTask
from eden_bench.data.image_store import open_images
from eden_bench.digests import digest
from eden_bench.errors import DataMissing
from tasks.finetuning import scores
from tasks.finetuning.device_images import put
from tasks.finetuning.splits import both_values, described, split

if TYPE_CHECKING:
    from tasks.finetuning.definitions import ClassificationTask


class OpenLabelled(OpenTask):
    """A classification task with its images decoded, its labels read and its splits made.

    Attributes:
        targets: (N, L) float32, 0 or 1.
        splits: rows of train, validation and test.
        store: the images, squashed to a square.

    Raises:
        DataMissing: an image has no labels, or no label has both values among the test images.
    """

    def __init__(
        self,
        task: ClassificationTask,
        index: DatasetIndex,
        context: Context,
        dataset: Dataset,
        *,
        side_px: int,
        validation_share: float,
    ) -> None:
        self.task, self.device = task, torch.device(context.device)
        self.labels = index.label_names
        _need_labels(index)
        self.targets = np.array([item.labels for item in index.items], dtype=np.float32)
        self.splits = split(index, validation_share)
        self.without_auc = scores.labels_without_auc(self.targets[list(self.splits.test)], self.labels)
        _check_labels(index, self.without_auc)
        self.store = open_images(index, dataset, side_px, context, channels=task.channels)
        self.data: dict[str, Any] = {
            **self.splits.provenance(index),
            "digest": digest([self.store.digest, self.labels, self.targets.astype(int).tolist()]),
            "labels": list(self.labels),
            "labels_without_auc": self.without_auc,
        }

    @property
    def shown(self) -> np.ndarray:
        """Which label's value each training image shows, by which shots are drawn."""
        return both_values(self.targets[list(self.splits.train)])

    def told(self, train: np.ndarray, validation: np.ndarray) -> dict[str, Any]:
        """Return what a record tells of the labelled images of a run."""
        return {
            "validation_images": len(validation),
            "labels_without_auc": self.without_auc,
            "one_value_in_training": scores.labels_without_auc(self.targets[train], self.labels),
        }

    def thresholds(self, probabilities: np.ndarray, rows: np.ndarray) -> dict[str, float]:
        """Return each label's threshold of highest F1 on validation images; none without such images."""
        return scores.f1_thresholds(probabilities, self.targets[rows], self.labels) if len(rows) else {}

    def scored(self, probabilities: np.ndarray) -> tuple[dict[str, float], dict[str, Sequence[Any]]]:
        """Return scores and cases of the (N, L) probabilities of the test images."""
        test = list(self.splits.test)
        columns: dict[str, Sequence[Any]] = {**described(self.splits.tested)}
        targets = self.targets[test].astype(int)
        for column, label in enumerate(self.labels):
            columns[f"probability_{label}"] = probabilities[:, column].tolist()
            columns[f"target_{label}"] = targets[:, column].tolist()
        return scores.label_scores(probabilities, self.targets[test], self.labels), columns

    def targets_of(self, rows: np.ndarray) -> Tensor:
        """Return the targets of some images on the device, (B, L)."""
        return put(self.targets[rows], self.device)


def _need_labels(index: DatasetIndex) -> None:
    bare = [item.id for item in index.items if len(item.labels) != len(index.label_names)]
    if bare:
        raise DataMissing(
            f"{index.dataset}: {len(bare):,} of {len(index.items):,} images in {index.root} have no labels, for "
            f"example {bare[0]}, expected {len(index.label_names)} each: add the file with their labels, or remove "
            "the images"
        )


def _check_labels(index: DatasetIndex, without_auc: list[str]) -> None:
    if len(without_auc) == len(index.label_names):
        raise DataMissing(
            f"{index.dataset}: none of {len(index.label_names)} labels has both values among the test images in "
            f"{index.root}, expected at least one, or there is no AUC: add test images"
        )
